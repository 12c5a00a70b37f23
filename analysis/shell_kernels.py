"""Compiled kernels for statistics by depth: one pass over the voxels, memory-bound."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]
Mask = NDArray[np.bool_]

# Columns of the sums: voxels, weight, weight·value, weight·value², weight²·variance, weight·depth
COUNT, WEIGHT, VALUE, SQUARE, VARIANCE, DEPTH = 0, 1, 2, 3, 4, 5
COLUMNS = 6


@numba.njit(cache=True, nogil=True, inline="always")
def shell_of(d: Any, edges: Floats, table: Integers, per_depth: float) -> Any:
    """Shell of depth `d`: edges[k] <= d < edges[k + 1], the last one closed; -1 outside all."""
    last = edges.size - 1
    if not (edges[0] <= d <= edges[last]):
        return -1
    k = table[min(int((d - edges[0]) * per_depth), table.size - 1)]
    while k < last - 1 and d >= edges[k + 1]:
        k += 1
    return k


@numba.njit(cache=True, nogil=True)
def plain_sums(
    depth: Floats,
    values: Floats,
    start: int,
    stop: int,
    edges: Floats,
    table: Integers,
    per_depth: float,
    offset: float,
    sums: Floats,
) -> None:
    """Add up voxels start..stop of equal weight: the fast case, no labels and no sigma."""
    for i in range(start, stop):
        d = depth[i]
        if d <= 0:
            continue
        v = values[i]
        k = shell_of(d, edges, table, per_depth)
        if k < 0 or not np.isfinite(v):
            continue
        x = np.float64(v - offset)
        row = sums[k]
        row[COUNT] += 1
        row[VALUE] += x
        row[SQUARE] += x * x
        row[DEPTH] += d


@numba.njit(cache=True, nogil=True)
def weighted_sums(
    depth: Floats,
    values: Floats,
    sigma: Floats,
    labels: Integers,
    start: int,
    stop: int,
    edges: Floats,
    table: Integers,
    per_depth: float,
    offset: float,
    by_variance: bool,
    sums: Floats,
) -> None:
    """Add up voxels start..stop; `sums` [bins, COLUMNS] with bin = (label - 1) * shells + shell.

    `sigma` and `labels` may be of size 0: then the variance is 0 and all voxels are of label 1.
    """
    shells = edges.size - 1
    has_sigma, has_labels = sigma.size > 0, labels.size > 0
    for i in range(start, stop):
        d = depth[i]
        if d <= 0:
            continue
        v = values[i]
        k = shell_of(d, edges, table, per_depth)
        if k < 0 or not np.isfinite(v):
            continue
        variance, weight = 0.0, 1.0
        if has_sigma:
            variance = np.float64(sigma[i]) ** 2
            if not (variance > 0 and np.isfinite(variance)):
                continue
            if by_variance:
                weight = 1.0 / variance
        if has_labels:
            if labels[i] == 0:
                continue
            k += (int(labels[i]) - 1) * shells
        x = np.float64(v - offset)
        row = sums[k]
        row[COUNT] += 1
        row[WEIGHT] += weight
        row[VALUE] += weight * x
        row[SQUARE] += weight * x * x
        row[VARIANCE] += weight * weight * variance
        row[DEPTH] += weight * d


@numba.njit(cache=True, nogil=True)
def spectrum_sums(spectrum: Floats, shells: Integers, start: int, stop: int, sums: Floats, squares: Floats) -> None:
    """Add up one energy of all voxels by shell; `shells` holds -1 where a voxel belongs to none."""
    for i in range(start, stop):
        k = shells[i]
        if k >= 0:
            v = np.float64(spectrum[i])
            sums[k] += v
            squares[k] += v * v


@numba.njit(cache=True, nogil=True)
def lag_products(noise: Floats, mask: Mask, centres: Integers, reach: int, products: Floats, pairs: Floats) -> None:
    """Add up noise(x) noise(x + lag) for all lags within `reach` of some centres, both ends in the mask."""
    nz, ny, nx = noise.shape
    for c in range(centres.shape[0]):
        z, y, x = centres[c]
        here = np.float64(noise[z, y, x])
        for dz in range(-reach, reach + 1):
            if not 0 <= z + dz < nz:
                continue
            for dy in range(-reach, reach + 1):
                if not 0 <= y + dy < ny:
                    continue
                for dx in range(-reach, reach + 1):
                    if not 0 <= x + dx < nx or not mask[z + dz, y + dy, x + dx]:
                        continue
                    products[dz + reach, dy + reach, dx + reach] += here * noise[z + dz, y + dy, x + dx]
                    pairs[dz + reach, dy + reach, dx + reach] += 1


@numba.njit(cache=True, nogil=True)
def pair_factors(
    depth: Floats,
    centres: Integers,
    rho: Floats,
    edges: Floats,
    table: Integers,
    per_depth: float,
    total: Floats,
    count: Floats,
) -> None:
    """Add up, per shell, the correlation of centre voxels with voxels of the same shell within reach."""
    nz, ny, nx = depth.shape
    reach = rho.shape[0] // 2
    for c in range(centres.shape[0]):
        z, y, x = centres[c]
        k = shell_of(depth[z, y, x], edges, table, per_depth)
        if k < 0:
            continue
        count[k] += 1
        for dz in range(-reach, reach + 1):
            if not 0 <= z + dz < nz:
                continue
            for dy in range(-reach, reach + 1):
                if not 0 <= y + dy < ny:
                    continue
                for dx in range(-reach, reach + 1):
                    if not 0 <= x + dx < nx:
                        continue
                    d = depth[z + dz, y + dy, x + dx]
                    if d > 0 and shell_of(d, edges, table, per_depth) == k:
                        total[k] += rho[dz + reach, dy + reach, dx + reach]
