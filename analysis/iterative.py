"""Reconstruction from few projections: accelerated SIRT with a matched pair of operators, never negative."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis import backprojection as kernels
from analysis.numbers import not_finite, real_array, whole_number
from analysis.projection_geometry import ProjectionGeometry
from analysis.resampling import resample_rows
from analysis.threads import available_threads, run_tasks
from analysis.volume import Volume

__all__ = ["sirt"]

_LEAST_WEIGHT = 1e-3
_GRAZING = 0.5  # line integral of the dome, in voxels; rays with less only graze the circle


@dataclass(frozen=True, slots=True)
class _Operators:
    """Projection and back-projection of one slab; the angles are filled up to a whole number of passes."""

    cosines: NDArray[np.float32]
    sines: NDArray[np.float32]
    centres: NDArray[np.float32]
    geometry: ProjectionGeometry
    threads: int

    @staticmethod
    def of(geometry: ProjectionGeometry, threads: int) -> _Operators:
        """Operators of a geometry whose voxels are as large as its pixels."""
        count = -(-len(geometry.angles) // kernels.ANGLES_PER_PASS) * kernels.ANGLES_PER_PASS
        radians = np.resize(np.deg2rad(geometry.angles), count)
        return _Operators(
            cosines=np.cos(radians).astype(np.float32),
            sines=np.sin(radians).astype(np.float32),
            centres=np.resize(geometry.centres, count),
            geometry=geometry,
            threads=threads,
        )

    def empty_sinogram(self) -> NDArray[np.float32]:
        """Flat zeros (angle, sample, lane)."""
        return kernels.aligned_zeros(len(self.cosines) * self.geometry.samples * kernels.LANES)

    def empty_image(self) -> NDArray[np.float32]:
        """Flat zeros (y, x, lane)."""
        return kernels.aligned_zeros(self.geometry.size**2 * kernels.LANES)

    def project(self, image: NDArray[np.float32], sinogram: NDArray[np.float32]) -> None:
        """Sinogram of an image: line integrals in voxels."""
        sinogram[:] = 0.0
        table, size = (self.cosines, self.sines, self.centres), self.geometry.size

        def some_angles(bounds: tuple[int, int]) -> None:
            kernels.project(image, size, *table, sinogram, self.geometry.samples, *bounds)

        run_tasks(some_angles, _pieces(len(self.cosines), self.threads), self.threads)

    def back_project(self, sinogram: NDArray[np.float32], image: NDArray[np.float32]) -> None:
        """Image of a sinogram, by the adjoint of `project`."""
        image[:] = 0.0
        table, size = (self.cosines, self.sines, self.centres), self.geometry.size

        def some_rows(bounds: tuple[int, int]) -> None:
            kernels.back_project(sinogram, self.geometry.samples, *table, image, size, (0, 0, size), *bounds)

        run_tasks(some_rows, _pieces(size, self.threads), self.threads)

    def on_samples(self, stack: NDArray[np.float32]) -> NDArray[np.float32]:
        """Projections (angle, row, column) as a flat sinogram slab; zero off the detector."""
        flat = self.empty_sinogram()
        sinogram = flat.reshape(-1, self.geometry.samples, kernels.LANES)
        for a, start in enumerate(self.geometry.first_columns.tolist()):
            first, last = max(start, 0), min(start + self.geometry.samples, self.geometry.columns)
            sinogram[a, first - start : last - start, : stack.shape[1]] = stack[a, :, first:last].T
        return flat

    def weights(self) -> _Weights:
        """What a slab needs besides its projections; nothing off the detector counts."""
        shape = (len(self.geometry.angles), kernels.LANES, self.geometry.columns)
        counted = self.on_samples(np.ones(shape, dtype=np.float32))
        image, rays = self.empty_image(), self.empty_sinogram()
        image[:] = 1.0
        self.project(image, rays)
        rays = _inverse(rays)
        excess = self._excess()
        counted /= excess
        self.back_project(counted, image)
        return _Weights(excess, rays * counted, _inverse(image))

    def _excess(self) -> NDArray[np.float32]:
        """Projection of a dome of attenuation over its exact line integrals, flat (angle, sample, lane)."""
        radius = 0.5 * max(self.geometry.size - 1, 1)
        axis = np.arange(self.geometry.size) - 0.5 * (self.geometry.size - 1)
        dome = np.maximum(1.0 - (axis[:, None] ** 2 + axis**2) / radius**2, 0.0).astype(np.float32)
        projected = self.empty_sinogram()
        self.project(np.repeat(dome.ravel(), kernels.LANES), projected)
        away = np.arange(self.geometry.samples) - self.centres[:, None]
        exact = 4.0 / 3.0 * np.maximum(radius**2 - away**2, 0.0) ** 1.5 / radius**2
        exact = np.repeat(exact.astype(np.float32).ravel(), kernels.LANES)
        return np.where(exact > _GRAZING, projected / np.maximum(exact, _GRAZING), 1.0).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Weights:
    """Flat weights of the rays and voxels of a slab.

    Attributes
    ----------
    excess : what the projection of a smooth object is, over what it should be. It differs from 1 by up to a tenth, from
        ray to ray, where many voxels fall on the same place of a sample (at 45 degrees, say); projections are
        multiplied by it, or the image would get a grain that makes up for the difference
    rays, voxels : inverse weights of rays and voxels
    """

    excess: NDArray[np.float32]
    rays: NDArray[np.float32]
    voxels: NDArray[np.float32]


def sirt(
    projections: ArrayLike,
    angles: ArrayLike,
    *,
    axis: float,
    pixel_size: float = 1.0,
    shifts: ArrayLike | None = None,
    size: int | None = None,
    iterations: int = 30,
    smallest: float | None = 0.0,
    threads: int | None = None,
) -> Volume:
    """Simultaneous iterative reconstruction, bounded from below and accelerated by momentum.

    Each step spreads what the projections still lack back along their rays, divided by the length of the rays and
    the weight of the voxels. Stopped early it is smooth; the bound at zero brings back much of what few angles
    leave open.

    Parameters
    ----------
    projections : (angle, row, column), optical density
    angles : degrees (angle,)
    axis : column of the rotation axis
    pixel_size : um; the voxels have the same size
    shifts : pixels (dy, dx), one pair or one per angle, as in `analysis.tomography.FilteredBackProjection`
    size : voxels along x and y; None takes the number of columns. The inscribed circle is reconstructed; unlike in
        filtered back-projection, nothing may lie beyond both this circle and that of the detector's width
    iterations : steps; more is sharper and noisier
    smallest : lower bound of the attenuation, 1/um; None for no bound
    threads : None uses all processors of this process

    Returns
    -------
    Volume
        with `noise_gain` NaN: the noise of a bounded iteration depends on the object

    Raises
    ------
    ValueError
        for shapes that do not fit, values that are not finite or options out of range

    Sources: J. Gregor and T. Benson, IEEE Trans. Med. Imaging 27, 918 (2008), doi:10.1109/TMI.2008.923696 (weights);
    A. Beck and M. Teboulle, SIAM J. Imaging Sci. 2, 183 (2009), doi:10.1137/080716542 (momentum).
    """
    stack = _checked(projections)
    iterations = whole_number("iterations", iterations)
    if smallest is not None and not math.isfinite(smallest):
        raise ValueError(f"smallest {smallest} 1/um is not a finite number; None sets no bound")
    wanted = ProjectionGeometry.checked(
        angles, (stack.shape[1], stack.shape[2]), axis=axis, pixel_size=pixel_size, shifts=shifts, size=size
    )
    margin = max(math.ceil(0.5 * (wanted.columns - wanted.size)), 0)  # what is not wanted is in the rays too
    geometry = replace(wanted, size=wanted.size + 2 * margin)
    if len(stack) != len(geometry.angles):
        raise ValueError(f"projections have shape {stack.shape}, expected ({len(geometry.angles)}, row, column)")
    stack, seen = _straightened(stack, geometry)
    operators = _Operators.of(geometry, available_threads(threads))
    bound = np.float32(-math.inf if smallest is None else smallest * pixel_size)
    values = np.empty((wanted.n_slices, wanted.size, wanted.size), dtype=np.float32)
    middle = slice(margin, margin + wanted.size)
    weights = operators.weights()
    for first in range(0, len(values), kernels.LANES):
        measured = operators.on_samples(stack[:, first : first + kernels.LANES]) * weights.excess
        image = _solve(operators, measured, weights, iterations, bound)
        slab = image.reshape(geometry.size, geometry.size, kernels.LANES)[middle, middle]
        part = values[first : first + kernels.LANES]
        whole = wanted.size, (0, 0, wanted.size), 0, wanted.size
        kernels.deinterleave(np.ascontiguousarray(slab), np.float32(1.0 / pixel_size), np.float32(0.0), part, *whole)
    values[~seen] = np.nan
    return Volume(
        values=values,
        voxel_size=geometry.voxel_size,
        noise_gain=math.nan,
        angles_used=len(stack),
        field_radius=geometry.field_radius(),
        measured=seen,
    )


def _solve(
    operators: _Operators,
    measured: NDArray[np.float32],
    weights: _Weights,
    iterations: int,
    bound: np.float32,
) -> NDArray[np.float32]:
    """Accelerated, bounded steps from an empty image."""
    image, ahead, change = (operators.empty_image() for _ in range(3))
    residual = operators.empty_sinogram()
    momentum = 1.0
    for _ in range(iterations):
        operators.project(ahead, residual)
        np.subtract(measured, residual, out=residual)
        residual *= weights.rays
        operators.back_project(residual, change)
        change *= weights.voxels
        change += ahead
        np.maximum(change, bound, out=change)
        following = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum**2))
        np.subtract(change, image, out=ahead)
        ahead *= np.float32((momentum - 1.0) / following)
        ahead += change
        image, change = change, image
        momentum = following
    return image


def _straightened(
    stack: NDArray[np.float32], geometry: ProjectionGeometry
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Projections with their vertical shifts undone, and the rows that all of them have seen."""
    seen = np.ones(geometry.rows, dtype=np.bool_)
    out = stack
    for dy, taps in geometry.row_taps().items():
        if taps is None:
            continue
        out = stack.copy() if out is stack else out
        seen &= taps.inside
        for k in np.flatnonzero(geometry.shifts[:, 0] == dy):
            resample_rows(np.ascontiguousarray(stack[k]), taps.first, taps.weights, out[k])
    return out, seen


def _pieces(count: int, threads: int) -> list[tuple[int, int]]:
    bounds = np.linspace(0, count, (1 if threads == 1 else 4 * threads) + 1).astype(int).tolist()
    return [(a, b) for a, b in itertools.pairwise(bounds) if b > a]


def _inverse(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """One over the values, 0 where there is next to nothing."""
    return np.where(values > _LEAST_WEIGHT, 1.0 / np.maximum(values, _LEAST_WEIGHT), 0.0).astype(np.float32)


def _checked(projections: ArrayLike) -> NDArray[np.float32]:
    stack = real_array("projections", projections, np.float32)
    if stack.ndim != 3 or stack.size == 0:
        raise ValueError(f"projections have shape {stack.shape}, expected (angle, row, column)")
    finite = np.isfinite(stack.sum(axis=(1, 2), dtype=np.float64))
    if not finite.all():
        raise not_finite("projection", stack)
    return stack
