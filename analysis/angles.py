"""Sets of projection angles: what each projection counts in the integral over half a turn."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SAME_ANGLE = 1e-6


def checked_angles(angles: ArrayLike) -> NDArray[np.float64]:
    """Angles as a float64 vector of its own; ValueError where it is empty, not one-dimensional or not finite."""
    degrees = np.array(np.atleast_1d(np.asarray(angles, dtype=np.float64)))
    if degrees.ndim != 1 or degrees.size == 0:
        raise ValueError(f"angles have shape {degrees.shape}, expected one dimension and at least one angle")
    if not np.isfinite(degrees).all():
        first = int(np.argmin(np.isfinite(degrees)))
        raise ValueError(f"angle {first} is {degrees[first]}, not a number of degrees")
    return degrees


def angle_weights(angles: ArrayLike, *, largest_gap: float = 4.0) -> NDArray[np.float64]:
    """Weight (radian) of each projection in the integral over half a turn.

    Each angle gets half the distance to its neighbours modulo 180 degrees; equal angles share theirs. Missing
    frames, golden-angle order and full turns so come out right, and the weights of a complete set add up to pi. A
    gap of more than `largest_gap` times the median is a missing wedge: it belongs to nobody, and the weights add up
    to less.

    Parameters
    ----------
    angles : degrees (angle,), any order
    largest_gap : times the median gap

    Examples
    --------
    >>> np.rad2deg(angle_weights([0.0, 60.0, 120.0])).round(6)
    array([60., 60., 60.])

    The two ends of a scan that includes 180 degrees show the same view and share its weight:

    >>> np.rad2deg(angle_weights([0.0, 45.0, 90.0, 135.0, 180.0])).round(6)
    array([22.5, 45. , 45. , 45. , 22.5])
    """
    degrees = checked_angles(angles)
    folded = np.mod(degrees, 180.0)
    ticks = np.round(folded / _SAME_ANGLE).astype(np.int64) % round(180.0 / _SAME_ANGLE)
    distinct, view, copies = np.unique(ticks, return_inverse=True, return_counts=True)
    position = distinct * _SAME_ANGLE
    gaps = np.diff(position, append=position[0] + 180.0)
    median = float(np.median(gaps)) if len(gaps) > 2 else math.inf
    owned = np.where(gaps > largest_gap * median, median, gaps)
    share = 0.5 * (owned + np.roll(owned, 1)) / copies
    return np.asarray(np.deg2rad(share)[view], dtype=np.float64)
