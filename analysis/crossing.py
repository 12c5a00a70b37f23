"""Compiled kernels: from voxel spectra, or their projections, to crossings of the half height and white lines."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from analysis.products import FAST, multiply, project, subtract_explained

Array = NDArray[Any]

RUN = 2048  # voxels projected together: runs long enough for the memory to keep up
TILE = 256  # voxels read together: their heights stay in the nearest cache
# Written as float32: a plain number would turn the kernels' arithmetic into float64, half as fast.
ZERO, HALF, ONE, TWO, THREE = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2), np.float32(3)
HUGE = np.float32(3e38)
FLAT = np.float32(0.2)  # of the chord's slope: less at the crossing is not believed
# Error of the interpolated crossing, in steps: the first times the cube of the part of the jump within the step, at
# most the second, or the third where nearly the whole jump lies within it. Measured on arctangent edges 1 to 2 eV wide
# and on mixtures of two, at steps of 0.5 to 8 eV (tests/analysis/test_edge.py).
COARSE, COARSER, COARSEST = np.float32(0.6), np.float32(0.1), np.float32(0.15)
MOST_OF_IT = np.float32(0.85)

OK, NO_JUMP, NO_CROSSING, OUT_OF_RANGE, TOO_NOISY, NOT_MEASURED = 0, 1, 2, 3, 4, 5


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def step_error(part: float) -> Any:
    """Return the error of an interpolated crossing, in steps, where `part` of the jump lies within the step."""
    return min(COARSE * part * part * part, COARSER if part < MOST_OF_IT else COARSEST)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def find_brackets(height: Array, count: int, first: int, last: int, crossing: Array, peak: Array) -> None:
    """Find, per voxel, the highest knot and the last knot at or below it where `height` turned positive.

    `height` [m, TILE] is the spectrum above its half height at the knots; only knots first..last count.
    `crossing` becomes the upper knot of the bracket, -1 if there is none below the highest knot.
    """
    dtype = height.dtype
    best = np.empty(TILE, dtype)
    upward = np.empty(TILE, np.int32)
    for v in range(count):
        best[v] = height[first, v]
        upward[v] = -1
        crossing[v] = -1
        peak[v] = first
    odd = (last - first) % 2
    for i in range(first + 1, last + 1 - odd, 2):
        below, here, above = height[i - 1], height[i], height[i + 1]
        for v in range(count):
            low, mid, high = below[v], here[v], above[v]
            up = i if (low < ZERO) & (mid >= ZERO) else upward[v]
            at, top, cross = peak[v], best[v], crossing[v]
            cross, at, top = (up, i, mid) if mid > top else (cross, at, top)
            up = i + 1 if (mid < ZERO) & (high >= ZERO) else up
            upward[v] = up
            crossing[v] = up if high > top else cross
            peak[v] = i + 1 if high > top else at
            best[v] = high if high > top else top
    for i in range(last + 1 - odd, last + 1):
        below, here = height[i - 1], height[i]
        for v in range(count):
            up = i if (below[v] < ZERO) & (here[v] >= ZERO) else upward[v]
            crossing[v] = up if here[v] > best[v] else crossing[v]
            peak[v] = i if here[v] > best[v] else peak[v]
            best[v] = max(here[v], best[v])


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def refine_crossings(height: Array, count: int, bracket: Array, intervals: Array, found: Array) -> None:
    """Find the zero of the cubic between knots ``bracket - 1`` and ``bracket``, per voxel.

    `intervals` [m, 12] comes from `edge_tables.knot_intervals`. Rows of `found` [6, TILE]: position, slope there, step
    between the knots, rise between them; the others are work space. Where there is no bracket the result means
    nothing.
    """
    gather_cubic(height, count, bracket, intervals, found)
    for v in range(count):
        start, step, a, rise, m0, m1 = found[0, v], found[1, v], found[2, v], found[3, v], found[4, v], found[5, v]
        c2, c3 = THREE * rise - TWO * m0 - m1, m0 + m1 - TWO * rise
        chord = -a / rise
        t, bottom, top = chord, chord * ZERO, chord * ZERO + ONE
        for _ in range(4):
            value = a + t * (m0 + t * (c2 + t * c3))
            bottom = t if value < ZERO else bottom
            top = top if value < ZERO else t
            new = t - value / (m0 + t * (TWO * c2 + THREE * t * c3))
            t = new if (new >= bottom) & (new <= top) else (bottom + top) / TWO
        steep = m0 + t * (TWO * c2 + THREE * t * c3)
        # A cubic that turns back within the bracket has no slope of its own: the chord tells the uncertainty.
        steep = steep if steep > rise * FLAT else rise * FLAT
        found[0, v] = start + t * step
        found[1, v] = steep / step
        found[2, v] = step


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def refine_peaks(height: Array, count: int, peak: Array, intervals: Array, found: Array) -> None:
    """Find the maximum next to the knot `peak` of the cubics on both sides, per voxel.

    Rows of `found` [6, TILE]: position, curvature (0 where there is no maximum), height; the others are work space.
    """
    last = height.shape[0] - 1
    upper = np.empty(count, np.int32)
    for v in range(count):
        i = min(max(peak[v], 1), last)
        slope = (
            intervals[i, 7] * height[max(i - 2, 0), v]
            + intervals[i, 8] * height[i - 1, v]
            + intervals[i, 9] * height[i, v]
            + intervals[i, 10] * height[min(i + 1, last), v]
            + intervals[i, 11] * height[min(i + 2, last), v]
        )
        rising = (slope > ZERO) & (i < last)
        upper[v] = i + 1 if rising else i
    gather_cubic(height, count, upper, intervals, found)
    for v in range(count):
        start, step, a, rise, m0, m1 = found[0, v], found[1, v], found[2, v], found[3, v], found[4, v], found[5, v]
        c2, c3 = THREE * rise - TWO * m0 - m1, m0 + m1 - TWO * rise
        root = c2 * c2 - THREE * c3 * m0
        good = (m0 >= ZERO) & (m1 <= ZERO) & (root > ZERO)
        t = m0 / (np.sqrt(root if good else ZERO) - c2)
        t = t if good else ZERO
        found[0, v] = start + t * step
        found[1, v] = (TWO * c2 + TWO * THREE * t * c3) / (step * step) if good else ZERO
        found[2, v] = a + t * (m0 + t * (c2 + t * c3))


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def gather_cubic(height: Array, count: int, upper: Array, intervals: Array, found: Array) -> None:
    """Set `found` to lower knot, step, height and rise, and the slopes at both knots times the step."""
    last = height.shape[0] - 1
    for v in range(count):
        i = max(upper[v], 1)
        a, b = height[i - 1, v], height[i, v]
        far, below = height[max(i - 3, 0), v], height[max(i - 2, 0), v]
        above, beyond = height[min(i + 1, last), v], height[min(i + 2, last), v]
        found[0, v], found[1, v], found[2, v], found[3, v] = intervals[i, 0], intervals[i, 1], a, b - a
        found[4, v] = (
            intervals[i, 2] * far
            + intervals[i, 3] * below
            + intervals[i, 4] * a
            + intervals[i, 5] * b
            + intervals[i, 6] * above
        )
        found[5, v] = (
            intervals[i, 7] * below
            + intervals[i, 8] * a
            + intervals[i, 9] * b
            + intervals[i, 10] * above
            + intervals[i, 11] * beyond
        )


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def look_up(table: Array, found: Array, jump: Array, count: int, origin: float, per_ev: float, scale2: Array) -> None:
    """Set ``found[3]`` to the variance at the positions ``found[0]``; steady slopes ``found[1]``, correct positions.

    Columns of `table` [x, 7]: photon noise, held-back signal, correction of the position (eV), photon noise of the
    slope, usual slope over the jump, its spread (variance) from voxel to voxel, and the shift by noise on a curved
    spectrum (eV, times the jump squared; never taken as more than half the sigma). The nearest grid point is taken.
    """
    for v in range(count):
        i = min(max(int((found[0, v] - origin) * per_ev + HALF), 0), table.shape[0] - 1)
        variance, j2 = table[i, 0] * scale2[v] + table[i, 1], jump[v] * jump[v]
        noise, spread = table[i, 3] * scale2[v], table[i, 5] * j2
        slope = (found[1, v] * spread + table[i, 4] * jump[v] * noise) / (spread + noise)
        bent = table[i, 6] * scale2[v] / j2
        found[0, v] += table[i, 2] - bent * variance / (variance + bent * bent * slope * slope)
        found[1, v], found[3, v] = slope, variance


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_tile(
    height: Array,
    jump: Array,
    scale2: Array,
    count: int,
    start: int,
    tables: tuple[Any, ...],
    limits: tuple[Any, ...],
    out: Array,
    code: Array,
) -> None:
    """Read crossings, white lines and their uncertainties of one tile into ``out[:, start:]`` and `code`.

    `tables` holds (intervals, first, last, origin, per_ev, variance of the height, of its slope, of the jump);
    `limits` holds (least jump over its sigma, largest sigma).
    Rows of `out`: energy, sigma, jump, jump sigma, white line, its sigma, its height, and, where there is room for
    it, the part of the edge's sigma that comes from the step between energies.
    """
    intervals, first, last, origin, per_ev, at_edge, at_peak, of_jump = tables
    crossing = np.empty(TILE, np.int32)
    peak = np.empty(TILE, np.int32)
    edge = np.empty((6, TILE), height.dtype)
    white = np.empty((6, TILE), height.dtype)
    find_brackets(height, count, first, last, crossing, peak)
    refine_crossings(height, count, crossing, intervals, edge)
    refine_peaks(height, count, peak, intervals, white)
    for v in range(count):
        edge[2, v] *= step_error(edge[3, v] / jump[v])
    look_up(at_edge, edge, jump, count, origin, per_ev, scale2)
    look_up(at_peak, white, jump, count, origin, per_ev, scale2)
    for v in range(count):
        j, s2 = jump[v], scale2[v]
        slope, coarse, curvature = edge[1, v], edge[2, v], white[1, v]
        edge[3, v] = np.sqrt(edge[3, v] / (slope * slope) + coarse * coarse)
        edge[4, v] = np.sqrt(of_jump[0] * s2 + of_jump[1])
        white[4, v] = -np.sqrt(white[3, v]) / curvature
        white[5, v] = white[2, v] / j + HALF
    for v in range(count):
        why = TOO_NOISY if edge[3, v] > limits[1] else OK
        none = OUT_OF_RANGE if height[first, v] >= ZERO else NO_CROSSING
        why = none if crossing[v] < 0 else why
        why = why if (jump[v] > ZERO) & (jump[v] >= limits[0] * edge[4, v]) else NO_JUMP
        total = jump[v] + scale2[v]  # NaN fails both comparisons
        code[start + v] = why if (total > -HUGE) & (total < HUGE) else NOT_MEASURED
    nothing = np.float32(np.nan)
    for v in range(count):
        good = code[start + v] == OK
        out[0, start + v] = edge[0, v] if good else nothing
        out[1, start + v] = edge[3, v] if good else nothing
    for v in range(count):
        good = code[start + v] != NOT_MEASURED
        out[2, start + v] = jump[v] if good else nothing
        out[3, start + v] = edge[4, v] if good else nothing
    for v in range(count):
        good = (code[start + v] == OK) & (white[1, v] < ZERO) & (peak[v] < last)
        out[4, start + v] = white[0, v] if good else nothing
        out[5, start + v] = white[4, v] if good else nothing
        out[6, start + v] = white[5, v] if good else nothing
    if out.shape[0] > 7:
        out[7, start : start + count] = edge[2, :count]


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_sums(
    sums: Array,
    squares: Array,
    low: int,
    high: int,
    first: int,
    reader: tuple[Any, ...],
    out: Array,
    code: Array,
) -> None:
    """Read projections sums [k, ...] and squares [...] of voxels low..high into ``out[:, first:]``, ``code[first:]``.

    `reader` holds (rows [m, k], jump row [1, k], fixed half height, fixed jump, whitener, degrees of freedom, those
    given to the noise that was given, tables and limits of `read_tile`).
    """
    rows, jump_row, fixed_half, fixed_jump, whitener, freedom, given, tables, limits = reader
    height = np.empty((rows.shape[0], TILE), sums.dtype)
    jump = np.empty((1, TILE), sums.dtype)
    scale2 = np.ones(TILE, sums.dtype)
    for start in range(low, high, TILE):
        count = min(TILE, high - start)
        multiply(rows, sums, start, count, height)
        multiply(jump_row, sums, start, count, jump)
        if fixed_jump > 0:
            jump[0] += fixed_jump
            height -= fixed_half
        if freedom > 0:
            residual = squares[start : start + count].copy()
            subtract_explained(whitener, sums, start, count, residual)
            for v in range(count):
                scale2[v] = (given + (residual[v] if residual[v] > ZERO else ZERO * residual[v])) / (given + freedom)
        read_tile(height, jump[0], scale2, count, first + start - low, tables, limits, out, code)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_spectra(
    spectra: Array,
    low: int,
    high: int,
    weights: Array,
    inverse_sigma: Array,
    reader: tuple[Any, ...],
    out: Array,
    code: Array,
) -> None:
    """Project and read the voxels low..high of spectra [E, N]."""
    sums = np.empty((weights.shape[0], RUN), weights.dtype)
    squares = np.empty(RUN, weights.dtype)
    for start in range(low, high, RUN):
        count = min(RUN, high - start)
        project(weights, inverse_sigma, spectra, start, count, sums, squares)
        read_sums(sums, squares, 0, count, start, reader, out, code)
