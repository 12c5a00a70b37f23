"""Mean spectra by depth below the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis import shell_kernels as kernels
from analysis.morphology import MorphologyError
from analysis.numbers import real_array
from analysis.shell_bins import checked_edges

Array = NDArray[np.float64]

__all__ = ["ShellSpectra", "shell_spectra"]


@dataclass(frozen=True, slots=True, eq=False)
class ShellSpectra:
    """Mean spectrum of each shell.

    Attributes
    ----------
    edges : ndarray, shape (s + 1,), µm
    mean, sigma : ndarray, shape (s, E)
        Mean and its standard deviation.
    count : ndarray of int, shape (s,)
    """

    edges: Array
    mean: Array
    sigma: Array
    count: NDArray[np.int64]


def shell_spectra(
    spectra: ArrayLike,
    depth: ArrayLike,
    edges: ArrayLike,
    *,
    sigma: ArrayLike | None = None,
    correlation: float = 1.0,
) -> ShellSpectra:
    """Average spectra in shells of depth.

    Parameters
    ----------
    spectra : array_like, axes (energy, voxel)
        Voxels with a value that is not finite are left out at all energies.
    depth : array_like, shape (voxels,)
        µm below the surface.
    edges : array_like, shape (s + 1,)
        Borders of the shells in µm.
    sigma : array_like, scalar or shape (E,), optional
        Noise of a voxel at each energy; from the scatter in each shell when not given (a shell of one voxel has
        none then).
    correlation : float
        Variance of a mean relative to independent voxels.
    """
    y = real_array("spectra", spectra)
    y = y if y.dtype == np.float32 else y.astype(np.float64, copy=False)
    d = real_array("depth", depth, np.float64)
    borders = checked_edges(edges)
    if y.ndim != 2 or d.shape != (y.shape[1],):
        raise MorphologyError(f"spectra {y.shape} and depth {d.shape}: (energy, voxel) and (voxel,) are needed")
    noise = None if sigma is None else real_array("sigma", sigma, np.float64)
    if noise is not None and (noise.shape not in ((), y.shape[:1]) or not (np.isfinite(noise) & (noise > 0)).all()):
        raise MorphologyError(f"sigma {noise} is not one positive number, or one for each of {y.shape[0]} energies")
    if not 0 < correlation < np.inf:
        raise MorphologyError(f"correlation {correlation} is not above 0")
    shell = np.searchsorted(borders, d, side="right") - 1
    shell[d == borders[-1]] = borders.size - 2
    within = (d > 0) & (d >= borders[0]) & (d <= borders[-1])
    shell[~within | ~np.isfinite(y).all(axis=0)] = -1
    index = shell.astype(np.int32)
    count = np.bincount(index[index >= 0], minlength=borders.size - 1)
    sums, squares = np.zeros((2, y.shape[0], borders.size - 1))
    for e in range(y.shape[0]):
        kernels.spectrum_sums(y[e], index, 0, index.size, sums[e], squares[e])
    n = np.where(count > 0, count, np.nan)
    mean = sums / n
    if noise is None:
        spread = np.sqrt(np.maximum(squares / n - mean**2, 0) * n / np.where(n > 1, n - 1, np.nan))
    else:
        spread = np.broadcast_to(noise, (y.shape[0],))[:, None]
    return ShellSpectra(borders, mean.T, (spread * np.sqrt(correlation / n)).T, count.astype(np.int64))
