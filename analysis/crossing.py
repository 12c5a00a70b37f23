"""Compiled kernels: from voxel spectra, or their projections, to crossings of the half height and white lines."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# NaN must survive: no "nnan" and "ninf" here, they mark voxels that were not measured.
FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
TILE = 128

OK, NO_JUMP, NO_CROSSING, OUT_OF_RANGE, TOO_NOISY, NOT_MEASURED = 0, 1, 2, 3, 4, 5


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def accumulate(
    spectra: Array, start: int, count: int, weights: Array, inverse_sigma: Array, sums: Array, squares: Array
) -> None:
    """Add ``weights @ y`` and ``|y / sigma|^2`` of voxels start..start+count to `sums` [k, TILE], `squares`."""
    energies = spectra.shape[0]
    rank = weights.shape[0]
    four = energies - energies % 4
    for e in range(0, four, 4):
        a, b = spectra[e, start : start + count], spectra[e + 1, start : start + count]
        c, d = spectra[e + 2, start : start + count], spectra[e + 3, start : start + count]
        s0, s1, s2, s3 = inverse_sigma[e], inverse_sigma[e + 1], inverse_sigma[e + 2], inverse_sigma[e + 3]
        for v in range(count):
            squares[v] += (a[v] * s0) ** 2 + (b[v] * s1) ** 2 + (c[v] * s2) ** 2 + (d[v] * s3) ** 2
        for j in range(rank):
            p0, p1, p2, p3 = weights[j, e], weights[j, e + 1], weights[j, e + 2], weights[j, e + 3]
            out = sums[j]
            for v in range(count):
                out[v] += (p0 * a[v] + p1 * b[v]) + (p2 * c[v] + p3 * d[v])
    for e in range(four, energies):
        a, s0 = spectra[e, start : start + count], inverse_sigma[e]
        for v in range(count):
            squares[v] += (a[v] * s0) ** 2
        for j in range(rank):
            p0, out = weights[j, e], sums[j]
            for v in range(count):
                out[v] += p0 * a[v]


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def combine(rows: Array, sums: Array, count: int, out: Array) -> None:
    """Set ``out[i] = rows[i] @ sums`` for a tile of voxels; rows [m, k], sums [k, TILE], out [m, TILE]."""
    rank = rows.shape[1]
    four = rank - rank % 4
    for i in range(rows.shape[0]):
        target = out[i]
        for v in range(count):
            target[v] = 0
        for j in range(0, four, 4):
            a, b, c, d = sums[j], sums[j + 1], sums[j + 2], sums[j + 3]
            p0, p1, p2, p3 = rows[i, j], rows[i, j + 1], rows[i, j + 2], rows[i, j + 3]
            for v in range(count):
                target[v] += (p0 * a[v] + p1 * b[v]) + (p2 * c[v] + p3 * d[v])
        for j in range(four, rank):
            a, p0 = sums[j], rows[i, j]
            for v in range(count):
                target[v] += p0 * a[v]


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
    for i in range(first + 1, last + 1):
        below, here = height[i - 1], height[i]
        for v in range(count):
            up = i if (below[v] < 0) & (here[v] >= 0) else upward[v]
            higher = here[v] > best[v]
            upward[v] = up
            best[v] = here[v] if higher else best[v]
            peak[v] = i if higher else peak[v]
            crossing[v] = up if higher else crossing[v]


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def refine_crossings(height: Array, count: int, bracket: Array, intervals: Array, found: Array) -> None:
    """Find the zero of the cubic between knots ``bracket - 1`` and ``bracket``, per voxel.

    `intervals` [m, 6]: lower knot, step, and the weights of the left and right chord in the slopes at both knots,
    times the step (`edge_tables.knot_intervals`). Rows of `found` [8, TILE]: position, slope there, distance from the
    zero of the chord; the others are work space. Where there is no bracket the result means nothing.
    """
    x, slope, bend, low, rise, start, tilt0, tilt1 = found
    last = height.shape[0] - 1
    for v in range(count):
        i = max(bracket[v], 1)
        h = intervals[i]
        a, b = height[i - 1, v], height[i, v]
        before, after = a - height[max(i - 2, 0), v], height[min(i + 1, last), v] - b
        low[v], rise[v], start[v], slope[v] = a, b - a, h[0], h[1]
        tilt0[v] = h[2] * before + h[3] * (b - a)
        tilt1[v] = h[4] * (b - a) + h[5] * after
    for v in range(count):
        a, r, m0, step = low[v], rise[v], tilt0[v], slope[v]
        c2, c3 = 3 * r - 2 * m0 - tilt1[v], m0 + tilt1[v] - 2 * r
        chord = -a / r
        t, bottom, top = chord, r * 0, r * 0 + 1
        for _ in range(4):
            value = a + t * (m0 + t * (c2 + t * c3))
            bottom = t if value < 0 else bottom
            top = top if value < 0 else t
            new = t - value / (m0 + t * (2 * c2 + 3 * t * c3))
            t = new if (new >= bottom) & (new <= top) else (bottom + top) / 2
        steep = m0 + t * (2 * c2 + 3 * t * c3)
        # A cubic that turns back within the bracket has no slope of its own: the chord tells the uncertainty.
        steep = max(steep, r / 5)
        x[v], slope[v], bend[v] = start[v] + t * step, steep / step, (t - chord) * step


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def refine_peaks(height: Array, count: int, peak: Array, intervals: Array, found: Array) -> None:
    """Find the maximum next to the knot `peak` of the cubics on both sides, per voxel.

    Rows of `found` [8, TILE]: position (NaN where there is none), height, curvature; the others are work space.
    """
    x, top, curvature, low, rise, step, tilt0, tilt1 = found
    last = height.shape[0] - 1
    for v in range(count):
        i = min(max(peak[v], 1), last)
        h = intervals[i]
        b, a = height[i, v], height[i - 1, v]
        after = height[min(i + 1, last), v] - b
        if h[4] * (b - a) + h[5] * after > 0 and i < last:
            i += 1
            h = intervals[i]
            a, b = b, height[i, v]
            after = height[min(i + 1, last), v] - b
        before = a - height[max(i - 2, 0), v]
        low[v], rise[v], x[v], step[v] = a, b - a, h[0], h[1]
        tilt0[v] = h[2] * before + h[3] * (b - a)
        tilt1[v] = h[4] * (b - a) + h[5] * after
    for v in range(count):
        r, m0, m1 = rise[v], tilt0[v], tilt1[v]
        c2, c3 = 3 * r - 2 * m0 - m1, m0 + m1 - 2 * r
        root = c2 * c2 - 3 * c3 * m0
        good = (m0 >= 0) & (m1 <= 0) & (root > 0)
        t = m0 / (np.sqrt(root if good else r * 0) - c2)
        top[v] = low[v] + t * (m0 + t * (c2 + t * c3))
        curvature[v] = (2 * c2 + 6 * t * c3) / (step[v] * step[v])
        x[v] = x[v] + t * step[v] if good else r * np.nan


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", inline="always")
def variance_at(table: Array, x: float, origin: float, per_ev: float, scale2: float) -> float:
    """Return photon noise times `scale2` plus held-back signal from ``table`` [x, 2] at the nearest grid point."""
    i = min(max(int((x - origin) * per_ev + np.float32(0.5)), 0), table.shape[0] - 1)
    return table[i, 0] * scale2 + table[i, 1]  # type: ignore[no-any-return]


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
    it, how far the crossing lies from that of the chord.
    """
    intervals, first, last, origin, per_ev, at_edge, at_peak, of_jump = tables
    least, largest = np.float32(limits[0]), np.float32(limits[1])
    crossing = np.empty(TILE, np.int32)
    peak = np.empty(TILE, np.int32)
    edge = np.empty((8, TILE), height.dtype)
    white = np.empty((8, TILE), height.dtype)
    find_brackets(height, count, first, last, crossing, peak)
    refine_crossings(height, count, crossing, intervals, edge)
    refine_peaks(height, count, peak, intervals, white)
    nothing = np.float32(np.nan)
    for v in range(count):
        n = start + v
        x, slope, bend, s2, j = edge[0, v], edge[1, v], edge[2, v], scale2[v], jump[v]
        measured = np.isfinite(j) & np.isfinite(s2)
        jump_sigma = np.sqrt(of_jump[0] * s2 + of_jump[1])
        sigma = np.sqrt(variance_at(at_edge, x, origin, per_ev, s2) / (slope * slope) + bend * bend)
        why = TOO_NOISY if sigma > largest else OK
        none = OUT_OF_RANGE if height[first, v] >= 0 else NO_CROSSING
        why = none if crossing[v] < 0 else why
        why = why if (j > 0) & (j >= least * jump_sigma) else NO_JUMP
        why = why if measured else NOT_MEASURED
        good = why == OK
        code[n] = why
        out[0, n] = x if good else nothing
        out[1, n] = sigma if good else nothing
        out[2, n] = j if measured else nothing
        out[3, n] = jump_sigma if measured else nothing
        p, curvature = white[0, v], white[2, v]
        if out.shape[0] > 7:
            out[7, n] = bend
        good &= (curvature < 0) & (peak[v] < last) & np.isfinite(p)
        out[4, n] = p if good else nothing
        p_sigma = np.sqrt(variance_at(at_peak, p if good else origin, origin, per_ev, s2)) / -curvature
        out[5, n] = p_sigma if good else nothing
        out[6, n] = white[1, v] / j + np.float32(0.5) if good else nothing


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_sums(
    sums: Array, squares: Array, count: int, start: int, reader: tuple[Any, ...], out: Array, code: Array
) -> None:
    """Read one tile of projections: sums [k, TILE], squares [TILE].

    `reader` holds (rows [m, k], jump row [1, k], fixed half height, fixed jump, whitener, degrees of freedom, those
    given to the noise that was given, tables and limits of `read_tile`).
    """
    rows, jump_row, fixed_half, fixed_jump, whitener, freedom, given, tables, limits = reader
    height = np.empty((rows.shape[0], TILE), sums.dtype)
    jump = np.empty((1, TILE), sums.dtype)
    combine(rows, sums, count, height)
    combine(jump_row, sums, count, jump)
    if fixed_jump > 0:
        jump[0] += fixed_jump
        height -= fixed_half
    scale2 = np.ones(TILE, sums.dtype)
    if freedom > 0:
        explained = np.empty((whitener.shape[0], TILE), sums.dtype)
        combine(whitener, sums, count, explained)
        residual = squares.copy()
        for j in range(whitener.shape[0]):
            for v in range(count):
                residual[v] -= explained[j, v] ** 2
        for v in range(count):
            scale2[v] = (given + max(residual[v], residual[v] * 0)) / (given + freedom)
    read_tile(height, jump[0], scale2, count, start, tables, limits, out, code)


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
    sums = np.empty((weights.shape[0], TILE), weights.dtype)
    squares = np.empty(TILE, weights.dtype)
    for start in range(low, high, TILE):
        count = min(TILE, high - start)
        sums[:] = 0
        squares[:] = 0
        accumulate(spectra, start, count, weights, inverse_sigma, sums, squares)
        read_sums(sums, squares, count, start, reader, out, code)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_accumulated(
    sums: Array, squares: Array, low: int, high: int, reader: tuple[Any, ...], out: Array, code: Array
) -> None:
    """Read the voxels low..high of projections sums [k, N], squares [N]."""
    tile = np.empty((sums.shape[0], TILE), sums.dtype)
    for start in range(low, high, TILE):
        count = min(TILE, high - start)
        tile[:, :count] = sums[:, start : start + count]
        read_sums(tile, squares[start : start + count], count, start, reader, out, code)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def add_energy(values: Array, weights: Array, inverse_variance: float, sums: Array, squares: Array) -> None:
    """Add one energy's values [N] to the projections sums [k, N] and to the sum of squares [N]."""
    inverse = np.float32(inverse_variance)
    for low in range(0, values.size, 2048):
        y, total = values[low : low + 2048], squares[low : low + 2048]
        for v in range(y.size):
            total[v] += inverse * y[v] * y[v]
        for j in range(weights.size):
            w, out = weights[j], sums[j, low : low + 2048]
            for v in range(y.size):
                out[v] += w * y[v]


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def response_variance(sigma: Array, response2: Array, at: Array, out: Array) -> None:
    """Set ``out[v]`` to the variance of ``response[at[v]] @ y`` under each voxel's own noise.

    sigma [E, N]; response2 [x, E], squared responses; at [N].
    """
    for v in range(at.size):
        row = response2[at[v]]
        total = row[0] * 0
        for e in range(sigma.shape[0]):
            total += row[e] * sigma[e, v] * sigma[e, v]
        out[v] = total
