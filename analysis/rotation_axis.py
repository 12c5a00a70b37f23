"""Column of the rotation axis from the projections themselves, with its uncertainty, or a refusal with its reason.

Two independent ways. *Moments*: while the object stays inside the field its centre of mass follows a sinusoid about
the axis; every projection counts. *Opposite views*: two projections half a turn apart are mirror images about the
axis, whether the object is inside the field or not; the motion of the object over what is missing to half a turn is
measured from neighbouring projections and taken off. What does not turn (rings, an uneven flat) draws this way to the
middle of the detector: take it off first (`analysis.stripes`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.angles import checked_angles
from analysis.row_registration import RowShift, find_row_shift

Method = Literal["moments", "opposite"]

_WAYS: tuple[Method, ...] = ("moments", "opposite")
_FEWEST = 6
_LEAST_RANGE = 60.0
_LARGEST_MISSING = 6.0
_LARGEST_CONFLICT = 0.25
_PAIRS = 12
_SAME_ANGLE = 1e-3
_SAME_VIEW = 0.5  # correlation


class RotationAxisError(ValueError):
    """The data do not tell where the axis is."""


@dataclass(frozen=True, slots=True)
class RotationAxis:
    """Rotation axis of a tomogram.

    Attributes
    ----------
    column : pixels; column 0 is the centre of the first one
    sigma : pixels, standard deviation
    method : "moments", "opposite", or "both" where both ways agree
    quality : part of the signal that agrees with a rotation about this axis, 0..1
    """

    column: float
    sigma: float
    method: Literal["moments", "opposite", "both"]
    quality: float


def find_axis(
    projections: ArrayLike, angles: ArrayLike, *, method: Method | None = None, max_sigma: float = 0.25
) -> RotationAxis:
    """Rotation axis of projections.

    Parameters
    ----------
    projections : (angle, row, column), optical density
    angles : degrees (angle,), any order
    method : None takes what the data allow: the weighted mean of both ways where they agree
    max_sigma : pixels; refuse a less certain axis

    Raises
    ------
    RotationAxisError
        when it cannot be known, with the reason of each way that was tried, or when the two ways contradict each
        other
    ValueError
        for shapes that do not fit or values that are not finite
    """
    stack = np.asarray(projections)
    degrees = checked_angles(angles)
    if stack.ndim != 3 or len(stack) != len(degrees):
        raise ValueError(f"projections have shape {stack.shape}, expected ({len(degrees)}, row, column)")
    profiles = stack.sum(axis=1, dtype=np.float64)
    if not np.isfinite(profiles).all():
        raise ValueError(
            f"projection {int(np.argmin(np.isfinite(profiles).all(axis=1)))} has values that are not finite"
        )
    refusals: list[str] = []
    found: list[RotationAxis] = []
    for way in _WAYS if method is None else (method,):
        try:
            axis = _from_moments(profiles, degrees) if way == "moments" else _from_opposite(stack, degrees)
            _require_sure(axis, stack.shape[2], max_sigma)
        except RotationAxisError as refusal:
            refusals.append(f"{way}: {refusal}")
        else:
            found.append(axis)
    if not found:
        raise RotationAxisError("the rotation axis cannot be known; " + "; ".join(refusals))
    return found[0] if len(found) == 1 else _combined(*found)


def _require_sure(axis: RotationAxis, columns: int, max_sigma: float) -> None:
    if not -0.5 <= axis.column <= columns - 0.5:
        raise RotationAxisError(f"column {axis.column:.2f} is outside -0.5..{columns - 0.5}")
    if not axis.sigma <= max_sigma:
        raise RotationAxisError(f"sigma {axis.sigma:.2f} px of the axis is above {max_sigma} px")


def _combined(first: RotationAxis, second: RotationAxis) -> RotationAxis:
    """Weighted mean of two axes; the two ways share only the noise of a few views."""
    apart = abs(first.column - second.column)
    expected = math.hypot(first.sigma, second.sigma)
    if apart > max(5.0 * expected, _LARGEST_CONFLICT):
        raise RotationAxisError(
            f"the rotation axis cannot be known: {first.method} say column {first.column:.2f}, {second.method} views "
            f"{second.column:.2f}, and these are {apart / expected:.0f} sigma apart"
        )
    weights = first.sigma**-2, second.sigma**-2
    column = (weights[0] * first.column + weights[1] * second.column) / sum(weights)
    sigma = max(1.0, apart / expected) / math.sqrt(sum(weights))
    return RotationAxis(column, sigma, "both", min(first.quality, second.quality))


def _from_moments(profiles: NDArray[np.float64], degrees: NDArray[np.float64]) -> RotationAxis:
    """Sinusoid through the centres of mass of profiles (angle, column)."""
    covered = float(np.ptp(degrees))
    if len(degrees) < _FEWEST or covered < _LEAST_RANGE:
        raise RotationAxisError(
            f"{len(degrees)} angles over {covered:.1f} degrees; needed are {_FEWEST} over {_LEAST_RANGE:.0f}"
        )
    columns = profiles.shape[1]
    margin = max(2, columns // 64)
    clean, noise = _without_background(profiles, margin)
    support = _support(clean, noise, margin)
    x = np.arange(columns) - 0.5 * (columns - 1)
    kept = np.where(support, clean, 0.0)
    mass = kept.sum(axis=1)
    _require_constant(mass, noise, columns, margin)
    position, sigma, scatter, sway = _sinusoid(kept @ x / mass, degrees)
    quality = max(0.0, 1.0 - scatter / max(sway, 1.0))
    return RotationAxis(position + 0.5 * (columns - 1), sigma, "moments", quality)


def _without_background(profiles: NDArray[np.float64], margin: int) -> tuple[NDArray[np.float64], float]:
    """Profiles less the straight line through their two margins, and the noise of a profile's columns.

    The line is what drifting flats leave. That it is small and the margins are flat is taken as the sign of an
    object inside the field.
    """
    columns = profiles.shape[1]
    left, right = profiles[:, :margin], profiles[:, -margin:]
    where = (np.arange(columns) - 0.5 * (margin - 1)) / (columns - margin)
    level = left.mean(axis=1)[:, None] * (1.0 - where) + right.mean(axis=1)[:, None] * where
    steps = np.concatenate([np.diff(left, axis=1), np.diff(right, axis=1)], axis=1)
    noise = float(np.sqrt(np.mean(steps**2) / 2.0))
    clean = profiles - level
    height = float(np.max(np.abs(np.mean(clean, axis=0))))
    highest = float(np.max(np.abs(level[:, [0, -1]])))
    if highest > 0.05 * height + 5.0 * noise:
        raise RotationAxisError(
            "the object is not inside the field: at the margins the signal is "
            f"{highest / max(height, 1e-300):.1%} of the largest"
        )
    return clean, noise


def _support(clean: NDArray[np.float64], noise: float, margin: int) -> NDArray[np.bool_]:
    """Columns that the object ever covers: the others would only add noise to the moments."""
    largest = np.max(np.abs(clean), axis=0)
    covered = np.flatnonzero(largest > 5.0 * noise)
    if covered.size == 0:
        raise RotationAxisError("there is no object in the projections: nothing stands out of the noise")
    support = np.zeros(clean.shape[1], dtype=np.bool_)
    support[max(int(covered.min()) - margin, 0) : int(covered.max()) + margin + 1] = True
    return support


def _require_constant(mass: NDArray[np.float64], noise: float, columns: int, margin: int) -> None:
    """An object inside the field has the same mass at every angle."""
    typical = float(np.median(mass))
    scatter = noise * math.sqrt(columns + columns**2 / (2.0 * margin))
    if typical < 10.0 * scatter / math.sqrt(len(mass)):
        raise RotationAxisError(f"the object is too faint: mass {typical:.3g} with noise {scatter:.3g}")
    spread = 1.4826 * float(np.median(np.abs(mass - typical)))
    if spread > 0.03 * typical + 3.0 * scatter:
        raise RotationAxisError(
            f"the object is not inside the field: its mass varies by {spread / typical:.1%} with the angle"
        )


def _sinusoid(centres: NDArray[np.float64], degrees: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Constant of ``constant + x cos + y sin``, its sigma, the scatter about it and the sway; outliers weigh less."""
    radians = np.deg2rad(degrees)
    design = np.stack([np.ones_like(radians), np.cos(radians), np.sin(radians)], axis=1)
    weight = np.ones_like(centres)
    for _ in range(5):
        root = np.sqrt(weight)
        solution = np.linalg.lstsq(design * root[:, None], centres * root, rcond=None)[0]
        residual = centres - design @ solution
        scatter = max(1.4826 * float(np.median(np.abs(residual))), 1e-9)
        weight = np.minimum(1.0, 2.0 * scatter / np.maximum(np.abs(residual), 1e-12))
    freedom = max(len(centres) - 3, 1)
    variance = float(np.sum(weight * residual**2)) / freedom
    covariance = variance * np.linalg.inv(design.T @ (design * weight[:, None]))
    sway = math.hypot(float(solution[1]), float(solution[2]))
    return float(solution[0]), math.sqrt(float(covariance[0, 0])), math.sqrt(variance), sway


def _from_opposite(stack: NDArray[np.generic], degrees: NDArray[np.float64]) -> RotationAxis:
    """Mean of the axes from pairs of nearly opposite views."""
    pairs = _opposite_pairs(degrees)
    found = []
    reasons = []
    for first, second, missing in pairs:
        shift = _mirror_shift(stack, degrees, first, second, missing)
        if shift.trusted:
            found.append((shift.dx, shift.sigma, shift.quality))
        else:
            reasons.append(shift.reason)
    if not found:
        raise RotationAxisError(f"no pair of opposite views could be matched: {reasons[0]}")
    values, sigmas, qualities = (np.asarray(column) for column in zip(*found, strict=True))
    weight = 1.0 / sigmas**2
    mean = float(np.sum(weight * values) / weight.sum())
    chi2 = float(np.sum(weight * (values - mean) ** 2)) / max(len(values) - 1, 1)
    sigma = math.sqrt(max(chi2, 1.0) / float(weight.sum()))
    centre = 0.5 * (stack.shape[2] - 1)
    return RotationAxis(centre + 0.5 * mean, 0.5 * sigma, "opposite", float(np.mean(qualities)))


def _opposite_pairs(degrees: NDArray[np.float64]) -> list[tuple[int, int, float]]:
    """Pairs (first, second, degrees missing to half a turn), the nearest to half a turn first."""
    difference = degrees[None, :] - degrees[:, None]
    missing = (180.0 - difference + 180.0) % 360.0 - 180.0
    first, second = np.nonzero(np.triu(np.ones_like(missing, dtype=np.bool_), 1))
    gap = missing[first, second]
    order = np.argsort(np.abs(gap), kind="stable")
    nearest = abs(float(gap[order[0]])) if len(order) else math.inf
    if nearest > _LARGEST_MISSING:
        raise RotationAxisError(
            f"no two views are half a turn apart: {nearest:.1f} degrees are missing, at most {_LARGEST_MISSING} may be"
        )
    step = float(np.median(np.diff(np.sort(degrees))))
    near = order[np.abs(gap[order]) <= min(max(1.5 * nearest, 1.5 * step), _LARGEST_MISSING)]
    exact = near[np.abs(gap[near]) <= max(1.5 * nearest, 1e-6)]
    near = near if len(exact) < _PAIRS else exact
    chosen = near[np.unique(np.linspace(0, len(near) - 1, min(_PAIRS, len(near))).round().astype(int))]
    return [(int(first[k]), int(second[k]), float(gap[k])) for k in chosen]


def _mirror_shift(
    stack: NDArray[np.generic], degrees: NDArray[np.float64], first: int, second: int, missing: float
) -> RowShift:
    """Shift of the mirrored view half a turn on against the other one: twice the axis' distance from the middle."""
    shift = find_row_shift(stack[first][:, ::-1], stack[second])
    straight = find_row_shift(stack[first], stack[second])
    if straight.quality > max(shift.quality, _SAME_VIEW):
        reason = f"the object did not turn: views half a turn apart are alike as they are ({straight.quality:.2f})"
        return RowShift(shift.dx, shift.sigma, shift.quality, False, reason)
    if abs(missing) < _SAME_ANGLE or not shift.trusted:
        return shift
    drifts = [_motion(stack, degrees, k, missing) for k in (first, second)]
    usable = [(sign * d.dx, d.sigma) for sign, d in zip((-1.0, 1.0), drifts, strict=True) if d is not None]
    if not usable:
        reason = (
            f"{missing:.1f} degrees to half a turn are missing, and no neighbouring view tells the motion over them"
        )
        return RowShift(shift.dx, shift.sigma, shift.quality, False, reason)
    drift = float(np.mean([value for value, _ in usable]))
    sigma = math.hypot(shift.sigma, math.hypot(*[s for _, s in usable]) / len(usable))
    if len(usable) == 2:
        sigma = math.hypot(sigma, 0.25 * abs(usable[0][0] - usable[1][0]))
    return RowShift(shift.dx + drift, sigma, shift.quality, True, "")


def _motion(stack: NDArray[np.generic], degrees: NDArray[np.float64], index: int, missing: float) -> RowShift | None:
    """How far the view `index` moves while the object turns by `missing` degrees, from its nearest neighbour."""
    step = np.abs(degrees - degrees[index])
    step[step < _SAME_ANGLE] = np.inf
    neighbour = int(np.argmin(step))
    turned = float(degrees[neighbour] - degrees[index])
    if not abs(turned) <= 2 * _LARGEST_MISSING:
        return None
    shift = find_row_shift(stack[index], stack[neighbour])
    if not shift.trusted:
        return None
    scale = missing / turned
    return RowShift(shift.dx * scale, shift.sigma * abs(scale), shift.quality, True, "")
