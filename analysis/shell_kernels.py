"""Compiled kernels for statistics by depth: one pass over the voxels, memory-bound."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from analysis.shell_bins import ShellTable

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]
Mask = NDArray[np.bool_]

# Sums have four columns (a row is one vector register): voxels, weight·value, weight·value², weight·depth.
COUNT, VALUE, SQUARE, DEPTH = 0, 1, 2, 3
# And, with sigmas or labels, two more of their own: weight, weight²·variance.
WEIGHT, VARIANCE = 0, 1

# Not "nnan" and "ninf": values that are not finite must be seen.
_FAST = {"nsz", "arcp", "contract", "reassoc"}


@numba.njit(cache=True, nogil=True, inline="always", error_model="numpy")
def shell_of(d: Any, table: ShellTable) -> Any:
    """Shell of a depth between the outermost borders."""
    k = np.uint32(table.first[np.uint32((d - table.low) * table.per_depth)])
    return np.uint32(k + np.uint32(d >= table.upper[k]))


@numba.njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def plain_sums(depth: Floats, values: Floats, table: ShellTable, offset: Any, sums: Floats) -> None:
    """Add up voxels of equal weight: the fast case, no labels and no sigma."""
    for i in range(depth.size):
        d = depth[i]
        if d > 0 and table.low <= d <= table.high:
            k = shell_of(d, table)
            x = np.float64(values[i] - offset)
            if abs(x) < np.inf:
                sums[k, COUNT] += 1
                sums[k, VALUE] += x
                sums[k, SQUARE] += x * x
                sums[k, DEPTH] += d


@numba.njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def weighted_sums(
    depth: Floats,
    values: Floats,
    sigma: Floats,
    labels: Integers,
    table: ShellTable,
    offset: Any,
    by_variance: bool,
    sums: Floats,
    weights: Floats,
) -> None:
    """Add up voxels; `sums` and `weights` with bin = (label - 1) * shells + shell.

    `sigma` and `labels` may be of size 0: then the variance is 0 and all voxels are of label 1.
    """
    shells = table.upper.size
    has_sigma, has_labels = sigma.size > 0, labels.size > 0
    for i in range(depth.size):
        d = depth[i]
        if not (d > 0 and table.low <= d <= table.high):
            continue
        x = np.float64(values[i] - offset)
        if not abs(x) < np.inf:
            continue
        variance, weight = 0.0, 1.0
        if has_sigma:
            if not 0 < sigma[i] < np.inf:
                continue
            variance = np.float64(sigma[i]) ** 2
            if by_variance:
                weight = 1.0 / variance
        k = np.int64(shell_of(d, table))
        if has_labels:
            if labels[i] == 0:
                continue
            k += (np.int64(labels[i]) - 1) * shells
        sums[k, COUNT] += 1
        sums[k, VALUE] += weight * x
        sums[k, SQUARE] += weight * x * x
        sums[k, DEPTH] += weight * d
        weights[k, WEIGHT] += weight
        weights[k, VARIANCE] += weight * weight * variance


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
def shell_pairs(
    depth: Floats,
    centres: Integers,
    rho: Floats,
    table: ShellTable,
    total: Floats,
    count: Floats,
) -> None:
    """Add up the correlation of centre voxels of shell k with voxels of shell l within reach, total [k, l]."""
    nz, ny, nx = depth.shape
    reach = rho.shape[0] // 2
    for c in range(centres.shape[0]):
        z, y, x = centres[c]
        d = depth[z, y, x]
        if not (d > 0 and table.low <= d <= table.high):
            continue
        k = shell_of(d, table)
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
                    if d > 0 and table.low <= d <= table.high:
                        total[k, shell_of(d, table)] += rho[dz + reach, dy + reach, dx + reach]
