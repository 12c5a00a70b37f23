"""Compiled products of small matrices with long rows of voxels, and sums over energies as they arrive.

numba keeps compiled code beside the source and looks only at the file of the calling kernel: after a change here, touch
crossing.py as well, or remove the __pycache__ folder.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# NaN must survive: no "nnan" and "ninf" here, they mark voxels that were not measured.
FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}


LINE = 64  # bytes of a cache line, and of the widest vectors


@numba.njit(cache=True, nogil=True)
def room(rows: int, columns: int, like: Array) -> Any:
    """Return an empty array (rows, columns) of the type of `like` on a boundary of cache lines.

    Vectors that lie across two lines are read and written at half the speed.
    """
    flat = np.empty(rows * columns + LINE // like.itemsize, like.dtype)
    skip = (-flat.ctypes.data % LINE) // like.itemsize
    return flat[skip : skip + rows * columns].reshape(rows, columns)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def three_rows(rows: Array, source: Array, start: int, count: int, out: Array, i: int) -> None:
    """Add rows i, i + 1, i + 2 of the product in `multiply`."""
    n = rows.shape[1]
    x, y, z = out[i], out[i + 1], out[i + 2]
    for j in range(0, n - n % 4, 4):
        three_rows_of_four(rows, source, j, start, count, out, i)
    for j in range(n - n % 4, n):
        a, x0, y0, z0 = source[j, start : start + count], rows[i, j], rows[i + 1, j], rows[i + 2, j]
        for v in range(count):
            x[v] += x0 * a[v]
            y[v] += y0 * a[v]
            z[v] += z0 * a[v]


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def multiply(rows: Array, source: Array, start: int, count: int, out: Array) -> None:
    """Set ``out[:, :count] = rows @ source[:, start:start + count]``; rows [m, n], source [n, N], out [m, TILE].

    Blocks of three rows and four terms keep the arithmetic in registers; the last block overlaps the one before.
    """
    m, n = rows.shape
    four = n - n % 4
    out[:, :count] = 0
    for block in range(0, m - 2, 3):
        three_rows(rows, source, start, count, out, block)
    if m % 3 and m > 3:
        out[m - 3 : m, :count] = 0
        three_rows(rows, source, start, count, out, m - 3)
    for i in range(m if m < 3 else 0):
        x = out[i]
        for j in range(0, four, 4):
            row_of_four(rows, source, j, start, count, out, i)
        for j in range(four, n):
            a, x0 = source[j, start : start + count], rows[i, j]
            for v in range(count):
                x[v] += x0 * a[v]


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def project(
    weights: Array, inverse_sigma: Array, source: Array, start: int, count: int, sums: Array, squares: Array
) -> None:
    """Set `sums` to ``weights @ source[:, start:start + count]`` and `squares` to those of source over sigma, summed.

    Four energies at a time are read from memory and used for everything while they are in the nearest cache.
    """
    k, n = weights.shape
    four = n - n % 4
    sums[:, :count] = 0
    squares[:count] = 0
    for j in range(0, four, 4):
        four_squares(inverse_sigma, source, j, start, count, squares)
        for i in range(0, k - 2, 3):
            three_rows_of_four(weights, source, j, start, count, sums, i)
        for i in range(k - k % 3, k):
            row_of_four(weights, source, j, start, count, sums, i)
    for j in range(four, n):
        a, s = source[j, start : start + count], inverse_sigma[j]
        for v in range(count):
            squares[v] += s * a[v] * s * a[v]
        for i in range(k):
            x, w = sums[i], weights[i, j]
            for v in range(count):
                x[v] += w * a[v]


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def four_squares(inverse_sigma: Array, source: Array, j: int, start: int, count: int, squares: Array) -> None:
    """Add the squares of rows j to j + 3 in `project`."""
    stop = start + count
    a, b, c, d = source[j, start:stop], source[j + 1, start:stop], source[j + 2, start:stop], source[j + 3, start:stop]
    s0, s1, s2, s3 = inverse_sigma[j], inverse_sigma[j + 1], inverse_sigma[j + 2], inverse_sigma[j + 3]
    for v in range(count):
        av, bv, cv, dv = s0 * a[v], s1 * b[v], s2 * c[v], s3 * d[v]
        squares[v] += (av * av + bv * bv) + (cv * cv + dv * dv)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", inline="always")
def row_of_four(rows: Array, source: Array, j: int, start: int, count: int, out: Array, i: int) -> None:
    """Add terms j to j + 3 of row i of a product."""
    stop = start + count
    a, b, c, d = source[j, start:stop], source[j + 1, start:stop], source[j + 2, start:stop], source[j + 3, start:stop]
    x, x0, x1, x2, x3 = out[i], rows[i, j], rows[i, j + 1], rows[i, j + 2], rows[i, j + 3]
    for v in range(count):
        x[v] += (x0 * a[v] + x1 * b[v]) + (x2 * c[v] + x3 * d[v])


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", inline="always")
def three_rows_of_four(rows: Array, source: Array, j: int, start: int, count: int, out: Array, i: int) -> None:
    """Add terms j to j + 3 of rows i to i + 2 of a product."""
    stop = start + count
    a, b, c, d = source[j, start:stop], source[j + 1, start:stop], source[j + 2, start:stop], source[j + 3, start:stop]
    x, y, z = out[i], out[i + 1], out[i + 2]
    x0, x1, x2, x3 = rows[i, j], rows[i, j + 1], rows[i, j + 2], rows[i, j + 3]
    y0, y1, y2, y3 = rows[i + 1, j], rows[i + 1, j + 1], rows[i + 1, j + 2], rows[i + 1, j + 3]
    z0, z1, z2, z3 = rows[i + 2, j], rows[i + 2, j + 1], rows[i + 2, j + 2], rows[i + 2, j + 3]
    for v in range(count):
        av, bv, cv, dv = a[v], b[v], c[v], d[v]
        x[v] += (x0 * av + x1 * bv) + (x2 * cv + x3 * dv)
        y[v] += (y0 * av + y1 * bv) + (y2 * cv + y3 * dv)
        z[v] += (z0 * av + z1 * bv) + (z2 * cv + z3 * dv)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def subtract_explained(whitener: Array, sums: Array, start: int, count: int, squares: Array) -> None:
    """Take ``|whitener @ sums[:, start:start + count]|**2`` from `squares`; rows of zeros cost nothing."""
    k = whitener.shape[0]
    explained = np.empty(count, sums.dtype)
    for i in range(k):
        x, w = sums[i, start : start + count], whitener[i, i]
        for v in range(count):
            explained[v] = w * x[v]
        for j in range(k):
            w = whitener[i, j]
            if j != i and w != 0:
                x = sums[j, start : start + count]
                for v in range(count):
                    explained[v] += w * x[v]
        for v in range(count):
            squares[v] -= explained[v] * explained[v]


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def add_energy(
    values: Array, start: int, stop: int, weights: Array, inverse_variance: float, sums: Array, squares: Array
) -> None:
    """Add one energy's values [N] to the projections sums [k, N] and the sums of squares [N] of voxels start..stop."""
    inverse = np.float32(inverse_variance)
    for low in range(start, stop, 2048):
        high = min(low + 2048, stop)
        y, total = values[low:high], squares[low:high]
        for v in range(y.size):
            total[v] += inverse * y[v] * y[v]
        for j in range(weights.size):
            w, out = weights[j], sums[j, low:high]
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


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def respond(response: Array, at: Array, spectra: Array, voxels: Array) -> Any:
    """Return ``response[at[n]] @ spectra[voxels[n]]`` for each n; response [x, E], spectra [N, E]."""
    out = np.empty(voxels.size, np.float64)
    for n in range(voxels.size):
        row, spectrum = response[at[n]], spectra[voxels[n]]
        total = row[0] * 0
        for e in range(row.size):
            total += row[e] * spectrum[e]
        out[n] = total
    return out
