"""Column of the rotation axis from the projections themselves, with its uncertainty, or a refusal with its reason.

Two independent ways. *Moments*: while the object stays inside the field its centre of mass follows a sinusoid about
the axis; every projection counts. What does not turn (rings, dirt, an uneven flat) moves the centre of mass; how much,
is told by what is seen beside the object, and is part of sigma. *Opposite views*: two projections half a turn apart
are mirror images about the axis, whether the object is inside the field or not. Their difference is its own mirror
image with the opposite sign, and holds nothing of what does not turn; but little of an object that looks alike from
both sides, whose views are compared as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.angles import checked_angles
from analysis.image_pairs import spread
from analysis.numbers import real_array
from analysis.row_registration import RowShift, find_row_shift

Method = Literal["moments", "opposite"]

_WAYS: tuple[Method, ...] = ("moments", "opposite")
_FEWEST = 6
_LEAST_RANGE = 60.0
_LARGEST_MISSING = 6.0
_LARGEST_CONFLICT = 0.25
_FEW = 4.0
_LONGEST = 32  # columns: gain errors further apart are independent
_PAIRS = 12
_SAME_ANGLE = 1e-3
_SAME_VIEW = 0.5  # correlation
_CONTRADICTION = 4.0  # sigma; then what does not turn has a hand in it
_MOST_EXTRAPOLATED = 1.0  # of the way to the neighbouring view


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
    stack = real_array("projections", projections)
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
            f"{second.column:.2f}, and these are {apart / expected:.0f} sigma apart: the stage jumped, or what does "
            "not turn moves the centre of mass, which opposite views do not see (method 'opposite')"
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
    whole = _beyond_line(np.ones(columns), support)
    mass = clean @ whole
    _require_constant(mass, noise * float(np.linalg.norm(whole)))
    position, sigma, scatter, sway = _sinusoid(clean @ _beyond_line(x, support) / mass, degrees)
    still = _long_variance(clean.mean(axis=0), ~support)
    fixed = math.sqrt(still) * float(np.linalg.norm(_beyond_line(x - position, support))) / float(np.median(mass))
    quality = max(0.0, 1.0 - scatter / max(sway, 1.0))
    return RotationAxis(position + 0.5 * (columns - 1), math.hypot(sigma, fixed), "moments", quality)


def _beyond_line(weight: NDArray[np.float64], support: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights, over all columns, of a sum over the support less the straight line through the columns beside it."""
    place = np.linspace(-1.0, 1.0, len(weight))
    line = np.stack([np.ones_like(place), place], axis=1)
    beside = line[~support]
    out = np.where(support, weight, 0.0)
    out[~support] = -beside @ np.linalg.solve(beside.T @ beside, line[support].T @ weight[support])
    return out


def _long_variance(mean: NDArray[np.float64], beside: NDArray[np.bool_]) -> float:
    """Variance, per column, of a sum over many columns of what does not turn, from the columns beside the object.

    Neighbouring columns are taken to be alike to the same part (a first-order autoregression). The two sides have
    one level in common, but not one slope: few columns could not tell a slope from a broad pattern. A variance from
    few independent columns is uncertain itself, and is taken larger.
    """
    rest = mean[beside] - mean[beside].mean()
    variance = float(rest @ rest) / max(len(rest) - 1, 1)
    neighbours = beside[1:] & beside[:-1]
    steps = np.diff(mean)[neighbours]
    unlike = min(max(0.5 * float(np.mean(steps**2)) / max(variance, 1e-300), 2.0 / _LONGEST), 1.0)
    together = (2.0 - unlike) / unlike
    return variance * together * (1.0 + _FEW * together / len(rest))


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
    support[max(int(covered.min()) - margin, margin) : int(covered.max()) + margin + 1] = True
    support[-margin:] = False
    beside = int(np.count_nonzero(~support))
    if beside < max(_FEWEST, clean.shape[1] // 32):
        raise RotationAxisError(
            f"{beside} columns beside the object are too few to tell what does not turn (rings, dirt) from it"
        )
    return support


def _require_constant(mass: NDArray[np.float64], scatter: float) -> None:
    """An object inside the field has the same mass at every angle, up to the scatter from noise."""
    typical = float(np.median(mass))
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
    """Mean of the axes from pairs of nearly opposite views, from their differences or from the views as they are."""
    differences, wholes, reasons = [], [], []
    for first, second, missing in _opposite_pairs(degrees):
        views = [_turned(stack, degrees, k, by) for k, by in ((first, -0.5 * missing), (second, 0.5 * missing))]
        if views[0] is None or views[1] is None:
            reasons.append(f"{missing:.1f} degrees to half a turn are missing, and no neighbouring view is near enough")
            continue
        turning = views[1] - views[0]
        differences.append(find_row_shift(-turning[:, ::-1], turning))
        wholes.append(_mirrored(views[0], views[1]))
        reasons.append(wholes[-1].reason)
    # What stays on the detector is the same in all views: their mean is as uncertain as one of them.
    found = [mean for mean in (_mean(differences, alike=False), _mean(wholes, alike=True)) if mean is not None]
    if not found:
        raise RotationAxisError(f"no pair of opposite views could be matched: {reasons[0]}")
    best = min(found, key=lambda mean: mean.sigma)
    if abs(found[0].dx - found[-1].dx) > _CONTRADICTION * math.hypot(found[0].sigma, found[-1].sigma):
        best = found[0]
    return RotationAxis(0.5 * (stack.shape[2] - 1 + best.dx), 0.5 * best.sigma, "opposite", best.quality)


def _mirrored(first: NDArray[np.float64], second: NDArray[np.float64]) -> RowShift:
    """Shift of a view half a turn on against the mirrored one: twice the axis' distance from the middle."""
    shift = find_row_shift(first[:, ::-1], second)
    straight = find_row_shift(first, second)
    if straight.quality > max(shift.quality, _SAME_VIEW):
        reason = f"the object did not turn: views half a turn apart are alike as they are ({straight.quality:.2f})"
        return RowShift(shift.dx, shift.sigma, shift.quality, False, reason)
    return shift


def _mean(shifts: list[RowShift], *, alike: bool) -> RowShift | None:
    """Weighted mean of the trusted shifts; with what errs `alike` in all of them it is as uncertain as one."""
    trusted = [shift for shift in shifts if shift.trusted]
    if not trusted:
        return None
    values, sigmas = np.array([s.dx for s in trusted]), np.array([s.sigma for s in trusted])
    weight = 1.0 / sigmas**2
    mean = float(np.sum(weight * values) / weight.sum())
    chi2 = float(np.sum(weight * (values - mean) ** 2)) / max(len(values) - 1, 1)
    sigma = math.sqrt((len(values) if alike else 1.0) * max(chi2, 1.0) / float(weight.sum()))
    return RowShift(mean, sigma, float(np.mean([s.quality for s in trusted])), True, "")


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
    taken = np.zeros(len(degrees), dtype=np.bool_)
    apart = []
    for k in near:
        if not (taken[first[k]] or taken[second[k]]):  # no view twice: its noise would count twice
            taken[[first[k], second[k]]] = True
            apart.append(k)
    chosen = np.asarray(apart)[spread(len(apart), _PAIRS)]
    return [(int(first[k]), int(second[k]), float(gap[k])) for k in chosen]


def _turned(
    stack: NDArray[np.generic], degrees: NDArray[np.float64], index: int, by: float
) -> NDArray[np.float64] | None:
    """View `index` as it would be `by` degrees further on, on the straight line through its nearest neighbour.

    The two weights add up to one, so what does not turn stays as it is.
    """
    view = np.asarray(stack[index], dtype=np.float64)
    if abs(by) < _SAME_ANGLE:
        return view
    away = np.abs(degrees - degrees[index])
    away[away < _SAME_ANGLE] = np.inf
    neighbour = int(np.argmin(away))
    part = by / float(degrees[neighbour] - degrees[index])
    if abs(part) > _MOST_EXTRAPOLATED or away[neighbour] > 2 * _LARGEST_MISSING:
        return None
    return np.asarray(view + part * (stack[neighbour] - view), dtype=np.float64)
