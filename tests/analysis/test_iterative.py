"""Few angles: the bounded iteration is nearer to the object than filtered back-projection, and never negative."""

import numpy as np
import pytest

from analysis import backprojection as kernels
from analysis.iterative import sirt
from analysis.tomography import reconstruct

FEW = np.arange(15) * 12.0


def rms(a: np.ndarray) -> float:
    return float(np.sqrt(np.mean(a**2)))


def test_few_angles_are_better_than_filtered_back_projection(blobs) -> None:
    rng = np.random.default_rng(0)
    clean = blobs.projections(FEW, (16, 64), axis=31.2)
    noisy = clean + rng.normal(0.0, 0.02, clean.shape)
    truth = blobs.volume((16, 64, 64), voxel_size=1.0)
    iterated = sirt(noisy, FEW, axis=31.2, iterations=20)
    direct = reconstruct(noisy, FEW, axis=31.2)
    assert iterated.values.min() >= 0.0
    assert rms(iterated.values - truth) < 0.6 * rms(direct.values - truth)


@pytest.mark.parametrize("step", [9.0, 15.0])
def test_angles_that_meet_the_grid_leave_no_grain(step) -> None:
    """At 45 degrees the voxels of a diagonal share one place on the detector; a disc comes out flat all the same."""
    angles, column = np.arange(0.0, 180.0, step), np.arange(64) - 31.5
    chord = 2 * np.sqrt(np.maximum(22.0**2 - column**2, 0.0))
    projections = np.tile(chord, (len(angles), 1, 1))
    inside = np.hypot(*(np.indices((64, 64)) - 31.5)) < 18
    flat = sirt(projections, angles, axis=31.5, iterations=30).values[0][inside]
    assert flat.mean() == pytest.approx(1.0, abs=0.005)
    assert flat.std() < 0.02


def test_attenuation_has_the_right_size_and_unit(blobs) -> None:
    truth = blobs.volume((16, 64, 64))
    volume = sirt(blobs.projections(FEW, (16, 64), axis=31.5), FEW, axis=31.5, iterations=60).values
    assert volume.sum() == pytest.approx(truth.sum(), rel=0.01)
    half = sirt(blobs.projections(FEW, (16, 64), axis=31.5), FEW, axis=31.5, iterations=60, pixel_size=0.5)
    np.testing.assert_allclose(half.values, 2.0 * volume, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("size", [31, 32])
def test_a_part_of_the_field_is_that_part_of_the_whole(blobs, size) -> None:
    stack = blobs.projections(FEW, (4, 64), axis=31.5)
    part = sirt(stack, FEW, axis=31.5, size=size, iterations=10).values
    truth = blobs.volume((4, size, size))
    seen = np.hypot(*(np.indices((size, size)) - 0.5 * (size - 1))) < 14
    assert rms((part - truth)[:, seen]) < 0.05 * truth.max()


def test_shifts_of_single_projections_are_undone(blobs) -> None:
    shifts = np.random.default_rng(1).uniform(-2, 2, (15, 2))
    stack = np.concatenate([blobs.projections(FEW[k : k + 1], (8, 64), axis=31.5, shift=shifts[k]) for k in range(15)])
    truth = blobs.volume((8, 64, 64))
    volume = sirt(stack, FEW, axis=31.5, shifts=shifts)
    assert volume.measured.sum() >= 4
    assert rms((volume.values - truth)[volume.measured]) < 0.03 * truth.max()


def test_projection_is_the_adjoint_of_back_projection() -> None:
    rng = np.random.default_rng(2)
    size, samples = 21, 24
    radians = np.linspace(0.1, 3.0, kernels.ANGLES_PER_PASS)
    cosines, sines = np.cos(radians).astype(np.float32), np.sin(radians).astype(np.float32)
    centres = np.full(len(radians), 11.3, dtype=np.float32)
    image, back = (kernels.aligned_zeros(size * size * kernels.LANES) for _ in range(2))
    forward, data = (kernels.aligned_zeros(len(radians) * samples * kernels.LANES) for _ in range(2))
    image[:] = rng.normal(size=image.size)
    data[:] = rng.normal(size=data.size)
    kernels.project(image, size, cosines, sines, centres, forward, samples, 0, len(radians))
    kernels.back_project(data, samples, cosines, sines, centres, back, size, (0, 0, size), 0, size)
    # sums of 100 000 float32 products
    assert np.dot(forward.astype(float), data) == pytest.approx(np.dot(image.astype(float), back), rel=1e-4)


def test_bad_input_is_refused(blobs) -> None:
    stack = blobs.projections(FEW, (4, 32), axis=15.5)
    with pytest.raises(ValueError, match="iterations 0 is below 1"):
        sirt(stack, FEW, axis=15.5, iterations=0)
    with pytest.raises(ValueError, match=r"iterations 2\.5 is not a whole number"):
        sirt(stack, FEW, axis=15.5, iterations=2.5)
    with pytest.raises(ValueError, match="smallest nan"):
        sirt(stack, FEW, axis=15.5, smallest=np.nan)
    with pytest.raises(ValueError, match="complex128 values in projections"):
        sirt(stack + 0j, FEW, axis=15.5)
    with pytest.raises(ValueError, match=r"axis 40.0 is outside columns"):
        sirt(stack, FEW, axis=40.0)
    stack[3, 0, 0] = np.nan
    with pytest.raises(ValueError, match="projection 3 has 1 values that are not finite"):
        sirt(stack, FEW, axis=15.5)
