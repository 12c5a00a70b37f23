"""Compiled handling of four or five terms, or rows, at a time, as tuples: what the compiler keeps in registers."""

from __future__ import annotations

from typing import Any

import numba
from numpy.typing import NDArray

Array = NDArray[Any]

# NaN must survive: no "nnan" and "ninf" here, they mark voxels that were not measured.
FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}


@numba.njit(cache=True, nogil=True, inline="always")
def four(a: Array, j: int) -> Any:
    """Return four elements from `j` on."""
    return a[j], a[j + 1], a[j + 2], a[j + 3]


@numba.njit(cache=True, nogil=True, inline="always")
def four_rows(a: Array, j: int, start: int, stop: int) -> Any:
    """Return four rows from `j` on, columns start to stop; in place of those beyond the last that one."""
    end = a.shape[0] - 1
    return (
        a[min(j, end), start:stop],
        a[min(j + 1, end), start:stop],
        a[min(j + 2, end), start:stop],
        a[min(j + 3, end), start:stop],
    )


@numba.njit(cache=True, nogil=True, inline="always")
def four_at(rows: Any, v: int) -> Any:
    """Return element `v` of each of four rows."""
    return rows[0][v], rows[1][v], rows[2][v], rows[3][v]


@numba.njit(cache=True, nogil=True, inline="always", fastmath=FAST)
def dot_four(a: Any, b: Any) -> Any:
    """Return the sum of four products."""
    return (a[0] * b[0] + a[1] * b[1]) + (a[2] * b[2] + a[3] * b[3])


@numba.njit(cache=True, nogil=True, inline="always")
def five(a: Array, j: int) -> Any:
    """Return five elements from `j` on."""
    return a[j], a[j + 1], a[j + 2], a[j + 3], a[j + 4]


@numba.njit(cache=True, nogil=True, inline="always")
def five_rows(a: Array, j: int, start: int, stop: int) -> Any:
    """Return five rows from `j` on, columns start to stop; in place of those beyond the last that one."""
    end = a.shape[0] - 1
    return (
        a[min(j, end), start:stop],
        a[min(j + 1, end), start:stop],
        a[min(j + 2, end), start:stop],
        a[min(j + 3, end), start:stop],
        a[min(j + 4, end), start:stop],
    )


@numba.njit(cache=True, nogil=True, inline="always")
def five_at(rows: Any, v: int) -> Any:
    """Return element `v` of each of five rows."""
    return rows[0][v], rows[1][v], rows[2][v], rows[3][v], rows[4][v]


@numba.njit(cache=True, nogil=True, inline="always", fastmath=FAST)
def dot_five(a: Any, b: Any) -> Any:
    """Return the sum of five products."""
    return (a[0] * b[0] + a[1] * b[1]) + (a[2] * b[2] + a[3] * b[3]) + a[4] * b[4]


@numba.njit(cache=True, nogil=True, inline="always", fastmath=FAST)
def times_five(a: Any, b: Any) -> Any:
    """Return five products."""
    return a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3], a[4] * b[4]
