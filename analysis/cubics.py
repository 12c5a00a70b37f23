"""Compiled cubics between measured energies: their zeros and their maxima, for many spectra at once."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from analysis.terms import FAST

Array = NDArray[Any]

# Written as float32: a plain number would turn the kernels' arithmetic into float64, half as fast.
ZERO, ONE, TWO, THREE = np.float32(0), np.float32(1), np.float32(2), np.float32(3)
FLAT = np.float32(0.2)  # of the chord's slope: less at the crossing is not believed
TURNS = 3  # of Newton's iteration


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def slopes_at_knots(height: Array, count: int, knots: Array, low: int, high: int, slope: Array) -> None:
    """Set `slope` [m, TILE] to the slopes of `height` at the knots low..high; `knots`: `edge_tables.knot_table`."""
    last = knots.shape[0] - 1
    for block in range(low, high + 1, 2):
        i = min(block, last - 1)  # two knots share what they read; the last two overlap where the number is odd
        a, b, c = height[max(i - 2, 0)], height[max(i - 1, 0)], height[i]
        d, e, f = height[i + 1], height[min(i + 2, last)], height[min(i + 3, last)]
        x, y = slope[i], slope[i + 1]
        xa, xb, xc, xd, xe = knots[i, 2], knots[i, 3], knots[i, 4], knots[i, 5], knots[i, 6]
        yb, yc, yd, ye, yf = knots[i + 1, 2], knots[i + 1, 3], knots[i + 1, 4], knots[i + 1, 5], knots[i + 1, 6]
        for v in range(count):
            bv, cv, dv, ev = b[v], c[v], d[v], e[v]
            x[v] = (xa * a[v] + xb * bv) + (xd * dv + xe * ev) + xc * cv
            y[v] = (yb * bv + yc * cv) + (ye * ev + yf * f[v]) + yd * dv


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def knots_in_use(crossing: Array, peak: Array, count: int, last: int) -> Any:
    """Return the lowest and the highest of the knots 0..last that brackets of `crossing` and `peak` touch."""
    low, high = np.int32(last), np.int32(0)
    for v in range(count):
        below = crossing[v] if crossing[v] > 0 else peak[v]
        low = below if below < low else low
        high = peak[v] if peak[v] > high else high
    return max(low - 1, 0), min(high + 1, last)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def refine_crossings(height: Array, slope: Array, count: int, bracket: Array, knots: Array, found: Array) -> None:
    """Find the zero of the cubic between knots ``bracket - 1`` and ``bracket``, per voxel.

    Rows of `found` [6, TILE]: position, slope there, step between the knots, rise between them; the others are work
    space. Where there is no bracket the result means nothing.
    """
    gather_cubic(height, slope, count, bracket, knots, found)
    position, steepness, width, rises, before, after = found[0], found[1], found[2], found[3], found[4], found[5]
    for v in range(count):
        start, step, a, rise, m0, m1 = position[v], steepness[v], width[v], rises[v], before[v], after[v]
        c2, c3 = THREE * rise - TWO * m0 - m1, m0 + m1 - TWO * rise
        chord = -a / rise
        t, bottom, top = chord, chord * ZERO, chord * ZERO + ONE
        for _ in range(TURNS):
            value = a + t * (m0 + t * (c2 + t * c3))
            bottom = t if value < ZERO else bottom
            top = top if value < ZERO else t
            new = t - value / (m0 + t * (TWO * c2 + THREE * t * c3))
            t = new if (new >= bottom) & (new <= top) else (bottom + top) / TWO
        steep = m0 + t * (TWO * c2 + THREE * t * c3)
        # A cubic that turns back within the bracket has no slope of its own: the chord tells the uncertainty.
        steep = steep if steep > rise * FLAT else rise * FLAT
        position[v] = start + t * step
        steepness[v] = steep / step
        width[v] = step


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def refine_peaks(
    height: Array, slope: Array, count: int, peak: Array, knots: Array, found: Array, upper: Array
) -> None:
    """Find the maximum next to the knot `peak` of the cubics on both sides, per voxel.

    Rows of `found` [6, TILE]: position, curvature (0 where there is no maximum), height; the others are work space, and
    so is `upper` [TILE], int32.
    """
    last = knots.shape[0] - 1
    for v in range(count):
        i = min(max(peak[v], 1), last)
        upper[v] = i + 1 if (slope[i, v] > ZERO) & (i < last) else i
    gather_cubic(height, slope, count, upper, knots, found)
    position, curvature, top, rises, before, after = found[0], found[1], found[2], found[3], found[4], found[5]
    for v in range(count):
        start, step, a, rise, m0, m1 = position[v], curvature[v], top[v], rises[v], before[v], after[v]
        c2, c3 = THREE * rise - TWO * m0 - m1, m0 + m1 - TWO * rise
        root = c2 * c2 - THREE * c3 * m0
        good = (m0 >= ZERO) & (m1 <= ZERO) & (root > ZERO)
        t = m0 / (np.sqrt(root if good else ZERO) - c2)
        t = t if good else ZERO
        position[v] = start + t * step
        curvature[v] = (TWO * c2 + TWO * THREE * t * c3) / (step * step) if good else ZERO
        top[v] = a + t * (m0 + t * (c2 + t * c3))


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def gather_cubic(height: Array, slope: Array, count: int, upper: Array, knots: Array, found: Array) -> None:
    """Set `found` to lower knot, step, height and rise, and the slopes at both knots times the step."""
    start, step, low, rise, before, after = found[0], found[1], found[2], found[3], found[4], found[5]
    for v in range(count):  # nothing but looking up: what is reckoned afterwards runs on whole vectors
        i = max(upper[v], 1)
        start[v], step[v] = knots[i - 1, 0], knots[i, 1]
        low[v], rise[v] = height[i - 1, v], height[i, v]
        before[v], after[v] = slope[i - 1, v], slope[i, v]
    for v in range(count):
        rise[v] -= low[v]
        before[v] *= step[v]
        after[v] *= step[v]
