"""Cracks and pores inside particles: their mask, their volume by depth, and the way they run.

The envelope of a particle is its mask closed by a ball, made with two exact distance transforms;
what is dark within it is crack or pore. The wall of a crack that runs inward stands across the
surface, that of one between two shells lies along it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cc3d
import edt
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from analysis.crack_kernels import neighbour_spread
from analysis.morphology import (
    MorphologyError,
    bounding_box,
    depth,
    particle_mask,
    require_mask,
    require_voxel_size,
)
from analysis.numbers import real_array, whole_number
from analysis.shell_bins import checked_edges
from analysis.threads import available_threads

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)

__all__ = ["CrackProfile", "Cracks", "envelope", "segment_cracks"]

_SAMPLES = 100_000  # crack voxels whose direction is looked at
_REACH = 4  # voxels around each of them
_FLAT = 0.5  # of two smaller spreads: below, the surroundings are a plate and have a direction
_DOUBT = 0.1  # of the contrast, by which the threshold may be wrong


@dataclass(frozen=True, slots=True, eq=False)
class CrackProfile:
    """Cracks by depth.

    Attributes
    ----------
    edges : ndarray, shape (s + 1,)
        Borders of the shells, µm below the surface of the envelope.
    fraction, fraction_sigma : ndarray, shape (s,)
        Share of the shell that is crack, and what a threshold wrong by 10 % of the contrast changes
        in it. NaN in empty shells.
    order, order_sigma : ndarray, shape (s,)
        Mean of (3 cos² - 1)/2 of the angle between the normal of the crack and the direction of
        depth, and its standard error: -0.5 where cracks run straight inward, 0 for any direction, 1
        where they follow the surface. NaN without cracks that have a direction.
    """

    edges: Array
    fraction: Array
    fraction_sigma: Array
    order: Array
    order_sigma: Array


@dataclass(frozen=True, slots=True, eq=False)
class Cracks:
    """Cracks and pores.

    Attributes
    ----------
    mask : ndarray of bool, axes (z, y, x)
        Crack and pore voxels.
    envelope : ndarray of bool, axes (z, y, x)
        Particles with their cracks closed.
    depth : ndarray of float32, axes (z, y, x)
        µm below the surface of the envelope.
    fraction, fraction_sigma : float
        Volume of the cracks over that of the envelope, and what a threshold wrong by 10 % of the
        contrast changes in it.
    threshold : float
        Voxels of the envelope below it are crack.
    volume : ndarray, shape (pieces,)
        Volume of each separate crack or pore in µm³, the largest first.
    profile : CrackProfile
    """

    mask: Mask
    envelope: Mask
    depth: NDArray[np.float32]
    fraction: float
    fraction_sigma: float
    threshold: float
    volume: Array
    profile: CrackProfile


def envelope(mask: ArrayLike, radius: float, *, fill: bool = True, threads: int | None = None) -> Mask:
    """Close gaps narrower than twice ``radius`` (in voxels) with a ball, and fill what is shut in.

    Dilation and erosion by a ball are thresholds of two distance transforms; the border of the
    volume is no wall.

    Parameters
    ----------
    mask : array_like of bool, axes (z, y, x)
    radius : float
        Of the ball in voxels.
    fill : bool
        Whether holes without a way out are part of the envelope, however wide.
    """
    inside = require_mask(mask)
    if not 0 <= radius < np.inf:
        raise MorphologyError(f"closing radius {radius} voxels is not 0 or more")
    box = bounding_box(inside, margin=0)
    margin = int(np.ceil(radius)) + 2
    part = np.pad(inside[box], margin)
    workers = available_threads(threads)
    closed = edt.edt((~part).view(np.uint8), parallel=workers) <= radius
    closed = edt.edt(closed.view(np.uint8), parallel=workers) > radius
    closed |= part
    if fill:
        outside = cc3d.connected_components(~closed, connectivity=6)
        closed = outside != outside[0, 0, 0]
    core = tuple(slice(margin, size - margin) for size in part.shape)
    result = np.zeros(inside.shape, bool)
    result[box] = closed[core]
    return result


def segment_cracks(
    volume: ArrayLike,
    mask: ArrayLike | None = None,
    voxel_size: float = 1.0,
    *,
    closing_radius: float,
    threshold: float | None = None,
    smooth: float = 1.0,
    smallest: int = 8,
    edges: ArrayLike | None = None,
    threads: int | None = None,
) -> Cracks:
    """Find cracks and pores in particles.

    Parameters
    ----------
    volume : array_like, axes (z, y, x)
        Linear attenuation.
    mask : array_like of bool, optional
        Particles; by ``particle_mask`` when not given.
    voxel_size : float
        µm.
    closing_radius : float
        µm; half the width of the widest crack that reaches the surface. Concave parts of the
        surface narrower than twice this count as cracks when they are deeper than two voxels.
    threshold : float, optional
        Half way between particle and surroundings when not given, which gives the volume of cracks
        wider than the resolution without bias and misses those under 1.5 voxels.
    smooth : float
        Standard deviation in voxels of a Gaussian applied to the volume; 0 for none.
    smallest : int
        Pieces of fewer voxels are taken for noise.
    edges : array_like, optional
        Borders of the shells of the profile in µm; eight of equal thickness when not given.
    threads : int, optional
        All processors when not given.

    Raises
    ------
    MorphologyError
        When there is no particle, shapes differ, or particle and surroundings have no contrast.
    """
    raw = real_array("volume", volume, np.float32)
    require_voxel_size(voxel_size)
    if not (0 <= closing_radius < np.inf and 0 <= smooth < np.inf):
        raise MorphologyError(f"closing_radius {closing_radius} µm or smooth {smooth} voxels is not 0 or more")
    if threshold is not None and not np.isfinite(threshold):
        raise MorphologyError(f"threshold {threshold} is not a finite number")
    smallest = whole_number("smallest", smallest, least=0)
    if raw.ndim != 3 or not np.isfinite(raw).all():
        raise MorphologyError(f"volume {raw.shape} is not of axes (z, y, x), or has voxels that are not finite")
    inside = particle_mask(raw, smooth=smooth) if mask is None else require_mask(mask)
    if inside.shape != raw.shape:
        raise MorphologyError(f"volume {raw.shape} and mask {inside.shape} must have one shape")
    radius = closing_radius / voxel_size
    box = bounding_box(inside, margin=int(np.ceil(radius + 3 * smooth)) + 2)
    values = ndimage.gaussian_filter(raw[box], smooth, truncate=3.0) if smooth > 0 else raw[box]
    shell = envelope(inside[box], radius, threads=threads)
    below = depth(shell, voxel_size, threads=threads)
    solid, void = _levels(values, inside[box], shell, below / np.float32(voxel_size))
    limit = 0.5 * (solid + void) if threshold is None else threshold
    doubt = _DOUBT * (solid - void)
    found = [_dark(values, shell, below, limit + d, smallest, 2 * voxel_size) for d in (0.0, -doubt, doubt)]
    counts = [int(np.count_nonzero(dark)) for dark in found]
    total = int(np.count_nonzero(shell))
    sizes = np.bincount(cc3d.connected_components(found[0], connectivity=26)[found[0]])[1:]
    borders = np.linspace(0.0, float(below.max()), 9) if edges is None else checked_edges(edges)
    return Cracks(
        mask=_embedded(found[0], box, raw.shape),
        envelope=_embedded(shell, box, raw.shape),
        depth=_embedded(below, box, raw.shape),
        fraction=counts[0] / total,
        fraction_sigma=(counts[2] - counts[1]) / 2 / total,
        threshold=limit,
        volume=np.asarray(np.sort(sizes)[::-1] * voxel_size**3, dtype=np.float64),
        profile=_profile(found, shell, below, borders),
    )


def _embedded(part: NDArray[Scalar], box: tuple[slice, slice, slice], shape: tuple[int, ...]) -> NDArray[Scalar]:
    """A part of a volume, with zeros around it."""
    whole = np.zeros(shape, part.dtype)
    whole[box] = part
    return whole


def _levels(values: NDArray[np.float32], inside: Mask, shell: Mask, layers: NDArray[np.float32]) -> tuple[float, float]:
    """Value of the particle, away from its surface, and of what surrounds it."""
    core = inside & (layers > 2)
    outside = values[~shell]
    if not core.any() or not outside.size:
        raise MorphologyError("the particle is thinner than four voxels, or nothing surrounds it")
    solid, void = float(np.median(values[core])), float(np.median(outside))
    if not solid > void:
        raise MorphologyError(f"the particle ({solid:g}) is not brighter than what surrounds it ({void:g})")
    return solid, void


def _dark(
    values: NDArray[np.float32],
    shell: Mask,
    below: NDArray[np.float32],
    limit: float,
    smallest: int,
    skin: float,
) -> Mask:
    """Dark voxels of the envelope in pieces large enough and reaching below the skin (µm)."""
    dark = shell & (values < limit)
    pieces, count = cc3d.connected_components(dark, connectivity=26, return_N=True)
    flat = pieces[dark]
    deep = np.bincount(flat[below[dark] > skin], minlength=count + 1) > 0
    dark[dark] = (deep & (np.bincount(flat, minlength=count + 1) >= smallest))[flat]
    return dark


def _profile(found: list[Mask], shell: Mask, below: NDArray[np.float32], borders: Array) -> CrackProfile:
    count = borders.size - 1
    total = np.histogram(below[shell], borders)[0].astype(np.float64)
    share = [np.histogram(below[pieces], borders)[0] / np.where(total > 0, total, np.nan) for pieces in found]
    at, order, patch = _directions(found[0], below)
    index = np.clip(np.searchsorted(borders, at, side="right") - 1, 0, count - 1)
    n = np.bincount(index, minlength=count).astype(np.float64)
    mean = np.bincount(index, order, count) / np.where(n > 0, n, np.nan)
    scatter = np.sqrt(np.bincount(index, (order - mean[index]) ** 2, count) / np.where(n > 1, n - 1, np.nan))
    voxels = np.histogram(below[found[0]], borders)[0]
    # Voxels of one patch share their direction: there are only as many directions as patches.
    patches = np.maximum(voxels / patch, 1.0)
    return CrackProfile(borders, share[0], (share[2] - share[1]) / 2, mean, scatter / np.sqrt(patches))


def _directions(crack: Mask, below: NDArray[np.float32]) -> tuple[Array, Array, float]:
    """Depth (µm) and order of crack voxels in plates, and how many voxels share a direction."""
    flat = np.flatnonzero(crack)
    if flat.size > _SAMPLES:
        flat = np.random.default_rng(0).choice(flat, _SAMPLES, replace=False)
    centres = np.stack(np.unravel_index(flat, crack.shape), axis=1).astype(np.int64)
    spread = np.zeros((flat.size, 3, 3))
    number = np.zeros(flat.size, np.int64)
    neighbour_spread(crack, centres, _REACH, spread, number)
    size, axis = np.linalg.eigh(spread)
    inward = _gradient(below, centres)
    length = np.linalg.norm(inward, axis=1)
    use = (size[:, 0] < _FLAT * size[:, 1]) & (length > 0)
    cosine = np.einsum("ni,ni->n", axis[use, :, 0], inward[use]) / length[use]
    order = 1.5 * cosine**2 - 0.5
    return below.ravel()[flat[use]].astype(np.float64), order, float(number.mean()) if number.size else 1.0


def _gradient(values: NDArray[np.float32], at: NDArray[np.int64]) -> Array:
    """Central differences at some voxels, axes (voxel, direction)."""
    result = np.zeros(at.shape)
    for axis in range(3):
        up, down = at.copy(), at.copy()
        up[:, axis] = np.minimum(at[:, axis] + 2, values.shape[axis] - 1)
        down[:, axis] = np.maximum(at[:, axis] - 2, 0)
        result[:, axis] = values[tuple(up.T)] - values[tuple(down.T)]
    return result
