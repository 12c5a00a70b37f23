"""Reconstruction from few projections: accelerated SIRT with a matched pair of operators, never negative."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis import backprojection as kernels
from analysis.angles import checked_angles
from analysis.threads import available_threads, run_tasks
from analysis.tomography import Volume

__all__ = ["sirt"]

_FEWEST_VOXELS = 1e-3


@dataclass(frozen=True, slots=True)
class _Geometry:
    """Angles of a slab, filled up to a whole number of passes, and the samples that lie on the detector."""

    cosines: NDArray[np.float32]
    sines: NDArray[np.float32]
    centres: NDArray[np.float32]
    starts: NDArray[np.int64]
    samples: int
    size: int
    threads: int

    @property
    def angles(self) -> int:
        """Number of angles, the filling included."""
        return len(self.cosines)

    def empty_sinogram(self) -> NDArray[np.float32]:
        """Flat zeros (angle, sample, lane)."""
        return kernels.aligned_zeros(self.angles * self.samples * kernels.LANES)

    def empty_image(self) -> NDArray[np.float32]:
        """Flat zeros (y, x, lane)."""
        return kernels.aligned_zeros(self.size * self.size * kernels.LANES)

    def project(self, image: NDArray[np.float32], sinogram: NDArray[np.float32]) -> None:
        """Sinogram of an image: line integrals in voxels."""
        sinogram[:] = 0.0

        def some_angles(bounds: tuple[int, int]) -> None:
            kernels.project(image, self.size, self.cosines, self.sines, self.centres, sinogram, self.samples, *bounds)

        run_tasks(some_angles, _pieces(self.angles, self.threads), self.threads)

    def back_project(self, sinogram: NDArray[np.float32], image: NDArray[np.float32]) -> None:
        """Image of a sinogram, by the adjoint of `project`."""
        image[:] = 0.0

        def some_rows(bounds: tuple[int, int]) -> None:
            kernels.back_project(
                sinogram, self.samples, self.cosines, self.sines, self.centres, image, self.size, *bounds
            )

        run_tasks(some_rows, _pieces(self.size, self.threads), self.threads)


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

    Each step spreads what the projections still lack back along their rays, divided by the length of the rays and the weight
    of the voxels. Stopped early it is smooth; the bound at zero brings back much of what few angles leave open.

    Parameters
    ----------
    projections : (angle, row, column), optical density
    angles : degrees (angle,)
    axis : column of the rotation axis
    pixel_size : um; the voxels have the same size
    shifts : pixels (angle,) or one number; displacement dx of each projection. A vertical one must be taken out before
    size : voxels along x and y; None takes the number of columns. The inscribed circle is reconstructed
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
    stack, degrees = _checked(projections, angles)
    if iterations < 1:
        raise ValueError(f"iterations {iterations} is below 1")
    if not (math.isfinite(pixel_size) and pixel_size > 0):
        raise ValueError(f"pixel_size {pixel_size} um is not above 0")
    count, rows, columns = stack.shape
    if not -0.5 <= axis <= columns - 0.5:
        raise ValueError(f"axis {axis} is outside columns -0.5..{columns - 0.5}")
    moved = axis + np.broadcast_to(np.asarray(0.0 if shifts is None else shifts, dtype=np.float64), (count,))
    width = columns if size is None else size
    geometry = _geometry(degrees, moved, width, available_threads(threads))
    bound = -math.inf if smallest is None else smallest * pixel_size
    values = np.empty((rows, width, width), dtype=np.float32)
    rays, voxels = _inverse_weights(geometry, columns)
    for first in range(0, rows, kernels.LANES):
        part = stack[:, first : first + kernels.LANES]
        image = _solve(geometry, _measured(geometry, part), rays, voxels, iterations, np.float32(bound))
        slab = image.reshape(width, width, kernels.LANES)
        kernels.deinterleave(slab, np.float32(1.0 / pixel_size), np.float32(0.0), values[first : first + kernels.LANES])
    reach = min(float(moved.min()) + 0.5, columns - 0.5 - float(moved.max()))
    return Volume(
        values=values,
        voxel_size=float(pixel_size),
        noise_gain=math.nan,
        angles_used=count,
        field_radius=max(reach, 0.0) * pixel_size,
        measured=np.ones(rows, dtype=np.bool_),
    )


def _solve(
    geometry: _Geometry,
    measured: NDArray[np.float32],
    rays: NDArray[np.float32],
    voxels: NDArray[np.float32],
    iterations: int,
    bound: np.float32,
) -> NDArray[np.float32]:
    """Accelerated, bounded steps from an empty image; `rays` and `voxels` are inverse weights."""
    image, ahead, change = (geometry.empty_image() for _ in range(3))
    residual = geometry.empty_sinogram()
    momentum = 1.0
    for _ in range(iterations):
        geometry.project(ahead, residual)
        np.subtract(measured, residual, out=residual)
        residual *= rays
        geometry.back_project(residual, change)
        change *= voxels
        change += ahead
        np.maximum(change, bound, out=change)
        following = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum**2))
        np.subtract(change, image, out=ahead)
        ahead *= np.float32((momentum - 1.0) / following)
        ahead += change
        image, change = change, image
        momentum = following
    return image


def _geometry(degrees: NDArray[np.float64], axes: NDArray[np.float64], size: int, threads: int) -> _Geometry:
    reach = math.ceil(0.5 * (size - 1))
    padded = -(-len(degrees) // kernels.ANGLES_PER_PASS) * kernels.ANGLES_PER_PASS
    radians = np.resize(np.deg2rad(degrees), padded)
    on_axis = np.resize(axes, padded)
    starts = np.floor(on_axis).astype(np.int64) - reach
    return _Geometry(
        cosines=np.cos(radians).astype(np.float32),
        sines=np.sin(radians).astype(np.float32),
        centres=(on_axis - starts).astype(np.float32),
        starts=np.where(np.arange(padded) < len(degrees), starts, np.iinfo(np.int64).max),
        samples=2 * reach + 2,
        size=size,
        threads=threads,
    )


def _measured(geometry: _Geometry, stack: NDArray[Any]) -> NDArray[np.float32]:
    """Projections (angle, row, column) as a flat sinogram slab; zero off the detector."""
    flat = geometry.empty_sinogram()
    sinogram = flat.reshape(geometry.angles, geometry.samples, kernels.LANES)
    for a in range(len(stack)):
        inputs, outputs = _on_detector(geometry, a, stack.shape[2])
        sinogram[a, outputs, : stack.shape[1]] = stack[a, :, inputs].T
    return flat


def _on_detector(geometry: _Geometry, angle: int, columns: int) -> tuple[slice, slice]:
    """Detector columns of an angle and the samples that they fill."""
    start = int(geometry.starts[angle])
    first, last = max(start, 0), min(start + geometry.samples, columns)
    return slice(first, last), slice(first - start, last - start)


def _inverse_weights(geometry: _Geometry, columns: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One over the length of each ray in the circle, and over the weight of each voxel; 0 for samples off the detector."""
    ones = geometry.empty_image()
    ones[:] = 1.0
    rays = geometry.empty_sinogram()
    geometry.project(ones, rays)
    seen = geometry.empty_sinogram().reshape(geometry.angles, geometry.samples, kernels.LANES)
    for a in np.flatnonzero(geometry.starts < np.iinfo(np.int64).max):
        seen[a, _on_detector(geometry, int(a), columns)[1]] = 1.0
    mask = seen.reshape(-1)
    voxels = geometry.empty_image()
    geometry.back_project(mask, voxels)
    inverse_rays = np.where((rays > _FEWEST_VOXELS) & (mask > 0), 1.0 / np.maximum(rays, _FEWEST_VOXELS), 0.0)
    inverse_voxels = np.where(voxels > _FEWEST_VOXELS, 1.0 / np.maximum(voxels, _FEWEST_VOXELS), 0.0)
    return inverse_rays.astype(np.float32), inverse_voxels.astype(np.float32)


def _pieces(count: int, threads: int) -> list[tuple[int, int]]:
    bounds = np.linspace(0, count, (1 if threads == 1 else 4 * threads) + 1).astype(int).tolist()
    return [(a, b) for a, b in itertools.pairwise(bounds) if b > a]


def _checked(projections: ArrayLike, angles: ArrayLike) -> tuple[NDArray[Any], NDArray[np.float64]]:
    stack = np.asarray(projections, dtype=np.float32)
    degrees = checked_angles(angles)
    if stack.ndim != 3 or len(stack) != len(degrees):
        raise ValueError(f"projections have shape {stack.shape}, expected ({len(degrees)}, row, column)")
    finite = np.isfinite(stack.sum(axis=(1, 2), dtype=np.float64))
    if not finite.all():
        raise ValueError(f"projection {int(np.argmin(finite))} has values that are not finite; fill them first")
    return stack, degrees
