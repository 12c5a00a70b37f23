"""Known object in, same object out: gain, geometry, angles, shifts, magnification."""

import numpy as np
import pytest

from analysis.registration import find_shift
from analysis.tomography import FilteredBackProjection, angle_weights, reconstruct

ANGLES = np.arange(90) * 2.0


def disc(columns: int, radius: float, axis: float) -> np.ndarray:
    """Projection (row, column) of a disc of attenuation 1 per pixel on the axis, averaged over each pixel."""
    fine = (np.arange(columns * 16) + 0.5) / 16 - 0.5 - axis
    chord = 2 * np.sqrt(np.maximum(radius**2 - fine**2, 0))
    return chord.reshape(columns, 16).mean(axis=1)[None]


def rms(a: np.ndarray) -> float:
    return float(np.sqrt(np.mean(a**2)))


@pytest.mark.parametrize("columns", [64, 65])
def test_attenuation_of_a_disc_is_exact(columns: int) -> None:
    axis = 0.5 * (columns - 1) + 0.3
    projections = np.repeat(disc(columns, 20.0, axis)[None], 120, axis=0)
    volume = reconstruct(projections, np.arange(120) * 1.5, axis=axis, pixel_size=0.5, threads=1)
    y, x = np.indices((columns, columns)) - 0.5 * (columns - 1)
    inside = x**2 + y**2 < 15**2
    # 1 per pixel of 0.5 um is 2 /um; 0.5 % is the requirement away from edges
    assert volume.values[0][inside].mean() == pytest.approx(2.0, rel=5e-4)
    assert rms(volume.values[0][inside] / 2.0 - 1) < 5e-3


def test_object_comes_back_where_it_is(blobs) -> None:
    projections = blobs.projections(ANGLES, (40, 64), axis=30.2)
    volume = reconstruct(projections, ANGLES, axis=30.2)
    truth = blobs.volume((40, 64, 64))
    # blobs of 2.5 px standard deviation: linear interpolation takes 1.5 % off the sharpest peak
    assert rms(volume.values - truth) < 0.006 * truth.max()


@pytest.mark.parametrize(
    "angles",
    [
        np.mod(np.arange(90) * 111.246117975, 180.0),
        np.arange(180) * 2.0,
        np.delete(ANGLES, [10, 11, 40, 77]),
        np.linspace(0.0, 180.0, 91),
        np.delete(ANGLES, np.s_[20:26]),
        np.random.default_rng(4).uniform(-90, 270, 180),
        np.concatenate([np.arange(0.0, 90.0, 1.0), np.arange(90.0, 180.0, 6.0)]),
    ],
    ids=["golden", "full turn", "missing frames", "both ends", "missing block", "random", "two densities"],
)
def test_any_set_of_angles_has_the_right_gain(blobs, angles) -> None:
    volume = reconstruct(blobs.projections(angles, (8, 64), axis=31.5), angles, axis=31.5)
    truth = blobs.volume((8, 64, 64))
    assert np.sum(volume.values * truth) / np.sum(truth**2) == pytest.approx(1.0, abs=0.02)
    assert rms(volume.values - truth) < 0.03 * truth.max()


def test_weights_of_a_missing_wedge_are_not_given_to_its_edges() -> None:
    weights = np.rad2deg(angle_weights(np.arange(0.0, 121.0, 2.0)))
    np.testing.assert_allclose(weights, 2.0)


def test_neighbours_on_both_sides_stand_in_for_missing_frames() -> None:
    """The nearest two alone would count 3.5 each, and their noise with them."""
    weights = np.rad2deg(angle_weights(np.delete(np.arange(180.0), np.s_[60:66])))
    assert weights.sum() == pytest.approx(180.0)
    assert weights.max() < 2.6
    np.testing.assert_allclose(weights[:50], 1.0)


def test_weights_of_golden_angles_cover_half_a_turn() -> None:
    assert angle_weights(np.arange(37) * 111.246117975).sum() == pytest.approx(np.pi)


def test_batches_in_any_order_are_one_reconstruction(blobs) -> None:
    projections = blobs.projections(ANGLES, (12, 48), axis=23.5).astype(np.float32)
    sink = FilteredBackProjection(ANGLES, (12, 48), axis=23.5, threads=2)
    order = np.random.default_rng(1).permutation(90)
    for batch in np.split(order, [1, 8, 50]):
        sink.add(projections[batch], batch)
    whole = reconstruct(projections, ANGLES, axis=23.5, threads=1).values
    np.testing.assert_allclose(sink.volume().values, whole, atol=2e-6 * np.abs(whole).max() + 1e-8)


def test_interleaved_part_of_the_angles_is_already_the_object(blobs) -> None:
    projections = blobs.projections(ANGLES, (8, 64), axis=31.5)
    sink = FilteredBackProjection(ANGLES, (8, 64), axis=31.5)
    sink.add(projections[::2], np.arange(0, 90, 2))
    half = sink.volume()
    sink.add(projections[1::2], np.arange(1, 90, 2))
    truth = blobs.volume((8, 64, 64))
    assert half.angles_used == 45
    assert rms(half.values - truth) < 0.02 * truth.max()
    assert rms(sink.volume().values - truth) < 0.006 * truth.max()


@pytest.mark.parametrize("shift", [(0.0, 3.37), (1.6, -0.45)])
def test_shifts_are_undone(blobs, shift) -> None:
    projections = blobs.projections(ANGLES, (40, 64), axis=31.5, shift=shift)
    straight = reconstruct(blobs.projections(ANGLES, (40, 64), axis=31.5), ANGLES, axis=31.5)
    volume = reconstruct(projections, ANGLES, axis=31.5, shifts=shift)
    seen = volume.measured
    assert seen.sum() == 40 - round(abs(shift[0]))
    assert rms(volume.values[seen] - straight.values[seen]) < 0.005 * straight.values.max()


@pytest.mark.parametrize("pixel_size", [0.87, 0.95, 1.1])
def test_tomograms_at_different_magnification_fall_on_one_grid(blobs, pixel_size) -> None:
    axis, shape = 39.8, (60, 80)
    reference = reconstruct(blobs.projections(ANGLES, shape, axis=axis), ANGLES, axis=axis).values
    projections = blobs.projections(ANGLES, shape, axis=axis, pixel_size=pixel_size, shift=(0.7, -1.3))
    other = reconstruct(projections, ANGLES, axis=axis, pixel_size=pixel_size, voxel_size=1.0, shifts=(0.7, -1.3))
    seen = other.measured
    sides = np.nan_to_num(other.values), np.where(seen[:, None, None], reference, 0.0)
    for view in (lambda v: v.sum(axis=0), lambda v: v.sum(axis=1)):
        shift = find_shift(view(sides[1]), view(sides[0]))
        assert np.hypot(shift.dy, shift.dx) < 0.02  # voxel
    truth = np.where(seen[:, None, None], blobs.volume(sides[0].shape), 0.0)
    assert rms(sides[0] - truth) < 0.01 * truth.max()
    assert np.sum(sides[0] * truth) / np.sum(truth**2) == pytest.approx(1.0, abs=0.01)


def test_noise_gain_is_the_noise_of_a_voxel() -> None:
    noise = np.random.default_rng(3).normal(0.0, 0.1, (90, 40, 64))
    volume = reconstruct(noise, ANGLES, axis=31.3, pixel_size=0.04)
    circle = np.hypot(*(np.indices((64, 64)) - 31.5)) < 25
    measured = volume.values[:, circle].std()
    # 79 000 correlated voxels: the estimate itself scatters by about 1 %
    assert measured == pytest.approx(0.1 * volume.noise_gain, rel=0.04)


def test_coarser_voxels_average_the_noise() -> None:
    noise = np.random.default_rng(3).normal(0.0, 0.1, (90, 64, 64))
    fine = reconstruct(noise, ANGLES, axis=31.5)
    coarse = reconstruct(noise, ANGLES, axis=31.5, voxel_size=2.0, size=32, n_slices=32)
    circle = np.hypot(*(np.indices((32, 32)) - 15.5)) < 13
    assert coarse.values[2:-2, circle].std() == pytest.approx(0.1 * coarse.noise_gain, rel=0.06)
    assert coarse.noise_gain < 0.5 * fine.noise_gain


def test_more_slices_than_one_slab_and_any_thread_count_agree(blobs) -> None:
    projections = blobs.projections(ANGLES[::3], (70, 33), axis=16.0)
    one, two = (reconstruct(projections, ANGLES[::3], axis=16.0, threads=n).values for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("voxel_size", [1.0, 1.03])
@pytest.mark.parametrize(
    "box", [(slice(2, 9), slice(5, 30), slice(17, 48)), (slice(70, 71), slice(0, 48), slice(40, 47))]
)
def test_box_is_that_part_of_the_whole(blobs, box, voxel_size) -> None:
    projections = blobs.projections(ANGLES, (72, 48), axis=22.0)
    options = {"axis": 22.0, "voxel_size": voxel_size, "shifts": (0.3, -1.2), "outside": -7.0}
    whole = reconstruct(projections, ANGLES, **options)
    part = reconstruct(projections, ANGLES, **options, box=box, threads=2)
    np.testing.assert_allclose(part.values, whole.values[box], atol=1e-6 * np.nanmax(np.abs(whole.values)))
    np.testing.assert_array_equal(part.measured, whole.measured[box[0]])


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((slice(0, 9), slice(0, 64), slice(0, 64)), r"box takes slice\(0, 9, None\) along z; 0 <= start < stop <= 8"),
        ((slice(0, 8), slice(5, 5), slice(0, 64)), "along y"),
        ((slice(0, 8), slice(0, 64), slice(0, 64, 2)), "along x"),
        ((slice(0, 8), slice(0, 64)), "is not three slices"),
    ],
)
def test_impossible_box_is_refused(box, message) -> None:
    with pytest.raises(ValueError, match=message):
        FilteredBackProjection(ANGLES, (8, 64), axis=31.5, box=box)


def test_memory_of_a_finished_volume_serves_the_next(blobs) -> None:
    projections = blobs.projections(ANGLES, (12, 48), axis=23.5)
    out = np.empty((12, 48, 48), dtype=np.float32)
    first = FilteredBackProjection(ANGLES, (12, 48), axis=23.5)
    first.add(projections, np.arange(90))
    expected = first.volume(out=out).values.copy()
    second = FilteredBackProjection(ANGLES, (12, 48), axis=23.5, reuse=first)
    second.add(projections, np.arange(90))
    assert second.volume(out=out).values is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axis": 80.0}, "axis 80.0 is outside columns -0.5..63.5"),
        ({"pixel_size": 0.0}, "pixel_size 0.0 um is not above 0"),
        ({"shifts": np.zeros((4, 2))}, r"shifts have shape \(4, 2\)"),
        ({"size": 0}, "size 0 is below 1"),
        ({"size": 10.5}, "size 10.5 is not a whole number"),
        ({"shifts": (0.0, 70.0)}, r"shift dx 70.0 px is outside -64\.\.64"),
        ({"angles": ["0", "90"]}, "<U2 values in angles"),
        ({"angles": [0.0, np.nan]}, "angle 1 is nan"),
    ],
)
def test_impossible_geometry_is_refused(change, message) -> None:
    options = {"angles": ANGLES, "axis": 31.5} | change
    with pytest.raises(ValueError, match=message):
        FilteredBackProjection(options.pop("angles"), (8, 64), **options)


def test_bad_projections_are_refused() -> None:
    sink = FilteredBackProjection(ANGLES, (8, 64), axis=31.5)
    good = np.zeros((1, 8, 64))
    spoiled = good.copy()
    spoiled[0, 3, 5] = np.nan
    with pytest.raises(ValueError, match="projection 7 has 1 values that are not finite"):
        sink.add(spoiled, [7])
    with pytest.raises(ValueError, match=r"outside 0\.\.89"):
        sink.add(good, [90])
    with pytest.raises(ValueError, match="expected"):
        sink.add(good[:, :4], [0])
    with pytest.raises(ValueError, match="index has type float64"):
        sink.add(good, [2.5])
    with pytest.raises(ValueError, match="complex128 values in projections"):
        sink.add(good + 1j, [0])
    with pytest.raises(ValueError, match="masked values in projections"):
        sink.add(np.ma.masked_equal(good, 0.0), [0])
    with pytest.raises(ValueError, match="no projection has been added"):
        sink.volume()
    sink.add(good, [0])
    with pytest.raises(ValueError, match="projection 0 was added before"):
        sink.add(good, [0])
