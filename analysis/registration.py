"""Displacement of one projection against another across an absorption edge, where the contrast changes.

A band-pass cross-correlation: coarse at reduced resolution, then at full resolution on the overlap alone, its
maximum found exactly in Fourier space. The high-pass takes away what the edge changes (the mean and the slow parts
of the contrast), the low-pass the noise. The curvature of the peak, the part of the cross-spectrum that is out of
phase and the scatter over the image give the uncertainty.

Dirt and scratches of the detector stay where they are and draw the shift to zero. In a stack of projections at
different angles they go with the mean over the angles. In a single pair they raise the alarm where fine and coarse
structure, or opposite sides of the correlation, disagree. Below half a pixel, or where dirt is all that is to be
seen, nothing in one pair tells it from the object.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.correlation import Band, Image, Pair, Peak, locate
from analysis.image_pairs import (
    MOST_PROJECTIONS,
    SMALLEST,
    checked_pairs,
    middle_of,
    scaled_pair,
    spread,
    without_what_stays,
)
from analysis.numbers import real_array

__all__ = ["Band", "Shift", "Similarity", "find_shift", "find_similarity", "find_stack_shift", "spread"]

_LARGE = 256
_LEAST_SIGNIFICANCE = 6.0
_LARGEST_RIVAL = 0.9
_LARGEST_DISCORD = 4.5  # of 28 pairs of sizes; 2.5 is usual, 4.0 the largest in 400 pairs without dirt
_LARGEST_ASYMMETRY = 5.0  # of thousands of points; 3 is usual, 4.0 the largest in these
_LEAST_ROUNDNESS = 0.02  # a straight line has 0.01 (its window), a fibre with both ends 0.03, an object 0.5 to 1


@dataclass(frozen=True, slots=True)
class Shift:
    """Displacement of an image: ``moving(row, column) = reference(row - dy, column - dx)`` up to contrast.

    Attributes
    ----------
    dy, dx : pixels of the moving image, growing with row and column
    sigma : pixels, standard deviation in the worse direction, from noise and from what differs between the images
    quality : correlation of the two images in the pass band, 0..1
    trusted : False is an alarm: do not use the shift without looking
    reason : why it is not to be trusted, "" where it is
    """

    dy: float
    dx: float
    sigma: float
    quality: float
    trusted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Similarity:
    """Displacement and magnification of an image: ``p - c = magnification (p_reference - c) + (dy, dx)``.

    Attributes
    ----------
    shift : `Shift`, in pixels of the moving image
    magnification : size of the object in the moving image over that in the reference
    magnification_sigma : standard deviation
    """

    shift: Shift
    magnification: float
    magnification_sigma: float


def find_shift(
    reference: ArrayLike,
    moving: ArrayLike,
    *,
    magnification: float = 1.0,
    centre: tuple[float, float] | None = None,
    max_shift: float | None = None,
    max_sigma: float = 0.25,
    band: Band | None = None,
) -> Shift:
    """Displacement of one image against a reference of the same object.

    Parameters
    ----------
    reference, moving : (row, column), optical density
    magnification : size of the object in `moving` over that in `reference`, where it is known from the optics
    centre : (row, column) about which the magnification acts; None takes the middle of the image. Give (middle row,
        rotation axis) for a shift that goes into `analysis.tomography.FilteredBackProjection` with a `voxel_size`
    max_shift : pixels; None takes a quarter of the smaller side. A larger shift is not looked for
    max_sigma : pixels; a shift less certain than that is not trusted
    band : pass band of the correlation; None takes the one with the most certain result

    Raises
    ------
    ValueError
        for shapes that differ, images below 16 pixels, or values that are not finite

    Examples
    --------
    >>> import scipy.ndimage
    >>> image = scipy.ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(64, 64)), 3)
    >>> shift = find_shift(image, np.roll(image, (3, -2), axis=(0, 1)))
    >>> round(shift.dy, 1), round(shift.dx, 1), shift.trusted
    (3.0, -2.0, True)
    """
    return find_stack_shift(
        real_array("reference", reference)[None],
        real_array("moving", moving)[None],
        magnification=magnification,
        centre=centre,
        max_shift=max_shift,
        max_sigma=max_sigma,
        band=band,
    )


def find_stack_shift(
    reference: ArrayLike,
    moving: ArrayLike,
    *,
    magnification: float = 1.0,
    centre: tuple[float, float] | None = None,
    max_shift: float | None = None,
    max_sigma: float = 0.25,
    band: Band | None = None,
    limit: int = MOST_PROJECTIONS,
) -> Shift:
    """Common displacement of a stack of projections against the same projections at another energy.

    What is the same in all projections of a side is left out, for it may be dirt on the detector, as long as the rest
    tells the shift to `max_sigma`.

    Parameters
    ----------
    reference, moving : (projection, row, column), the same angles in the same order
    limit : projections used at most, spread evenly over the stack

    The other parameters are those of `find_shift`.
    """
    pairs = checked_pairs(reference, moving, limit)
    if max_shift is not None and not max_shift > 0:
        raise ValueError(f"max_shift {max_shift} px is not above 0")
    if not (math.isfinite(magnification) and magnification > 0):
        raise ValueError(f"magnification {magnification} is not above 0")
    if not max_sigma > 0:
        raise ValueError(f"max_sigma {max_sigma} px is not above 0")
    if centre is not None and not np.isfinite(real_array("centre", centre)).all():
        raise ValueError(f"centre {centre} is not (row, column) in pixels")
    if len(pairs) > 1:
        turning = _located(without_what_stays(pairs), magnification, centre, max_shift, band)
        if turning.peak.significance >= _LEAST_SIGNIFICANCE and turning.peak.sigma <= max_sigma:
            return _judge(turning, magnification, max_sigma)
    return _judge(_located(pairs, magnification, centre, max_shift, band), magnification, max_sigma)


@dataclass(frozen=True, slots=True)
class _Located:
    """Maximum of a correlation, on the scale of the reference, and how far it was looked for (pixels)."""

    peak: Peak
    reach: float


def _located(
    pairs: list[Pair],
    magnification: float,
    centre: tuple[float, float] | None,
    max_shift: float | None,
    band: Band | None,
) -> _Located:
    if magnification != 1.0:
        pairs = [scaled_pair(a, b, magnification, centre) for a, b in pairs]
        if min(pairs[0][0].shape) < SMALLEST:
            raise ValueError(f"magnification {magnification} leaves {pairs[0][0].shape} pixels in common")
    reach = 0.25 * min(pairs[0][0].shape) if max_shift is None else max_shift
    return _Located(locate(pairs, _bands(pairs[0][0], band), reach), reach)


def _bands(image: Image, band: Band | None) -> tuple[Band, ...]:
    """The band given, or those to choose from: fine structure for small images, coarser for larger ones."""
    if band is not None:
        return (band,)
    return (Band(), Band(3.0, 24.0)) if min(image.shape) >= _LARGE else (Band(),)


def _judge(located: _Located, magnification: float, max_sigma: float) -> Shift:
    peak, reach = located.peak, located.reach
    if not math.isfinite(peak.dy):
        reason = "the images have no structure in the pass band"
    elif peak.significance < _LEAST_SIGNIFICANCE:
        reason = (
            f"the correlation is {peak.significance:.1f} times that of unrelated images, below {_LEAST_SIGNIFICANCE}"
        )
    elif peak.rival > _LARGEST_RIVAL:
        reason = f"a second position fits {peak.rival:.0%} as well"
    elif peak.roundness < _LEAST_ROUNDNESS:
        reason = "the structure of the images is straight lines of one direction: along them nothing fixes the shift"
    elif math.hypot(peak.dy, peak.dx) > reach:
        reason = f"the shift of {math.hypot(peak.dy, peak.dx):.1f} px is at or beyond the limit {reach:.1f} px"
    elif peak.discord > _LARGEST_DISCORD or peak.asymmetry > _LARGEST_ASYMMETRY:
        reason = (
            "something in the images (dirt on the detector?) moved otherwise than the rest: fine and coarse structure "
            f"differ by {peak.discord:.1f} sigma, opposite sides of the correlation by {peak.asymmetry:.1f}"
        )
    elif not peak.sigma <= max_sigma:
        reason = f"sigma {peak.sigma:.2f} px is above {max_sigma} px"
    else:
        reason = ""
    return Shift(
        dy=peak.dy * magnification,
        dx=peak.dx * magnification,
        sigma=peak.sigma * magnification,
        quality=peak.coherence,
        trusted=not reason,
        reason=reason,
    )


def find_similarity(
    reference: ArrayLike,
    moving: ArrayLike,
    *,
    magnification: float = 1.0,
    centre: tuple[float, float] | None = None,
    max_shift: float | None = None,
    max_sigma: float = 0.25,
    band: Band | None = None,
) -> Similarity:
    """Displacement and magnification together, from the shifts of blocks of the image.

    Parameters
    ----------
    magnification : where to start, from the optics; the result should be within some per cent of it

    The other parameters, the errors and the alarm are those of `find_shift`.
    """
    (pair,) = checked_pairs(real_array("reference", reference)[None], real_array("moving", moving)[None], 1)
    middle = middle_of(pair[0].shape) if centre is None else centre
    current = magnification
    sigma = math.inf
    for _ in range(6):
        # an untold magnification displaces every part of the image otherwise: no limit for sigma yet
        shift = find_shift(
            *pair, magnification=current, centre=middle, max_shift=max_shift, max_sigma=math.inf, band=band
        )
        if not shift.trusted:
            break
        change, sigma = _block_magnification(pair, shift, current, middle, band)
        if not math.isfinite(change):
            break
        current *= change
        if abs(change - 1.0) < 0.1 * sigma:
            break
    shift = find_shift(*pair, magnification=current, centre=middle, max_shift=max_shift, max_sigma=max_sigma, band=band)
    if shift.trusted and not math.isfinite(sigma):
        reason = "too few blocks of the image could be matched to tell the magnification"
        shift = Shift(shift.dy, shift.dx, shift.sigma, shift.quality, False, reason)
    return Similarity(shift=shift, magnification=current, magnification_sigma=sigma)


def _block_magnification(
    pair: Pair, shift: Shift, magnification: float, centre: tuple[float, float], band: Band | None
) -> tuple[float, float]:
    """Remaining magnification and its sigma, from a straight line through the shifts of blocks."""
    a, b = scaled_pair(*pair, magnification, centre, shift=(shift.dy, shift.dx))
    rows, columns = a.shape
    blocks = 4 if min(rows, columns) >= 256 else 2
    heights, widths = rows // blocks, columns // blocks
    bands = _bands(a[:heights, :widths], band)
    place, found, weight = [], [], []
    for i, j in itertools.product(range(2 * blocks - 1), repeat=2):
        part = np.s_[i * heights // 2 : i * heights // 2 + heights, j * widths // 2 : j * widths // 2 + widths]
        peak = locate([(a[part], b[part])], bands, 0.15 * min(heights, widths))
        if peak.significance >= _LEAST_SIGNIFICANCE and peak.sigma < 0.5:
            place.append((i * heights / 2, j * widths / 2))
            found.append((peak.dy, peak.dx))
            weight.append(1.0 / (peak.sigma**2 + 0.01**2))
    if len(found) < 3:
        return math.nan, math.inf
    w = np.asarray(weight)[:, None]
    where = np.asarray(place) - np.sum(w * place, axis=0) / w.sum()
    values = np.asarray(found)
    spread = float(np.sum(w * where**2))
    if spread <= 0:
        return math.nan, math.inf
    slope = float(np.sum(w * where * values)) / spread
    residual = values - np.sum(w * values, axis=0) / w.sum() - slope * where
    freedom = max(2 * len(found) - 3, 1)
    scatter = float(np.sum(w * residual**2)) / freedom
    overlap = (2 * blocks - 1) / blocks  # half-overlapping blocks share their pixels
    return 1.0 + slope, overlap * math.sqrt(scatter / spread)
