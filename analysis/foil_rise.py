"""Where a foil spectrum first rises: the inflection of its edge between the points of the grid, and its uncertainty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.energy_scale import ScaleError

Array = NDArray[np.float64]

__all__ = ["SIGNIFICANT", "first_inflection"]

AROUND = 15.0  # eV beyond the search range: another steep rise there tells that it is not the foil's edge within
COMPARABLE = 0.4  # of the steepest slope; the pre-edge of a manganese oxide has 0.45
METALLIC = 0.75  # of the steepest slope has the first rise of a metal; noise may lessen it
APART = 3.0  # eV between two rises, else they are one
SIGNIFICANT = 5.0  # standard deviations of a jump or a slope, below which it is none


def first_inflection(
    e: Array, m: Array, inside: NDArray[np.intp], half_width: float, width: float
) -> tuple[float, float]:
    """Inflection, and its uncertainty, of the first rise, which in metals is the steepest, too."""
    slope = _smooth_slope(e, m, half_width)
    rises = _rises(e, m, inside, slope, half_width)
    first, steepest = rises[0], max(rises, key=lambda k: float(slope[k]))
    if slope[first] < METALLIC * slope[steepest]:
        raise ScaleError(
            f"no metal foil: its spectrum rises first at {e[first]:.1f} eV but steeper at {e[steepest]:.1f} eV, as an "
            "oxide does, or where light of the sample comes into the detector of the foil"
        )
    if not e[inside[0]] <= e[first] <= e[inside[-1]]:
        raise ScaleError(
            f"no foil edge within {e[inside[0]]:.1f}..{e[inside[-1]]:.1f} eV: the first steep rise is at "
            f"{e[first]:.1f} eV; give near= if that is the foil"
        )
    failed: ScaleError | None = None
    for used in (width, 1.5 * width, 2.25 * width):  # in noise a narrow window may hold no inflection
        try:
            found, sigma = _resting_inflection(e, m, float(e[first]), used)
            wider, _ = _resting_inflection(e, m, float(e[first]), 1.5 * used)
            return found, float(np.hypot(sigma, 0.5 * (wider - found)))
        except ScaleError as error:
            failed = failed or error
    assert failed is not None
    raise failed


def _rises(e: Array, m: Array, inside: NDArray[np.intp], slope: Array, half_width: float) -> list[int]:
    """Indices where the spectrum rises steepest, in the order of energy, up to `AROUND` eV beyond the search range.

    Slopes below `COMPARABLE` of the steepest do not count, nor do those that may be noise or are not there to stay (a
    glitch); of several within `APART` eV the steepest does.
    """
    near = np.flatnonzero((e >= e[inside[0]] - AROUND) & (e <= e[inside[-1]] + AROUND))
    here = slope[near]
    top = (here >= slope[np.maximum(near - 1, 0)]) & (here >= slope[np.minimum(near + 1, e.size - 1)])

    def stays(i: int) -> bool:
        above, below = (m[(side > half_width) & (side < APART + half_width)] for side in (e - e[i], e[i] - e))
        return bool(above.size and below.size and above.mean() - below.mean() > slope[i] * half_width)

    tops = [int(i) for i in near[top] if stays(i)]
    noise = _slope_noise(e[near], m[near], half_width)
    enough = max(COMPARABLE * max((float(slope[i]) for i in tops), default=0.0), SIGNIFICANT * noise)
    found: list[int] = []
    for i in tops:
        if slope[i] <= enough:
            continue
        if found and e[i] - e[found[-1]] < APART:
            found[-1] = max(found[-1], i, key=lambda k: float(slope[k]))
        else:
            found.append(i)
    return found or [int(inside[np.argmax(slope[inside])])]


def _point_noise(m: Array) -> float:
    """Standard deviation of the points of a spectrum, by its second differences; edges are few and do not count."""
    return float(1.4826 / np.sqrt(6.0) * np.median(np.abs(np.diff(m, 2))))


def _slope_noise(e: Array, m: Array, half_width: float) -> float:
    """Standard deviation of the slope of a line within `half_width` eV."""
    points = max(2.0 * half_width / float(np.median(np.diff(e))), 2.0)
    return float(_point_noise(m) / (half_width * np.sqrt(points / 3.0)))


def _resting_inflection(e: Array, m: Array, start: float, width: float) -> tuple[float, float]:
    """Inflection in a window centred on itself."""
    centre = start
    for _ in range(40):
        found, sigma = _inflection(e, m, centre, width)
        if abs(found - centre) < 1e-4:
            break
        centre = 0.5 * (centre + found)
    return found, sigma


def _inflection(e: Array, m: Array, centre: float, width: float) -> tuple[float, float]:
    """Inflection of the cubic fitted within ``width`` of ``centre``, and its standard deviation."""
    distance = np.abs(e - centre)
    width = max(width, 1.001 * float(np.partition(distance, 4)[4]))
    take = distance <= width
    x = (e[take] - centre) / width
    design = np.vander(x, 4, increasing=True)
    inverse = np.linalg.pinv(design)
    c = inverse @ m[take]
    residual = m[take] - design @ c
    freedom = int(take.sum()) - 4  # few: the noise of the points around counts as much as ten more
    variance = (float(residual @ residual) + 10 * _point_noise(m[distance <= 10 * width]) ** 2) / (freedom + 10)
    covariance = inverse @ inverse.T * variance
    if c[3] >= 0 or c[1] <= 0:
        raise ScaleError(f"foil spectrum has no steepest point near {centre:.2f} eV")
    gradient = np.array([0.0, 0.0, -1.0 / (3 * c[3]), c[2] / (3 * c[3] ** 2)])
    sigma = float(np.sqrt(gradient @ covariance @ gradient)) * width
    return centre - width * float(np.clip(c[2] / (3 * c[3]), -1, 1)), sigma


def _smooth_slope(e: Array, m: Array, width: float) -> Array:
    """Slope of a local straight line within ``width`` eV of each point (at least the two neighbours)."""
    first = np.minimum(np.searchsorted(e, e - width), np.maximum(np.arange(e.size) - 1, 0))
    last = np.maximum(np.searchsorted(e, e + width, side="right"), np.minimum(np.arange(e.size) + 2, e.size))

    def total(x: Array) -> Array:
        running = np.concatenate(([0.0], np.cumsum(x)))
        return np.asarray(running[last] - running[first])

    x, y, n = e - e.mean(), m - m.mean(), (last - first).astype(np.float64)
    sx, sy = total(x), total(y)
    return np.asarray((total(x * y) - sx * sy / n) / (total(x * x) - sx * sx / n))
