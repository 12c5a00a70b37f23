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


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def knot_slope(height: Array, i: int, v: int, left: Array, right: Array) -> float:
    """Slope at knot `i` of the parabola through it and its neighbours (the outermost knots: the secant)."""
    slope = height[0, v] * 0
    if left[i] != 0:
        slope += left[i] * (height[i, v] - height[i - 1, v])
    if right[i] != 0:
        slope += right[i] * (height[i + 1, v] - height[i, v])
    return slope  # type: ignore[no-any-return]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def refine_crossing(height: Array, i: int, v: int, knots: Array, left: Array, right: Array) -> tuple[float, float]:
    """Return position and slope of the zero between knots i - 1 and i of the cubic through both."""
    step = knots[i] - knots[i - 1]
    low, high = height[i - 1, v], height[i, v]
    m0 = knot_slope(height, i - 1, v, left, right) * step
    m1 = knot_slope(height, i, v, left, right) * step
    rise = high - low
    c2, c3 = 3 * rise - 2 * m0 - m1, m0 + m1 - 2 * rise
    start, end = rise * 0, rise * 0 + 1
    t = -low / rise
    for _ in range(4):
        value = low + t * (m0 + t * (c2 + t * c3))
        if value < 0:
            start = t
        else:
            end = t
        slope = m0 + t * (2 * c2 + 3 * t * c3)
        new = t - value / slope if slope > 0 else start - 1
        t = new if start <= new <= end else (start + end) / 2
    slope = m0 + t * (2 * c2 + 3 * t * c3)
    # A cubic that turns back within the bracket has no slope of its own: the chord tells the uncertainty.
    slope = slope if slope > 0.2 * rise else 0.2 * rise
    return knots[i - 1] + t * step, slope / step


@numba.njit(cache=True, nogil=True, error_model="numpy")
def refine_peak(height: Array, i: int, v: int, knots: Array, left: Array, right: Array) -> tuple[float, float, float]:
    """Return position, height and curvature of the maximum next to knot `i`; NaN where the cubic has none."""
    here = knot_slope(height, i, v, left, right)
    a = i if here > 0 else i - 1
    step = knots[a + 1] - knots[a]
    m0 = knot_slope(height, a, v, left, right) * step
    m1 = knot_slope(height, a + 1, v, left, right) * step
    rise = height[a + 1, v] - height[a, v]
    c2, c3 = 3 * rise - 2 * m0 - m1, m0 + m1 - 2 * rise
    root = c2 * c2 - 3 * c3 * m0
    if not (m0 >= 0 and m1 <= 0 and root > 0):
        nothing = rise * np.nan
        return nothing, nothing, nothing
    t = m0 / (np.sqrt(root) - c2)
    top = height[a, v] + t * (m0 + t * (c2 + t * c3))
    return knots[a] + t * step, top, (2 * c2 + 6 * t * c3) / (step * step)


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def looked_up(table: Array, x: float, origin: float, per_ev: float) -> float:
    """Return the linearly interpolated value of a table on an even grid."""
    f = (x - origin) * per_ev
    i = min(max(int(f), 0), table.size - 2)
    return table[i] + (table[i + 1] - table[i]) * (f - i)  # type: ignore[no-any-return]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def read_tile(
    height: Array,
    jump: Array,
    scale2: Array,
    count: int,
    start: int,
    reader: tuple[Any, ...],
    limits: tuple[Any, ...],
    out: Array,
    code: Array,
) -> None:
    """Read crossings, white lines and their uncertainties of one tile into ``out[:, start:]`` and `code`.

    `reader` holds (knots, left, right, first, last, origin, per_ev, noise, missing, peak_noise, peak_missing,
    jump_noise, jump_missing); `limits` holds (least jump over its sigma, largest sigma).
    Rows of `out`: energy, sigma, jump, jump sigma, white line, its sigma, its height.
    """
    knots, left, right, first, last, origin, per_ev = reader[:7]
    noise, missing, peak_noise, peak_missing, jump_noise, jump_missing = reader[7:]
    crossing = np.empty(TILE, np.int32)
    peak = np.empty(TILE, np.int32)
    find_brackets(height, count, first, last, crossing, peak)
    for v in range(count):
        n = start + v
        for row in range(out.shape[0]):
            out[row, n] = np.nan
        if not (np.isfinite(jump[v]) and np.isfinite(scale2[v])):
            code[n] = NOT_MEASURED
            continue
        jump_sigma = np.sqrt(jump_noise * scale2[v] + jump_missing)
        out[2, n], out[3, n] = jump[v], jump_sigma
        if not (jump[v] > 0 and jump[v] >= limits[0] * jump_sigma):
            code[n] = NO_JUMP
            continue
        if crossing[v] < 0:
            code[n] = OUT_OF_RANGE if height[first, v] >= 0 else NO_CROSSING
            continue
        x, slope = refine_crossing(height, crossing[v], v, knots, left, right)
        variance = looked_up(noise, x, origin, per_ev) * scale2[v] + looked_up(missing, x, origin, per_ev)
        sigma = np.sqrt(variance) / slope
        if sigma > limits[1]:
            code[n] = TOO_NOISY
            continue
        code[n] = OK
        out[0, n], out[1, n] = x, sigma
        if peak[v] < last:
            p, top, curvature = refine_peak(height, peak[v], v, knots, left, right)
            if np.isfinite(p) and curvature < 0:
                variance = looked_up(peak_noise, p, origin, per_ev) * scale2[v]
                variance += looked_up(peak_missing, p, origin, per_ev)
                out[4, n], out[5, n] = p, np.sqrt(variance) / -curvature
                out[6, n] = top / jump[v] + 0.5


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_sums(
    sums: Array,
    squares: Array,
    count: int,
    start: int,
    rows: Array,
    jump_row: Array,
    fixed: tuple[Any, ...],
    whitener: Array,
    freedom: tuple[Any, ...],
    reader: tuple[Any, ...],
    limits: tuple[Any, ...],
    out: Array,
    code: Array,
) -> None:
    """Read one tile of projections: sums [k, TILE], squares [TILE]; `fixed` is (half height, jump) or (0, 0)."""
    height = np.empty((rows.shape[0], TILE), sums.dtype)
    combine(rows, sums, count, height)
    jump = np.empty((1, TILE), sums.dtype)
    combine(jump_row, sums, count, jump)
    if fixed[1] > 0:
        for v in range(count):
            jump[0, v] += fixed[1]
        for i in range(rows.shape[0]):
            for v in range(count):
                height[i, v] -= fixed[0]
    scale2 = np.ones(TILE, sums.dtype)
    if freedom[0] > 0:
        explained = np.empty((whitener.shape[0], TILE), sums.dtype)
        combine(whitener, sums, count, explained)
        for v in range(count):
            total = squares[v]
            for j in range(whitener.shape[0]):
                total -= explained[j, v] ** 2
            scale2[v] = (freedom[1] + max(total, 0)) / (freedom[1] + freedom[0])
    read_tile(height, jump[0], scale2, count, start, reader, limits, out, code)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_spectra(
    spectra: Array,
    low: int,
    high: int,
    weights: Array,
    inverse_sigma: Array,
    rows: Array,
    jump_row: Array,
    fixed: tuple[Any, ...],
    whitener: Array,
    freedom: tuple[Any, ...],
    reader: tuple[Any, ...],
    limits: tuple[Any, ...],
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
        read_sums(sums, squares, count, start, rows, jump_row, fixed, whitener, freedom, reader, limits, out, code)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def voxel_variance(sigma: Array, v: int, response: Array, row: int) -> float:
    """Return the variance of ``response[row] @ y`` for the noise of voxel `v`; sigma [E, N]."""
    total = 0.0
    for e in range(sigma.shape[0]):
        total += (response[row, e] * sigma[e, v]) ** 2
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def apply_voxel_noise(
    sigma: Array,
    value: Array,
    slope: Array,
    jump: Array,
    reader: tuple[Any, ...],
    limits: tuple[Any, ...],
    out: Array,
    code: Array,
) -> None:
    """Replace the sigmas in `out` by those that follow from the noise of each voxel, sigma [E, N].

    `value` and `slope` [x, E] are the responses of height and slope on the table's grid, `jump` [1, E] of the jump.
    The slopes at the edge and the curvatures of the white line come from the sigmas that are replaced.
    """
    origin, per_ev, noise, missing, peak_noise, peak_missing, _, jump_missing = reader[5:]
    for v in range(code.size):
        if code[v] == NOT_MEASURED:
            continue
        variance = voxel_variance(sigma, v, jump, 0)
        if not np.isfinite(variance):
            out[:, v] = np.nan
            code[v] = NOT_MEASURED
            continue
        out[3, v] = np.sqrt(variance + jump_missing)
        if code[v] != OK:
            continue
        for what, table, held_back, response in ((0, noise, missing, value), (4, peak_noise, peak_missing, slope)):
            x = out[what, v]
            if not np.isfinite(x):
                continue
            f = (x - origin) * per_ev
            row = min(max(int(f + 0.5), 0), table.size - 1)
            extra = looked_up(held_back, x, origin, per_ev)
            before = looked_up(table, x, origin, per_ev) + extra
            after = voxel_variance(sigma, v, response, row) + extra
            out[what + 1, v] *= np.sqrt(after / before)
        if not out[1, v] <= limits[1]:
            code[v] = TOO_NOISY
            for row in (0, 1, 4, 5, 6):
                out[row, v] = np.nan


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def add_energy(values: Array, weights: Array, inverse_variance: float, sums: Array, squares: Array) -> None:
    """Add one energy's values [N] to the projections sums [k, N] and to the sum of squares [N]."""
    for low in range(0, values.size, 2048):
        y = values[low : low + 2048]
        total = squares[low : low + 2048]
        for v in range(y.size):
            total[v] += inverse_variance * y[v] * y[v]
        for j in range(weights.size):
            w, out = weights[j], sums[j, low : low + 2048]
            for v in range(y.size):
                out[v] += w * y[v]


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_all_sums(
    sums: Array,
    squares: Array,
    low: int,
    high: int,
    rows: Array,
    jump_row: Array,
    fixed: tuple[Any, ...],
    whitener: Array,
    freedom: tuple[Any, ...],
    reader: tuple[Any, ...],
    limits: tuple[Any, ...],
    out: Array,
    code: Array,
) -> None:
    """Read the voxels low..high of projections sums [k, N]."""
    tile = np.empty((sums.shape[0], TILE), sums.dtype)
    for start in range(low, high, TILE):
        count = min(TILE, high - start)
        tile[:, :count] = sums[:, start : start + count]
        read_sums(
            tile,
            squares[start : start + count],
            count,
            start,
            rows,
            jump_row,
            fixed,
            whitener,
            freedom,
            reader,
            limits,
            out,
            code,
        )
