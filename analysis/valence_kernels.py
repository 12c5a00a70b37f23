"""Compiled kernel that reads valences and their uncertainties off a tabulated curve."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from analysis.crossing import NOT_MEASURED, OK, OUT_OF_RANGE


class CurveTable(NamedTuple):
    """A curve on evenly spaced energies, and where it ends.

    Attributes
    ----------
    start, per_ev : float
        First energy (eV) and points per eV.
    value, slope, shared : float64 (n,)
        Valence, its slope (1/eV), and its uncertainty from the references.
    low, high : float
        Energies (eV) beyond which a position must be explained by its noise.
    low_sigma, high_sigma : float
        Uncertainty of the outermost references (eV).
    """

    start: float
    per_ev: float
    value: NDArray[np.float64]
    slope: NDArray[np.float64]
    shared: NDArray[np.float64]
    low: float
    high: float
    low_sigma: float
    high_sigma: float


@numba.njit(cache=True, nogil=True, error_model="numpy")
def value_at(table: CurveTable, energy: float) -> float:
    """Return the valence at `energy` (eV); straight beyond the ends of the table."""
    position = (energy - table.start) * table.per_ev
    k = min(max(int(position), 0), table.value.size - 2)
    t = min(max(position - k, 0.0), 1.0)
    slope = table.slope[k] + t * (table.slope[k + 1] - table.slope[k])
    rest = (position - k - t) / table.per_ev
    return table.value[k] + t * (table.value[k + 1] - table.value[k]) + slope * rest  # type: ignore[no-any-return]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def read_curve(
    energy: NDArray[np.floating],
    noise: NDArray[np.floating],
    table: CurveTable,
    beyond: float,
    out: NDArray[np.floating],
    code: NDArray[np.uint8],
) -> None:
    """Set the rows of `out` to valence, total, statistical and systematic uncertainty of each position.

    `code` says on entry which positions count, and on return why the others do not; `noise` may be
    of size 0; positions out of range by more than `beyond` standard deviations are not reported. Noise moves the mean
    of what is read off a bent curve by half its second difference over one sigma; that is taken off.
    """
    last = table.value.size - 1
    for i in range(energy.size):
        for row in range(4):
            out[row, i] = np.nan
        if code[i] != OK:
            continue
        e = np.float64(energy[i])
        if not np.isfinite(e):
            code[i] = NOT_MEASURED
            continue
        sigma = np.float64(noise[i]) if noise.size > 0 else np.nan
        own = sigma if np.isfinite(sigma) else 0.0
        outside = max(table.low - e, e - table.high)
        if outside > 0:
            reference = table.low_sigma if e < table.low else table.high_sigma
            if outside > beyond * np.sqrt(own * own + reference * reference):
                code[i] = OUT_OF_RANGE
                continue
        position = (e - table.start) * table.per_ev
        k = min(max(int(position), 0), last - 1)
        t = min(max(position - k, 0.0), 1.0)
        slope = table.slope[k] + t * (table.slope[k + 1] - table.slope[k])
        shared = table.shared[k] + t * (table.shared[k + 1] - table.shared[k])
        sides = value_at(table, e - own) + value_at(table, e + own)
        out[0, i] = 2.0 * value_at(table, e) - 0.5 * sides
        out[2, i] = slope * sigma
        out[3, i] = shared
        out[1, i] = shared if noise.size == 0 else np.sqrt((slope * sigma) ** 2 + shared * shared)
