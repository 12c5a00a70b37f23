"""Displacement across an edge: the contrast changes, the position does not; an alarm where it cannot be known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.registration import find_shift, find_similarity, find_stack_shift


def particle(
    size: int, contrast: float, shift: tuple[float, float] = (0.0, 0.0), magnification: float = 1.0
) -> NDArray[np.float64]:
    """Optical density of a porous sphere whose absorption is `contrast`, among binder grains whose absorption stays."""
    rng = np.random.default_rng(11)
    middle = 0.5 * (size - 1)
    y = ((np.arange(size) - middle - shift[0]) / magnification / size)[:, None]
    x = ((np.arange(size) - middle - shift[1]) / magnification / size)[None]
    spheres = [(0.0, 0.0, 0.33, contrast)]
    for _ in range(60):
        turn, away = 2 * np.pi * rng.random(), 0.28 * np.sqrt(rng.random())
        spheres.append((away * np.cos(turn), away * np.sin(turn), rng.uniform(0.008, 0.025), -contrast))
    spheres += [(*rng.uniform(-0.45, 0.45, 2), rng.uniform(0.01, 0.03), 0.3) for _ in range(30)]
    out = np.zeros((size, size))
    blur = 1.2 / size
    for cx, cy, radius, weight in spheres:
        inside = radius**2 - (x - cx) ** 2 - (y - cy) ** 2
        # a smooth square root: the resolution of the microscope
        out += weight * 2 * np.sqrt(0.5 * (inside + np.hypot(inside, radius * blur))) / 0.66
    return out


def counted(optical_density: NDArray[np.float64], photons: float, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return -np.log(np.maximum(rng.poisson(photons * np.exp(-optical_density)), 1) / photons)


def test_shift_across_the_edge_is_within_three_hundredths_of_a_pixel() -> None:
    reference = counted(particle(512, 0.9), 3000, 0)
    errors = []
    for k, shift in enumerate([(5.31, -7.77), (-0.42, 2.6), (7.9, 0.15), (-3.05, -6.5)]):
        found = find_shift(reference, counted(particle(512, 1.6, shift), 3000, k + 1))
        assert found.trusted
        errors.append((found.dy - shift[0], found.dx - shift[1]))
    assert np.sqrt(np.mean(np.square(errors))) < 0.03


def test_sigma_is_the_scatter_of_the_error() -> None:
    truth = particle(160, 1.0), particle(160, 1.0, (1.3, -2.2))
    found = [find_shift(counted(truth[0], 800, 2 * k), counted(truth[1], 800, 2 * k + 1)) for k in range(24)]
    scatter = np.std([(s.dy, s.dx) for s in found], axis=0).mean()
    # 48 values tell a standard deviation to 10 %
    assert scatter == pytest.approx(np.mean([s.sigma for s in found]), rel=0.35)


def test_a_stack_is_more_certain_than_one_projection() -> None:
    shift = (2.2, -1.7)
    reference = [counted(particle(96, 0.9), 500, k) for k in range(16)]
    moving = [counted(particle(96, 1.4, shift), 500, 100 + k) for k in range(16)]
    one, many = find_shift(reference[0], moving[0]), find_stack_shift(reference, moving)
    assert many.sigma < 0.5 * one.sigma
    assert np.hypot(many.dy - shift[0], many.dx - shift[1]) < 0.05


def dirt(size: int, strength: float) -> NDArray[np.float64]:
    """Optical density of specks and two scratches on the detector."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:size, :size]
    out = np.zeros((size, size))
    for cy, cx, width in zip(*rng.uniform(0, size, (2, 40)), rng.uniform(1.5, 4.5, 40), strict=True):
        out += strength * np.exp(-0.5 * ((y - cy) ** 2 + (x - cx) ** 2) / width**2)
    for turn, place in ((0.4, 0.9 * size), (2.0, 0.2 * size)):
        out += 0.5 * strength * np.exp(-0.5 * ((y * np.cos(turn) + x * np.sin(turn) - place) / 1.2) ** 2)
    return out


@pytest.mark.parametrize("strength", [0.0, 0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("shift", [(1.2, -0.7), (5.3, -7.7), (20.3, 11.7)])
def test_dirt_on_the_detector_pulls_no_trusted_shift(strength: float, shift: tuple[float, float]) -> None:
    fixed = dirt(256, strength)
    reference = counted(particle(256, 0.9) + fixed, 3000, 0)
    found = find_shift(reference, counted(particle(256, 1.6, shift) + fixed, 3000, 1))
    off = np.hypot(found.dy - shift[0], found.dx - shift[1])
    assert not found.trusted or off < 4 * found.sigma  # beyond four sigma once in a thousand
    assert found.trusted or strength > 0


def test_in_a_stack_dirt_on_the_detector_does_not_matter(blobs) -> None:
    angles, shift = np.arange(12) * 15.0, (0.4, -1.3)
    fixed = 3 * dirt(96, 0.3)  # three times as dark as the object
    here = blobs.projections(angles, (96, 96), axis=47.5)
    there = 1.6 * blobs.projections(angles, (96, 96), axis=47.5, shift=shift)
    found = find_stack_shift(counted(here + fixed, 1000, 0), counted(there + fixed, 1000, 1))
    assert found.trusted
    assert np.hypot(found.dy - shift[0], found.dx - shift[1]) < 4 * found.sigma
    assert found.sigma < 0.03


def test_a_stack_of_one_angle_is_compared_as_it_is() -> None:
    """Nothing is left of it without what stays."""
    reference = [counted(particle(96, 0.9), 500, k) for k in range(4)]
    moving = [counted(particle(96, 1.4, (2.2, -1.7)), 500, 100 + k) for k in range(4)]
    found = find_stack_shift(reference, moving)
    assert found.trusted
    assert np.hypot(found.dy - 2.2, found.dx + 1.7) < 4 * found.sigma


def test_a_hot_pixel_in_both_images_raises_the_alarm() -> None:
    images = [counted(particle(256, 0.9), 1000, 0), counted(particle(256, 1.6, (3.3, -2.4)), 1000, 1)]
    for image in images:
        image[100, 100] = 50.0
    assert not find_shift(*images).trusted


def test_a_slope_of_the_illumination_does_not_pull_the_shift() -> None:
    slope = 2.0 * np.linspace(0.0, 1.0, 256)
    reference = counted(particle(256, 0.9), 1000, 0)
    moving = counted(particle(256, 1.6, (3.3, -2.4)), 1000, 1)
    level, sloping = find_shift(reference, moving), find_shift(reference, moving + slope)
    assert (sloping.dy, sloping.dx) == pytest.approx((level.dy, level.dx), abs=1e-3)
    empty = np.zeros((256, 256))
    assert not find_shift(counted(empty, 1000, 2) + slope, counted(empty, 1000, 3) + slope).trusted


@pytest.mark.parametrize("photons", [100, 1000, 10000])
def test_sigma_holds_at_every_noise(photons: float) -> None:
    """Photon noise is strongest where the particle is thick, which is where its structure is."""
    rng = np.random.default_rng(0)
    reference, pulls = particle(128, 0.9), []
    for k in range(16):
        shift = tuple(rng.uniform(-4, 4, 2))
        found = find_shift(counted(reference, photons, 2 * k), counted(particle(128, 1.6, shift), photons, 2 * k + 1))
        pulls += [(found.dy - shift[0]) / found.sigma, (found.dx - shift[1]) / found.sigma]
    # 32 values tell a standard deviation to 13 %
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.4


@pytest.mark.parametrize("shape", [(127, 250), (33, 47), (96, 61)])
def test_images_need_not_be_square_nor_even(shape: tuple[int, int]) -> None:
    """Nor need the particle fit: where it is wider than the field, the window holds most of the shift back."""
    size = max(shape)
    cut = tuple(slice((size - n) // 2, (size - n) // 2 + n) for n in shape)
    reference, moving = particle(size, 0.9)[cut], particle(size, 1.5, (1.3, -0.4))[cut]
    found = find_shift(counted(reference, 1000, 0), counted(moving, 1000, 1))
    assert found.trusted
    assert np.hypot(found.dy - 1.3, found.dx + 0.4) < 4 * found.sigma


def test_a_particle_that_leaves_the_field_is_measured() -> None:
    reference, moving = particle(256, 0.9, (110.0, 55.0)), particle(256, 1.6, (113.3, 52.6))
    found = find_shift(counted(reference, 1000, 0), counted(moving, 1000, 1))
    assert found.trusted
    assert np.hypot(found.dy - 3.3, found.dx + 2.4) < 4 * found.sigma


def test_an_inverted_contrast_raises_the_alarm() -> None:
    assert not find_shift(counted(particle(128, 0.9), 1000, 0), -counted(particle(128, 0.9, (2, 1)), 1000, 1)).trusted


def test_magnification_known_from_the_optics_is_allowed_for() -> None:
    reference = counted(particle(256, 0.9), 3000, 0)
    moving = counted(particle(256, 1.5, (3.3, -2.4), 1.06), 3000, 1)
    found = find_shift(reference, moving, magnification=1.06)
    assert np.hypot(found.dy - 3.3, found.dx + 2.4) < 0.05
    blind = find_shift(reference, moving)
    assert blind.quality < found.quality


@pytest.mark.parametrize("magnification", [0.985, 1.012])
def test_similarity_finds_the_magnification_too(magnification: float) -> None:
    reference = counted(particle(512, 0.9), 3000, 0)
    moving = counted(particle(512, 1.5, (3.3, -2.4), magnification), 3000, 1)
    found = find_similarity(reference, moving)
    assert found.shift.trusted
    assert abs(found.magnification - magnification) < 2e-4  # 0.05 px at the rim of the field
    assert abs(found.magnification - magnification) < 4 * found.magnification_sigma
    assert np.hypot(found.shift.dy - 3.3, found.shift.dx + 2.4) < 0.06


def test_different_objects_raise_the_alarm() -> None:
    reference = counted(particle(128, 1.0), 1000, 0)
    found = find_shift(reference, np.random.default_rng(5).normal(1.0, 0.03, (128, 128)))
    assert not found.trusted
    assert found.reason


def test_a_shift_beyond_the_limit_raises_the_alarm() -> None:
    reference = particle(256, 1.0)
    found = find_shift(reference, particle(256, 1.0, (0.0, 12.0)), max_shift=8.0)
    assert not found.trusted


def test_straight_lines_raise_the_alarm() -> None:
    across = np.exp(-((np.arange(256) - 128.0) ** 2) / 50)
    found = find_shift(
        counted(np.tile(across, (256, 1)), 1000, 0), counted(np.tile(np.roll(across, 2), (256, 1)), 1000, 1)
    )
    assert not found.trusted
    assert "straight lines" in found.reason


def test_a_lattice_raises_the_alarm() -> None:
    wave = np.cos(2 * np.pi * np.arange(256) / 16)
    image = 1 + 0.3 * wave[:, None] * wave
    found = find_shift(counted(image, 1000, 0), counted(np.roll(image, (3, 2), (0, 1)), 1000, 1))
    assert not found.trusted


def test_an_image_lies_on_itself() -> None:
    image = counted(particle(256, 1.0), 1000, 0)
    found = find_shift(image, image)
    assert found.trusted
    assert (found.dy, found.dx) == pytest.approx((0.0, 0.0), abs=1e-3)


def test_an_empty_image_raises_the_alarm_and_gives_no_number() -> None:
    found = find_shift(particle(64, 1.0), np.zeros((64, 64)))
    assert not found.trusted
    assert np.isnan(found.dx)
    assert "no structure" in found.reason


def test_bad_images_are_refused() -> None:
    image = particle(64, 1.0)
    spoiled = image.copy()
    spoiled[3, 4] = np.nan
    with pytest.raises(ValueError, match="moving image 0 has values that are not finite"):
        find_shift(image, spoiled)
    with pytest.raises(ValueError, match="shape"):
        find_shift(image, image[:32])
    with pytest.raises(ValueError, match="smaller than 16"):
        find_shift(image[:8], image[:8])
