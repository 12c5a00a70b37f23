"""Borders of depth shells, and the table that finds the shell of a depth quickly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from analysis.morphology import MorphologyError
from analysis.numbers import real_array

Array = NDArray[np.float64]

__all__ = ["ShellTable", "checked_edges", "shell_table"]

_FEWEST, _MOST = 4096, 1 << 20


class ShellTable(NamedTuple):
    """How compiled kernels find shells: by a table at even depths, then one comparison.

    Attributes
    ----------
    low, high : float
        Outermost borders, in the type of the depths.
    upper : ndarray, shape (s,)
        Upper border of each shell, infinite for the last, which is closed.
    first : ndarray of uint32
        The shell at or one before that of each evenly spaced depth.
    per_depth : float
        Entries of ``first`` per unit of depth.
    """

    low: np.floating
    high: np.floating
    upper: NDArray[np.floating]
    first: NDArray[np.uint32]
    per_depth: np.floating


def checked_edges(edges: ArrayLike) -> Array:
    """Return shell borders (µm) as float64 after checking that they increase."""
    borders = real_array("shell edges", edges, np.float64)
    if borders.ndim != 1 or borders.size < 2 or not np.all(np.diff(borders) > 0):
        raise MorphologyError(f"shell edges must increase, at least two of them: {borders}")
    if not np.isfinite(borders).all():
        raise MorphologyError(f"shell edges must be finite: {borders}")
    return borders


def shell_table(borders: Array, dtype: DTypeLike) -> ShellTable:
    """Return the table for depths of ``dtype``: fine enough that no two borders are within two entries."""
    width = float(borders[-1] - borders[0])
    entries = max(_FEWEST, int(np.ceil(4 * width / float(np.diff(borders).min()))))
    if entries > _MOST:
        raise MorphologyError(f"shells differ in thickness by more than a factor of {_MOST // 4}: {borders}")
    grid = borders[0] + width / entries * np.arange(entries)
    shell = np.clip(np.searchsorted(borders, grid, side="right") - 1, 0, borders.size - 2)
    # Rounding may lead to an entry too high by one, so each holds the shell of the one before.
    first = np.concatenate((shell[:1], shell, shell[-1:])).astype(np.uint32)
    kind: type[np.floating] = np.float32 if np.dtype(dtype) == np.float32 else np.float64
    upper = np.append(borders[1:-1], np.inf).astype(kind)
    return ShellTable(kind(borders[0]), kind(borders[-1]), upper, first, kind(entries / width))
