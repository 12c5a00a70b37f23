"""Sets of projection angles: what each projection counts in the integral over half a turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.numbers import real_array

_SAME_ANGLE = 1e-6
_PARTS = 32  # directions looked at in each gap
_REACH = 2.0  # times the distance of the nearest projection: within it, projections share a direction
_UNUSUAL = 4.0  # times the median gap


def checked_angles(angles: ArrayLike) -> NDArray[np.float64]:
    """Angles as a float64 vector of its own; ValueError where it is empty, not one-dimensional or not finite."""
    degrees = np.array(np.atleast_1d(real_array("angles", angles, np.float64)))
    if degrees.ndim != 1 or degrees.size == 0:
        raise ValueError(f"angles have shape {degrees.shape}, expected one dimension and at least one angle")
    if not np.isfinite(degrees).all():
        first = int(np.argmin(np.isfinite(degrees)))
        raise ValueError(f"angle {first} is {degrees[first]}, not a number of degrees")
    return degrees


def angle_weights(angles: ArrayLike, *, largest_gap: float = 30.0) -> NDArray[np.float64]:
    """Weight (radian) of each projection in the integral over half a turn.

    Each direction, modulo 180 degrees, is shared by the projections up to twice as far from it as the nearest one;
    equal angles share their part. Even angles so count alike, and beside missing frames several neighbours on both
    sides stand in, which costs less noise than the nearest alone. Golden-angle, random and uneven sets and full
    turns come out right, and the weights add up to pi. Only a missing wedge belongs to nobody: a gap of more than
    `largest_gap`, and four times the median. The weights then add up to less.

    Parameters
    ----------
    angles : degrees (angle,), any order
    largest_gap : degrees; across wider ones the gain is lost rather than the shape of the object

    Examples
    --------
    >>> np.rad2deg(angle_weights([0.0, 60.0, 120.0])).round(6)
    array([60., 60., 60.])

    The two ends of a scan that includes 180 degrees show the same view and share its weight:

    >>> np.rad2deg(angle_weights([0.0, 45.0, 90.0, 135.0, 180.0])).round(6)
    array([22.5, 45. , 45. , 45. , 22.5])
    """
    degrees = checked_angles(angles)
    if not largest_gap > 0:
        raise ValueError(f"largest_gap {largest_gap} degrees is not above 0")
    ticks = np.round(np.mod(degrees, 180.0) / _SAME_ANGLE).astype(np.int64) % round(180.0 / _SAME_ANGLE)
    distinct, view, copies = np.unique(ticks, return_inverse=True, return_counts=True)
    position = np.asarray(distinct * _SAME_ANGLE, dtype=np.float64)
    gaps = np.asarray(np.diff(position, append=position[0] + 180.0), dtype=np.float64)
    median = float(np.median(gaps))
    wedge = (gaps > max(largest_gap, _UNUSUAL * median)) & (len(gaps) > 2)
    owned = _shared(position, gaps, np.where(wedge, 0.0, gaps))
    owned += 0.5 * median * (wedge.astype(np.float64) + np.roll(wedge, 1))
    return np.asarray(np.deg2rad(owned / copies)[view], dtype=np.float64)


def _shared(
    position: NDArray[np.float64], gaps: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Degrees that each position gets when the gap after each is worth `share`."""
    part = (np.arange(_PARTS) + 0.5) / _PARTS
    direction = position[:, None] + gaps[:, None] * part
    reach = _REACH * gaps[:, None] * np.minimum(part, 1.0 - part)
    turns = np.concatenate([position - 180.0, position, position + 180.0])
    first = np.searchsorted(turns, direction - reach)
    last = np.searchsorted(turns, direction + reach, side="right")
    each = share[:, None] / _PARTS / (last - first)
    change = np.bincount(first.ravel(), each.ravel(), len(turns) + 1)
    change -= np.bincount(last.ravel(), each.ravel(), len(turns) + 1)
    return np.asarray(np.cumsum(change)[:-1].reshape(3, -1).sum(axis=0))
