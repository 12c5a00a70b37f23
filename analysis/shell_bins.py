"""Borders of depth shells, and the table that finds the shell of a depth quickly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.morphology import MorphologyError

Array = NDArray[np.float64]

__all__ = ["checked_edges", "lookup"]

_TABLE = 4096


def checked_edges(edges: ArrayLike) -> Array:
    """Return shell borders (µm) as float64 after checking that they increase."""
    borders = np.asarray(edges, dtype=np.float64)
    if borders.ndim != 1 or borders.size < 2 or not np.all(np.diff(borders) > 0):
        raise MorphologyError(f"shell edges must increase, at least two of them: {borders}")
    return borders


def lookup(borders: Array) -> tuple[NDArray[np.int64], float]:
    """Table of the shell at evenly spaced depths (at or before the right one), entries per µm."""
    grid = np.linspace(borders[0], borders[-1], _TABLE, endpoint=False)
    table = np.clip(np.searchsorted(borders, grid, side="right") - 1, 0, borders.size - 2)
    # An entry also serves depths a rounding error below its own.
    table = np.concatenate((table[:1], table[:-1]))
    return table.astype(np.int64), _TABLE / float(borders[-1] - borders[0])
