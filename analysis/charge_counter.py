"""Charge that passed a cell, from a counter that may begin anew, from its steps, or from the current."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

__all__ = ["charge_passed"]


def charge_passed(
    total: Array | None, steps: Array | None, elapsed: Array, current: Array
) -> tuple[Array, NDArray[np.intp]]:
    """Charge (mAh) counted on through a record, and the rows at which its counter began anew.

    Parameters
    ----------
    total : ndarray, shape (n,), or None
        Reading of the counter, mAh.
    steps : ndarray, shape (n,), or None
        Charge since the row before, mAh; used without a counter.
    elapsed, current : ndarray, shape (n,)
        Time in s and current in mA, the mean since the row before; used without either.
    """
    if total is not None:
        return _continued(total, elapsed, current)
    if steps is not None:
        return np.cumsum(steps), np.zeros(0, np.intp)
    charge = np.concatenate(([0.0], np.cumsum(current[1:] * np.diff(elapsed) / 3600.0)))
    return charge, np.zeros(0, np.intp)


def _continued(total: Array, elapsed: Array, current: Array) -> tuple[Array, NDArray[np.intp]]:
    """Join what a counter reads that begins anew, as it does in each loop of linked techniques.

    It has begun anew where its reading falls below half of itself and the current of neither row can have made it fall.
    """
    step = np.diff(total)
    seconds = np.diff(elapsed)
    strongest = np.maximum(np.abs(current[1:]), np.abs(current[:-1]))
    along = (step * current[1:] > 0) | (step * current[:-1] > 0)
    possible = along & (np.abs(step) <= 3.0 * strongest * seconds / 3600.0)
    fallen = (np.abs(total[1:]) < 0.5 * np.abs(total[:-1])) & (np.abs(step) > 1e-3 * np.ptp(total))
    anew = fallen & ~possible
    step[anew] = total[1:][anew]
    return total[0] + np.concatenate(([0.0], np.cumsum(step))), np.flatnonzero(anew) + 1
