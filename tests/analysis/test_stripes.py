"""Rings and zingers go, the object stays."""

import numpy as np
import pytest

from analysis.stripes import remove_rings, remove_zingers
from analysis.tomography import reconstruct

ANGLES = np.arange(90) * 2.0


@pytest.fixture
def projections(blobs):
    clean = blobs.projections(ANGLES, (24, 96), axis=47.5)
    return (clean + np.random.default_rng(4).normal(0.0, 0.01, clean.shape)).astype(np.float32)


def test_an_offset_of_a_pixel_is_found_with_its_size(projections) -> None:
    spoiled = projections.copy()
    spoiled[:, 10, 40] += 0.05
    found = remove_rings(spoiled)
    # the mean of 90 values of noise 0.01, and the median it is compared with
    assert found.offset[10, 40] == pytest.approx(0.05, abs=0.006)
    assert np.count_nonzero(found.offset) < 0.01 * found.offset.size


def test_clean_projections_are_left_alone_and_the_volume_keeps_its_gain(projections, blobs) -> None:
    found = remove_rings(projections)
    untouched = found.offset == 0
    assert untouched.mean() > 0.99
    np.testing.assert_array_equal(found.values[:, untouched], projections[:, untouched])
    truth = blobs.volume((24, 96, 96))
    volume = reconstruct(found.values, ANGLES, axis=47.5).values
    assert np.sum(volume * truth) / np.sum(truth**2) == pytest.approx(1.0, abs=0.01)


def test_rings_disappear_from_the_slice(projections) -> None:
    stripes = np.zeros((24, 96), dtype=np.float32)
    stripes[3:22:6, 35:80:9] = 0.08
    clean = reconstruct(projections, ANGLES, axis=47.5).values
    spoiled = reconstruct(projections + stripes, ANGLES, axis=47.5).values
    cured = reconstruct(remove_rings(projections + stripes).values, ANGLES, axis=47.5).values
    assert np.std(cured - clean) < 0.2 * np.std(spoiled - clean)


@pytest.mark.parametrize("width", [1, 2])
def test_whole_columns_are_taken_off_with_their_size(projections, width) -> None:
    spoiled = projections.copy()
    for column, offset in ((30, 0.05), (52, -0.03), (71, 0.08)):
        spoiled[:, :, column : column + width] += offset
    found = remove_rings(spoiled, columns=True)
    for column, offset in ((30, 0.05), (52, -0.03), (71, 0.08)):
        # 24 rows of means of 90 values of noise 0.01, and what the object is not a cubic over 8 pixels
        assert np.median(found.offset[:, column : column + width]) == pytest.approx(offset, abs=0.004)
    left = np.abs(found.values - projections).mean()
    assert left < 0.2 * np.abs(spoiled - projections).mean()


def test_clean_projections_have_no_faulty_columns(projections) -> None:
    assert np.mean(remove_rings(projections, columns=True).offset != 0) < 0.01


def test_zingers_are_replaced_and_nothing_else(projections) -> None:
    rng = np.random.default_rng(8)
    hits = tuple(rng.integers(1, n - 1, 40) for n in projections.shape)
    spoiled = projections.copy()
    spoiled[hits] -= 1.0
    found = remove_zingers(spoiled)
    assert found.replaced[hits].all()
    assert found.count < 40 + 1e-4 * projections.size
    assert np.abs(found.values[hits] - projections[hits]).max() < 0.12
    np.testing.assert_array_equal(found.values[~found.replaced], spoiled[~found.replaced])


def sharp_structure() -> dict[str, np.ndarray]:
    """Edges and lines as sharp as pixels allow, and points as a microscope shows them."""
    y, x = np.mgrid[:64, :64] + 0.0
    return {
        "tilted edge": 1.0 * (0.3 * x + y > 40),
        "corner": 1.0 * ((x > 30) & (y > 30)),
        "disc": 1.0 * (np.hypot(y - 32.3, x - 31.7) < 20),
        "lattice": (x // 4 + y // 4) % 2,
        "line": 1.0 * (x == 30),
        "end of a line": 1.0 * ((x == 30) & (y > 30)),
        "point": np.exp(-0.5 * ((y - 30) ** 2 + (x - 30) ** 2) / 0.8**2),
    }


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.02])
@pytest.mark.parametrize("name", sharp_structure())
def test_sharp_structure_is_no_zinger(name, noise) -> None:
    image = sharp_structure()[name] + noise * np.random.default_rng(2).normal(size=(3, 64, 64))
    assert remove_zingers(image).count == 0


def test_of_a_drifting_gain_the_mean_is_taken_off(projections) -> None:
    drift = np.linspace(0.05, 0.15, len(projections), dtype=np.float32)
    spoiled = projections.copy()
    spoiled[:, 10, 40] += drift
    found = remove_rings(spoiled)
    assert found.offset[10, 40] == pytest.approx(0.1, abs=0.006)
    left = found.values[:, 10, 40] - projections[:, 10, 40]
    np.testing.assert_allclose(left, drift - 0.1, atol=0.006)


def test_bad_input_is_refused(projections) -> None:
    with pytest.raises(ValueError, match="size 0 is below 1"):
        remove_rings(projections, size=0)
    with pytest.raises(ValueError, match="expected"):
        remove_rings(projections[:4])
    spoiled = projections.copy()
    spoiled[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        remove_zingers(spoiled)
