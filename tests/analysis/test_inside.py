import numpy as np
import pytest

from analysis.inside import Inside


def test_values_come_back_to_their_places() -> None:
    rng = np.random.default_rng(1)
    mask = rng.random((5, 6, 7)) > 0.4
    mask[2] = False
    volume = rng.random(mask.shape).astype(np.float32)
    inside = Inside(mask, threads=2)
    np.testing.assert_array_equal(inside.values(volume), volume[mask])
    np.testing.assert_array_equal(inside.volume(volume[mask], np.nan), np.where(mask, volume, np.float32(np.nan)))


def test_what_does_not_fit_is_refused() -> None:
    inside = Inside(np.ones((2, 2, 2), bool))
    with pytest.raises(ValueError, match="8 voxels are inside"):
        inside.volume(np.zeros(7, np.float32), 0)
    with pytest.raises(ValueError, match=r"volume has shape \(2, 2, 3\)"):
        inside.values(np.zeros((2, 2, 3), np.float32))
    with pytest.raises(ValueError, match=r"mask has shape \(2, 2\)"):
        Inside(np.ones((2, 2), bool))


def test_a_volume_is_filled_part_by_part() -> None:
    rng = np.random.default_rng(2)
    mask = rng.random((9, 4, 5)) > 0.5
    inside = Inside(mask, threads=1)
    whole, volume = rng.random(inside.count).astype(np.float32), np.empty(mask.shape, np.float32)
    parts = inside.parts(20)
    assert len(parts) > 3
    for slices in parts:
        low, high = inside.bounds(slices)
        inside.fill(volume, slices, whole[low:high], np.nan)
    np.testing.assert_array_equal(volume, inside.volume(whole, np.nan))
