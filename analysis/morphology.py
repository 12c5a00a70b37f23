"""Particles in a volume: their mask, labels and sizes, and how deep each voxel lies below the surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import cc3d
import edt
import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from analysis.numbers import real_array, whole_number
from analysis.threads import available_threads

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Volume32 = NDArray[np.float32]

__all__ = [
    "MorphologyError",
    "Particles",
    "bounding_box",
    "depth",
    "label_particles",
    "particle_mask",
    "require_mask",
    "require_voxel_size",
]


class MorphologyError(ValueError):
    """There is nothing to measure, or shapes do not fit; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class Particles:
    """Connected particles, the largest first.

    Attributes
    ----------
    labels : ndarray of uint32, axes (z, y, x)
        0 outside, 1 for the largest particle, and so on.
    volume : ndarray, shape (n,)
        µm³ (or cubic voxels with voxel_size 1).
    diameter : ndarray, shape (n,)
        Of the sphere of that volume, µm.
    centre : ndarray, shape (n, 3)
        Centre of mass (z, y, x) in µm from the centre of voxel (0, 0, 0).
    cut : ndarray of bool, shape (n,)
        Whether the particle reaches the border of the volume, so that size and depth are lower limits.
    """

    labels: NDArray[np.uint32]
    volume: Array
    diameter: Array
    centre: Array
    cut: Mask


def particle_mask(
    volume: ArrayLike, *, threshold: float | None = None, smooth: float = 1.0, smallest: int = 64
) -> Mask:
    """Separate particles from what surrounds them.

    Parameters
    ----------
    volume : array_like, axes (z, y, x)
        Linear attenuation, or an edge jump.
    threshold : float, optional
        Particles are above it; Otsu's (doi:10.1109/TSMC.1979.4310076) when not given.
    smooth : float
        Standard deviation in voxels of a Gaussian applied before; 0 for none.
    smallest : int
        Pieces of fewer voxels are dropped.

    Raises
    ------
    MorphologyError
        When the volume is not three-dimensional, not finite or without contrast.
    """
    values = real_array("volume", volume, np.float32)
    if values.ndim != 3 or values.size == 0:
        raise MorphologyError(f"volume has axes {values.shape}, (z, y, x) is needed")
    _require_length("smooth", smooth, "voxels")
    if threshold is not None and not np.isfinite(threshold):
        raise MorphologyError(f"threshold {threshold} is not a finite number")
    smallest = whole_number("smallest", smallest, least=0)
    if not np.isfinite(values).all():
        count = int(np.sum(~np.isfinite(values)))
        raise MorphologyError(f"volume has {count} of {values.size} voxels that are not finite")
    if values.min() == values.max():
        raise MorphologyError(f"volume has no contrast: all voxels are {values.min()}")
    if smooth > 0:
        values = ndimage.gaussian_filter(values, smooth, truncate=3.0)
    limit = float(threshold_otsu(values)) if threshold is None else threshold  # type: ignore[no-untyped-call]
    found = values > limit
    if smallest > 1:
        found = cast(Mask, cc3d.dust(found, threshold=smallest, connectivity=26).astype(bool))
    return found


def label_particles(
    mask: ArrayLike,
    voxel_size: float = 1.0,
    *,
    smallest: float = 0.0,
    neck: float = 0.0,
    connectivity: Literal[6, 18, 26] = 26,
) -> Particles:
    """Tell particles apart and measure them.

    Parameters
    ----------
    mask : array_like, axes (z, y, x)
        Particles; a volume of numbers goes through ``particle_mask`` first.
    voxel_size : float
        µm.
    smallest : float
        Smallest volume kept, in µm³.
    neck : float
        Particles that touch over less than this width, in µm, are told apart: each grows from what
        is left of it when half of this is taken off all around. 0 leaves them together.
    connectivity : {6, 18, 26}
        Which neighbours belong together.
    """
    require_voxel_size(voxel_size)
    _require_length("smallest", smallest, "µm³")
    _require_length("neck", neck, "µm")
    given = real_array("mask", mask)
    inside = _checked_mask(particle_mask(given) if given.dtype.kind == "f" else given)
    labels, count = _connected(inside, connectivity, neck / voxel_size)
    number, place = np.zeros(count + 1, np.int64), np.zeros((count + 1, 3))
    border = np.zeros(count + 1, np.bool_)
    _label_statistics(labels, number, place, border)
    cell = voxel_size**3
    order = 1 + np.argsort(-number[1:], kind="stable")
    order = order[number[order] * cell >= smallest]
    new = np.zeros(count + 1, np.uint32)
    new[order] = np.arange(1, order.size + 1, dtype=np.uint32)
    if not np.array_equal(new, np.arange(count + 1)):
        _rename(labels.reshape(-1), new)
    volumes = np.asarray(number[order] * cell, dtype=np.float64)
    return Particles(
        labels=labels,
        volume=volumes,
        diameter=np.cbrt(6.0 / np.pi * volumes),
        centre=place[order] / number[order, None] * voxel_size,
        cut=border[order],
    )


def _connected(inside: Mask, connectivity: Literal[6, 18, 26], neck: float) -> tuple[NDArray[np.uint32], int]:
    """Labels 1..n of the pieces of a mask, cut at necks narrower than so many voxels."""
    raw, count = cc3d.connected_components(inside, connectivity=connectivity, return_N=True)
    labels = raw.astype(np.uint32)
    if neck <= 0 or inside.all():
        return labels, count
    below = depth(inside)
    cores = np.where(below > neck / 2, labels, 0)
    cores, _ = cc3d.connected_components(cores, connectivity=connectivity, return_N=True)
    cores = cores.astype(np.int32)
    # Pieces too thin to have a core are particles too.
    bare = np.setdiff1d(np.unique(labels), np.unique(labels[cores > 0]))
    bare = bare[bare > 0]
    cores = np.where(np.isin(labels, bare), labels.astype(np.int32) + int(cores.max()), cores)
    grown = watershed(-below, cores, mask=inside)  # type: ignore[no-untyped-call]
    _, dense = np.unique(grown, return_inverse=True)
    return dense.reshape(inside.shape).astype(np.uint32), int(dense.max())


@numba.njit(cache=True, nogil=True)
def _label_statistics(labels: NDArray[np.uint32], number: NDArray[np.int64], place: Array, border: Mask) -> None:
    """Voxels, sum of positions (z, y, x), and contact with the border, of each label."""
    nz, ny, nx = labels.shape
    for z in range(nz):
        for y in range(ny):
            edge = z in (0, nz - 1) or y in (0, ny - 1)
            for x in range(nx):
                k = labels[z, y, x]
                if k:
                    number[k] += 1
                    place[k, 0] += z
                    place[k, 1] += y
                    place[k, 2] += x
                    if edge or x in (0, nx - 1):
                        border[k] = True


@numba.njit(cache=True, nogil=True)
def _rename(labels: NDArray[np.uint32], new: NDArray[np.uint32]) -> None:
    """Replace each label by its new one, in place."""
    for i in range(labels.size):
        if labels[i]:
            labels[i] = new[labels[i]]


def depth(
    mask: ArrayLike, voxel_size: float = 1.0, *, border_is_surface: bool = False, threads: int | None = None
) -> Volume32:
    """Distance of each voxel's centre below the surface of its particle.

    The exact Euclidean distance to the centre of the nearest voxel outside, less what that centre lies
    beyond the surface: 0.43/√distance voxels on average over directions (from 0.5 in the outermost
    layer to nothing in the middle; measured on spheres and planes), to 0.05 voxel in the mean. Give
    the envelope of a cracked particle (``cracks``) when the walls of cracks should not count as surface.

    Parameters
    ----------
    mask : array_like of bool or of labels, axes (z, y, x)
        Particles; with labels, touching particles have a surface between them.
    voxel_size : float
        µm.
    border_is_surface : bool
        Whether the border of the volume is a surface, or particles go on beyond it.
    threads : int, optional
        All processors when not given.

    Returns
    -------
    ndarray of float32, axes (z, y, x)
        µm; 0 outside.
    """
    require_voxel_size(voxel_size)
    labels = _checked_labels(mask)
    if not border_is_surface and labels.size and labels.flat[0] and (labels == labels.flat[0]).all():
        raise MorphologyError("the particle fills the volume: it has no surface, unless border_is_surface")
    if labels.dtype == bool:
        labels = labels.view(np.uint8)
    result = np.zeros(labels.shape, np.float32)
    box = bounding_box(labels)
    distance = edt.edt(
        np.ascontiguousarray(labels[box]), black_border=border_is_surface, parallel=available_threads(threads)
    )
    _below_surface(distance.reshape(-1), float(voxel_size))
    result[box] = distance
    return result


@numba.njit(cache=True, nogil=True)
def _below_surface(distance: Volume32, voxel_size: float) -> None:
    """Turn distances to the nearest voxel outside (voxels) into depths (length), in place."""
    for i in range(distance.size):
        d = distance[i]
        if d > 0:
            distance[i] = (d - min(np.float32(0.5), np.float32(0.43) / np.sqrt(d))) * voxel_size


def require_voxel_size(voxel_size: float) -> None:
    """Raise `MorphologyError` unless voxels are cubes of a positive size (µm)."""
    if np.ndim(voxel_size) or not (np.isfinite(voxel_size) and voxel_size > 0):
        raise MorphologyError(f"voxel size {voxel_size} µm is not one positive number; resample to cubic voxels")


def require_mask(mask: ArrayLike) -> Mask:
    """Voxels (z, y, x) inside particles, from a mask of bool or labels; `MorphologyError` for anything else."""
    labels = _checked_labels(mask)
    return labels if labels.dtype == bool else np.asarray(labels != 0)


def _checked_labels(mask: ArrayLike) -> NDArray[Any]:
    labels = real_array("mask", mask)
    if labels.ndim != 3:
        raise MorphologyError(f"mask has axes {labels.shape}, (z, y, x) is needed")
    if labels.dtype.kind not in "biu":
        raise MorphologyError(f"mask has type {labels.dtype}; bool or labels are needed (particle_mask finds them)")
    if labels.dtype.kind == "i" and labels.min(initial=0) < 0:
        raise MorphologyError(f"label {labels.min()} is below 0, outside of particles")
    return labels


def _require_length(name: str, value: float, unit: str) -> None:
    if not (np.isfinite(value) and value >= 0):
        raise MorphologyError(f"{name} {value} {unit} is not 0 or more")


def bounding_box(mask: NDArray[np.generic], *, margin: int = 1) -> tuple[slice, slice, slice]:
    """Smallest box around all voxels that are not 0, with a margin cut at the border of the volume.

    Raises
    ------
    MorphologyError
        When there are none.
    """
    ranges = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        used = np.flatnonzero(mask.any(axis=others))
        if not used.size:
            raise MorphologyError("the mask is empty: no particle")
        ranges.append(slice(max(int(used[0]) - margin, 0), min(int(used[-1]) + 1 + margin, mask.shape[axis])))
    return ranges[0], ranges[1], ranges[2]


def _checked_mask(mask: ArrayLike) -> Mask:
    inside = np.asarray(mask)
    if inside.ndim != 3:
        raise MorphologyError(f"mask has axes {inside.shape}, (z, y, x) is needed")
    if inside.dtype != bool:
        raise MorphologyError(f"mask has type {inside.dtype}, bool is needed")
    if not inside.any():
        raise MorphologyError("the mask is empty: no particle")
    return inside
