"""Compiled products of small matrices with long rows of voxels, and sums over energies as they arrive.

numba keeps compiled code beside the source and looks only at the file of the calling kernel: after a change here, touch
crossing.py as well, or remove the __pycache__ folder.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from analysis.terms import FAST, dot_five, dot_four, five, five_at, five_rows, four, four_at, four_rows, times_five

Array = NDArray[Any]

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
def multiply(rows: Array, source: Array, start: int, count: int, out: Array) -> None:
    """Set ``out[:, :count] = rows @ source[:, start:start + count]``; source [n, N], out [m, TILE].

    `rows` [m, n] is `padded` to fours: with zeros beyond the rows of `source`.
    """
    m, n = rows.shape
    for i in range(0, m, 4):
        for j in range(0, n - 4, 8):
            set_eight_terms(rows, source, j, start, count, out, i, j > 0)
        if n % 8:
            set_four_terms(rows, source, n - 4, start, count, out, i, n > 4)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def project(
    weights: Array, inverse_sigma: Array, source: Array, start: int, count: int, sums: Array, squares: Array
) -> None:
    """Set `sums` to ``weights @ source[:, start:start + count]`` and `squares` to those of source over sigma, summed.

    `weights` [k, E] is `padded` to fours and tens, `inverse_sigma` [E] to tens. Each energy is read from memory once,
    ten at a time in long runs; while the memory delivers them the first four rows and the squares are worked out.
    """
    sums[:, :count] = 0
    squares[:count] = 0
    for j in range(0, weights.shape[1], 10):
        add_ten_energies(weights, inverse_sigma, source, j, start, count, sums, 0, squares)
        for i in range(4, weights.shape[0], 4):
            add_ten_energies(weights, inverse_sigma, source, j, start, count, sums, i, None)


def padded(matrix: Array, *multiples: int) -> Array:
    """Return an array as float32 with zeros up to multiples of the numbers given, one for each of its axes."""
    pad = [(0, -size % multiple) for size, multiple in zip(np.shape(matrix), multiples, strict=True)]
    return np.pad(np.asarray(matrix, np.float32), pad)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def set_four_terms(rows: Array, source: Array, j: int, start: int, count: int, out: Array, i: int, add: bool) -> None:
    """Set rows i to i + 3 of `out` to the terms j to j + 3 of `multiply`, or add them to what is there."""
    a = four_rows(source, j, start, start + count)
    w, x, y, z = out[i], out[i + 1], out[i + 2], out[i + 3]
    of_w, of_x, of_y, of_z = four(rows[i], j), four(rows[i + 1], j), four(rows[i + 2], j), four(rows[i + 3], j)
    if add:
        for v in range(count):
            here = four_at(a, v)
            w[v] += dot_four(of_w, here)
            x[v] += dot_four(of_x, here)
            y[v] += dot_four(of_y, here)
            z[v] += dot_four(of_z, here)
    else:
        for v in range(count):
            here = four_at(a, v)
            w[v] = dot_four(of_w, here)
            x[v] = dot_four(of_x, here)
            y[v] = dot_four(of_y, here)
            z[v] = dot_four(of_z, here)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def set_eight_terms(rows: Array, source: Array, j: int, start: int, count: int, out: Array, i: int, add: bool) -> None:
    """Set rows i to i + 3 of `out` to the terms j to j + 7 of `multiply`, or add them to what is there."""
    a, b = four_rows(source, j, start, start + count), four_rows(source, j + 4, start, start + count)
    w, x, y, z = out[i], out[i + 1], out[i + 2], out[i + 3]
    a_w, a_x, a_y, a_z = four(rows[i], j), four(rows[i + 1], j), four(rows[i + 2], j), four(rows[i + 3], j)
    j += 4
    b_w, b_x, b_y, b_z = four(rows[i], j), four(rows[i + 1], j), four(rows[i + 2], j), four(rows[i + 3], j)
    if add:
        for v in range(count):
            one, two = four_at(a, v), four_at(b, v)
            w[v] += dot_four(a_w, one) + dot_four(b_w, two)
            x[v] += dot_four(a_x, one) + dot_four(b_x, two)
            y[v] += dot_four(a_y, one) + dot_four(b_y, two)
            z[v] += dot_four(a_z, one) + dot_four(b_z, two)
    else:
        for v in range(count):
            one, two = four_at(a, v), four_at(b, v)
            w[v] = dot_four(a_w, one) + dot_four(b_w, two)
            x[v] = dot_four(a_x, one) + dot_four(b_x, two)
            y[v] = dot_four(a_y, one) + dot_four(b_y, two)
            z[v] = dot_four(a_z, one) + dot_four(b_z, two)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def add_ten_energies(
    weights: Array,
    inverse_sigma: Array,
    source: Array,
    j: int,
    start: int,
    count: int,
    sums: Array,
    i: int,
    squares: Array | None,
) -> None:
    """Add the energies j to j + 9 to rows i to i + 3 of `project`, and to its squares unless they are None."""
    a, b = five_rows(source, j, start, start + count), five_rows(source, j + 5, start, start + count)
    w, x, y, z = sums[i], sums[i + 1], sums[i + 2], sums[i + 3]
    of_w, of_x, of_y, of_z = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
    a_w, a_x, a_y, a_z, a_s = five(of_w, j), five(of_x, j), five(of_y, j), five(of_z, j), five(inverse_sigma, j)
    j += 5
    b_w, b_x, b_y, b_z, b_s = five(of_w, j), five(of_x, j), five(of_y, j), five(of_z, j), five(inverse_sigma, j)
    for v in range(count):
        one, two = five_at(a, v), five_at(b, v)
        w[v] += dot_five(a_w, one) + dot_five(b_w, two)
        x[v] += dot_five(a_x, one) + dot_five(b_x, two)
        y[v] += dot_five(a_y, one) + dot_five(b_y, two)
        z[v] += dot_five(a_z, one) + dot_five(b_z, two)
        if squares is not None:
            one, two = times_five(a_s, one), times_five(b_s, two)
            squares[v] += dot_five(one, one) + dot_five(two, two)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def subtract_explained(whitener: Array, sums: Array, start: int, count: int, squares: Array, explained: Array) -> None:
    """Take ``|whitener @ sums[:, start:start + count]|**2`` from `squares`; `explained` is work space."""
    k = whitener.shape[0]
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
