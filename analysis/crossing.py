"""Compiled kernels: from voxel spectra, or their projections, to crossings of the half height and white lines."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from analysis.products import FAST, multiply, project, room, subtract_explained

Array = NDArray[Any]

RUN = 4096  # voxels projected together: runs long enough for the memory to keep up
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
F_JUMP, F_CROSSING, F_RANGE = np.float32(NO_JUMP), np.float32(NO_CROSSING), np.float32(OUT_OF_RANGE)
F_NOISY, F_MEASURED = np.float32(TOO_NOISY), np.float32(NOT_MEASURED)


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
def slopes_at_knots(height: Array, count: int, knots: Array, slope: Array) -> None:
    """Set `slope` [m, TILE] to the slopes of `height` at the knots; `knots` [m, 7] is `edge_tables.knot_table`."""
    last = height.shape[0] - 1
    for block in range(0, last + 1, 2):
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
def refine_crossings(height: Array, slope: Array, count: int, bracket: Array, knots: Array, found: Array) -> None:
    """Find the zero of the cubic between knots ``bracket - 1`` and ``bracket``, per voxel.

    Rows of `found` [6, TILE]: position, slope there, step between the knots, rise between them; the others are work
    space. Where there is no bracket the result means nothing.
    """
    gather_cubic(height, slope, count, bracket, knots, found)
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
def refine_peaks(height: Array, slope: Array, count: int, peak: Array, knots: Array, found: Array) -> None:
    """Find the maximum next to the knot `peak` of the cubics on both sides, per voxel.

    Rows of `found` [6, TILE]: position, curvature (0 where there is no maximum), height; the others are work space.
    """
    last = height.shape[0] - 1
    upper = np.empty(count, np.int32)
    for v in range(count):
        i = min(max(peak[v], 1), last)
        upper[v] = i + 1 if (slope[i, v] > ZERO) & (i < last) else i
    gather_cubic(height, slope, count, upper, knots, found)
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
def gather_cubic(height: Array, slope: Array, count: int, upper: Array, knots: Array, found: Array) -> None:
    """Set `found` to lower knot, step, height and rise, and the slopes at both knots times the step."""
    for v in range(count):
        i = max(upper[v], 1)
        step, a = knots[i, 1], height[i - 1, v]
        found[0, v], found[1, v], found[2, v], found[3, v] = knots[i - 1, 0], step, a, height[i, v] - a
        found[4, v], found[5, v] = slope[i - 1, v] * step, slope[i, v] * step


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

    `tables` holds (knots, first, last, origin, per_ev, variance of the height, of its slope, of the jump);
    `limits` holds (least jump over its sigma, largest sigma).
    Rows of `out`: energy, sigma, jump, jump sigma; where there is room for them white line, its sigma, its height;
    where there is still room the part of the edge's sigma that comes from the step between energies.
    """
    knots, first, last, origin, per_ev, at_edge, at_peak, of_jump = tables
    crossing = np.empty(TILE, np.int32)
    peak = np.empty(TILE, np.int32)
    slopes = room(height.shape[0], TILE, height)
    edge, white = room(6, TILE, height), room(6, TILE, height)
    find_brackets(height, count, first, last, crossing, peak)
    slopes_at_knots(height, count, knots, slopes)
    refine_crossings(height, slopes, count, crossing, knots, edge)
    for v in range(count):
        edge[2, v] *= step_error(edge[3, v] / jump[v])
    look_up(at_edge, edge, jump, count, origin, per_ev, scale2)
    least, largest, of_photons, held_back = limits[0], limits[1], of_jump[0], of_jump[1]
    lowest, why, stop = height[first], room(1, TILE, height)[0], start + count
    for v in range(count):
        slope, coarse = edge[1, v], edge[2, v]
        edge[3, v] = np.sqrt(edge[3, v] / (slope * slope) + coarse * coarse)
        edge[4, v] = np.sqrt(of_photons * scale2[v] + held_back)
    for v in range(count):
        j, total = jump[v], jump[v] + scale2[v]
        reason = F_NOISY if edge[3, v] > largest else ZERO
        reason = reason if crossing[v] >= 0 else (F_RANGE if lowest[v] >= ZERO else F_CROSSING)
        reason = reason if (j > ZERO) & (j >= least * edge[4, v]) else F_JUMP
        why[v] = reason if (total > -HUGE) & (total < HUGE) else F_MEASURED  # NaN fails both comparisons
    nothing = np.float32(np.nan)
    energy, sigma, size, size_sigma = out[0, start:stop], out[1, start:stop], out[2, start:stop], out[3, start:stop]
    for v in range(count):
        good = why[v] == ZERO
        energy[v] = edge[0, v] if good else nothing
        sigma[v] = edge[3, v] if good else nothing
    for v in range(count):
        good = why[v] != F_MEASURED
        size[v] = jump[v] if good else nothing
        size_sigma[v] = edge[4, v] if good else nothing
    codes = code[start:stop]
    for v in range(count):
        codes[v] = np.uint8(why[v])
    if out.shape[0] < 7:
        return
    refine_peaks(height, slopes, count, peak, knots, white)
    look_up(at_peak, white, jump, count, origin, per_ev, scale2)
    line, line_sigma, line_height = out[4, start:stop], out[5, start:stop], out[6, start:stop]
    for v in range(count):
        curvature = white[1, v]
        good = (why[v] == ZERO) & (curvature < ZERO) & (peak[v] < last)
        line[v] = white[0, v] if good else nothing
        line_sigma[v] = -np.sqrt(white[3, v]) / curvature if good else nothing
        line_height[v] = white[2, v] / jump[v] + HALF if good else nothing
    if out.shape[0] > 7:
        out[7, start:stop] = edge[2, :count]


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
    height, jump, scale2 = room(rows.shape[0], TILE, sums), room(1, TILE, sums), room(1, TILE, sums)[0]
    scale2[:] = 1
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
    first: int,
    weights: Array,
    inverse_sigma: Array,
    reader: tuple[Any, ...],
    out: Array,
    code: Array,
) -> None:
    """Project and read the voxels low..high of spectra [E, N] into ``out[:, first:]`` and ``code[first:]``."""
    sums, squares = room(weights.shape[0], RUN, weights), room(1, RUN, weights)[0]
    for start in range(low, high, RUN):
        count = min(RUN, high - start)
        project(weights, inverse_sigma, spectra, start, count, sums, squares)
        read_sums(sums, squares, 0, count, first + start - low, reader, out, code)
