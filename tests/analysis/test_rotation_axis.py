"""Where the axis is, how sure that is, and when it cannot be told."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from analysis.rotation_axis import RotationAxisError, find_axis


def noisy(projections: NDArray[np.float64], photons: float = 3000, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return -np.log(np.maximum(rng.poisson(photons * np.exp(-projections)), 1) / photons)


@pytest.mark.parametrize("axis", [45.13, 51.9])
@pytest.mark.parametrize("count", [31, 60])
def test_axis_of_an_object_inside_the_field(blobs, axis: float, count: int) -> None:
    angles = np.arange(count) * 180.0 / count
    found = find_axis(noisy(blobs.projections(angles, (48, 96), axis=axis)), angles)
    assert found.method == "both"
    assert abs(found.column - axis) < 0.05
    assert abs(found.column - axis) < 4 * found.sigma


def test_axis_of_an_object_that_leaves_the_field(blobs) -> None:
    angles, axis = np.linspace(0.0, 180.0, 121), 16.37
    found = find_axis(noisy(blobs.projections(angles, (48, 32), axis=axis)), angles)
    assert found.method == "opposite"
    assert abs(found.column - axis) < 0.05


def test_the_angle_that_opposite_views_lack_is_allowed_for(blobs) -> None:
    angles, axis = np.arange(90) * 2.0, 44.8
    found = find_axis(noisy(blobs.projections(angles, (48, 96), axis=axis)), angles, method="opposite")
    assert abs(found.column - axis) < 0.05


def test_a_full_turn_gives_many_opposite_views(blobs) -> None:
    angles, axis = np.arange(120) * 3.0, 44.8
    found = find_axis(noisy(blobs.projections(angles, (48, 96), axis=axis), 500), angles, method="opposite")
    assert abs(found.column - axis) < 0.05
    assert found.sigma < 0.02


def test_sigma_is_the_scatter_of_the_axis(blobs) -> None:
    angles = np.arange(40) * 4.5
    clean = blobs.projections(angles, (48, 96), axis=46.2)
    found = [find_axis(noisy(clean, 500, seed), angles) for seed in range(25)]
    scatter = np.std([f.column for f in found])
    # 25 values tell a standard deviation to 14 %
    assert scatter == pytest.approx(np.mean([f.sigma for f in found]), rel=0.45)


def test_uneven_background_does_not_pull_the_axis(blobs) -> None:
    angles, axis = np.arange(60) * 3.0, 50.4
    drift = np.random.default_rng(2).normal(0.0, 0.01, (60, 1, 1)) * np.linspace(0.5, 1.5, 96)
    found = find_axis(noisy(blobs.projections(angles, (48, 96), axis=axis) + drift), angles)
    assert abs(found.column - axis) < 0.05


def pattern(kind: str, shape: tuple[int, int], seed: int) -> NDArray[np.float64]:
    """Optical density that stays on the detector, standard deviation 1."""
    noise = np.random.default_rng(seed).normal(size=shape)
    if kind == "pixels":
        return noise
    if kind == "columns":
        return np.tile(noise[0], (shape[0], 1))
    broad = gaussian_filter(noise, 3)
    return broad / broad.std()


ORDERS = {
    "half open": np.arange(61) * 180 / 61,
    "closed": np.linspace(0, 180, 61),
    "full turn": np.arange(60) * 6.0,
    "golden": np.arange(61) * 180 * (np.sqrt(5) - 1) / 2 % 180,
}


@pytest.mark.parametrize("kind", ["pixels", "columns", "broad"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("width", "axis"), [(97, 34.1), (33, 16.4)])
def test_what_stays_on_the_detector_does_not_pull_the_axis(blobs, kind, order, width, axis) -> None:
    """Axis far off the middle and the object inside the field, and an object that leaves it."""
    angles = ORDERS[order]
    stuck = 0.03 * pattern(kind, (48, width), 1)
    views = noisy(blobs.projections(angles, (48, width), axis=axis), 10000) + stuck
    found = find_axis(views, angles, method="opposite")
    assert abs(found.column - axis) < 0.05
    assert abs(found.column - axis) < 4 * found.sigma


def test_an_object_alike_from_both_sides_has_an_axis(blobs) -> None:
    """Little is left of the difference of its views; an object that is round about its axis has its moments alone."""
    angles, axis = np.linspace(0, 180, 61), 44.3
    round_one = np.exp(-(((np.arange(96) - axis) / 12) ** 4))
    for part, method in ((0.1, "opposite"), (0.0, None)):
        views = noisy(round_one + part * blobs.projections(angles, (48, 96), axis=axis), 3000)
        found = find_axis(views + 0.01 * pattern("pixels", (48, 96), 1), angles, method=method)
        assert abs(found.column - axis) < max(0.05, 4 * found.sigma)
        assert found.sigma < 0.05


@pytest.mark.parametrize(("kind", "strength"), [("pixels", 0.02), ("columns", 0.003)])
def test_moments_know_what_stays_on_the_detector(blobs, kind, strength) -> None:
    """Without opposite views nothing takes it off: sigma holds, or the axis is refused."""
    angles, axis, pulls = np.linspace(0.0, 150.0, 51), 46.3, []
    clean = blobs.projections(angles, (48, 96), axis=axis)
    for seed in range(20):
        views = noisy(clean, 10000, seed) + strength * pattern(kind, (48, 96), seed)
        try:
            found = find_axis(views, angles, max_sigma=2.0)
        except RotationAxisError:
            continue
        pulls.append((found.column - axis) / found.sigma)
    assert len(pulls) > 5
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5  # 20 values tell a standard deviation to 16 %


def test_an_object_all_over_the_field_says_nothing_of_what_stays(blobs) -> None:
    angles = np.linspace(0.0, 150.0, 51)
    with pytest.raises(RotationAxisError, match="columns beside the object are too few"):
        find_axis(noisy(blobs.projections(angles, (48, 54), axis=26.6), 10000), angles)


def test_it_refuses_when_the_object_leaves_the_field_and_no_view_is_opposite(blobs) -> None:
    angles = np.linspace(0.0, 140.0, 71)
    projections = noisy(blobs.projections(angles, (48, 32), axis=16.4))
    with pytest.raises(RotationAxisError, match=r"not inside the field.*half a turn"):
        find_axis(projections, angles)


def test_it_refuses_when_the_two_ways_contradict_each_other(blobs) -> None:
    angles = np.linspace(0.0, 180.0, 61)
    projections = blobs.projections(angles, (48, 96), axis=47.0)
    projections[1:-1] = blobs.projections(angles[1:-1], (48, 96), axis=49.0)  # the stage jumped, twice
    with pytest.raises(RotationAxisError, match="apart"):
        find_axis(noisy(projections), angles)


def test_it_refuses_an_empty_field() -> None:
    angles = np.arange(60) * 3.0
    with pytest.raises(RotationAxisError, match=r"no object|faint"):
        find_axis(noisy(np.zeros((60, 32, 64))), angles)


def test_it_refuses_an_empty_field_with_an_uneven_flat() -> None:
    angles = np.arange(61) * 3.0
    rng = np.random.default_rng(3)
    pattern = gaussian_filter(rng.normal(size=(64, 128)), 3) * 0.5
    with pytest.raises(RotationAxisError, match=r"correlate|px of the axis|did not turn"):
        find_axis(noisy(np.zeros((61, 64, 128))) + pattern, angles)


def test_it_refuses_an_object_that_does_not_turn(blobs) -> None:
    still = np.repeat(blobs.projections([20.0], (48, 96), axis=45.0), 61, axis=0)
    with pytest.raises(RotationAxisError, match="did not turn"):
        find_axis(noisy(still), np.arange(61) * 3.0, method="opposite")


def test_an_axis_at_the_rim_of_the_field_is_found_or_refused(blobs) -> None:
    """Views that overlap by a fifth match anywhere; that is no axis."""
    angles = np.linspace(0.0, 180.0, 61)
    for axis in (3.0, 8.0, 20.0):
        projections = noisy(blobs.projections(angles, (48, 64), axis=axis))
        try:
            found = find_axis(projections, angles)
        except RotationAxisError:
            continue
        assert abs(found.column - axis) < 0.05


def test_it_refuses_too_small_a_range_of_angles(blobs) -> None:
    angles = np.linspace(0.0, 30.0, 20)
    with pytest.raises(RotationAxisError, match=r"angles over 30\.0 degrees"):
        find_axis(blobs.projections(angles, (48, 96), axis=47.0), angles)


def test_each_way_stands_alone(blobs) -> None:
    angles, axis = np.arange(60) * 3.0, 44.8
    projections = noisy(blobs.projections(angles, (48, 96), axis=axis))
    for method in ("moments", "opposite"):
        found = find_axis(projections, angles, method=method)
        assert abs(found.column - axis) < 4 * found.sigma


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        find_axis(np.zeros((10, 8, 8)), np.arange(9))
