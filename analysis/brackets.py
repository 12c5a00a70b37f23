"""Compiled search, in many spectra at once, for the highest point and for the last upward crossing below it.

Both are read from the bits of float32 numbers: whole numbers order positive ones as floats do, and the topmost bit is
the sign. So one maximum finds the highest point and where it is, and one shift collects a sign.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from analysis.terms import FAST

Array = NDArray[Any]

BLOCK = 31  # knots searched together: their signs, and that of the knot before them, fill 32 bits
PLACE = np.int32(31)  # the last five bits of a height are given up for its place in the block: 4e-6 of its size
VALUE = np.int32(~31)
LOWEST = np.int32(-(2**31))
ONE_BIT, TO_SIGN = np.uint32(1), np.uint32(31)
TO_EXPONENT, EXPONENT_OF_ONE = np.int32(23), np.int32(127)
WORK_ROWS = 4  # of whole numbers, that `find_brackets` needs


@numba.njit(cache=True, nogil=True, inline="always")
def placed(height: Any, place: Any) -> Any:
    """Return the bits of a height with its place in the last of them."""
    return np.int32(np.int32(height & VALUE) | place)


@numba.njit(cache=True, nogil=True, inline="always")
def with_sign(signs: Any, height: Any) -> Any:
    """Return the signs collected so far with that of `height` as the lowest bit."""
    return np.uint32((signs << ONE_BIT) | np.uint32(np.uint32(height) >> TO_SIGN))


@numba.njit(cache=True, nogil=True, inline="always")
def larger(x: Any, y: Any) -> Any:
    """Return the larger; `max` would give whole numbers of 64 bits."""
    return x if x > y else y


@numba.njit(cache=True, nogil=True, inline="always")
def lowest_bit(bits: Any) -> Any:
    """Return the number of the lowest bit that is set (of 31; without meaning for none), by way of an exponent."""
    alone = np.float32(np.int32(bits & np.uint32(-bits)))
    return np.int32((alone.view(np.int32) >> TO_EXPONENT) - EXPONENT_OF_ONE)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def find_brackets(height: Array, count: int, first: int, last: int, crossing: Array, peak: Array, work: Array) -> None:
    """Find, per voxel, the highest knot and the last knot at or below it where `height` turned positive.

    `height` [m, TILE], float32, is the spectrum above its half height at the knots; only knots first..last count.
    `crossing` becomes the upper knot of the bracket, -1 if there is none below the highest knot. Where no height is
    positive `peak` means nothing. `work` [WORK_ROWS, TILE] is int32.
    """
    bits = height.view(np.int32)
    signs, key, best, upward = work[0].view(np.uint32), work[1], work[2], work[3]
    for v in range(count):
        signs[v], best[v], upward[v] = np.uint32(0), LOWEST, -1
        crossing[v], peak[v] = -1, first
    for start in range(first, last + 1, BLOCK):
        size = min(BLOCK, last + 1 - start)
        for v in range(count):
            key[v] = LOWEST
        read_block(bits, start, size, count, key, signs)
        final, top, base = np.int32(size - 1), np.int32(start + size - 1), np.int32(start)
        known = np.uint32((1 << (size + int(start > first))) - 1)  # the first knot of all has none before it
        for v in range(count):
            sign, high = np.uint32(signs[v] & known), key[v]
            best_before, up_before, peak_before, crossing_before = best[v], upward[v], peak[v], crossing[v]
            ups = np.uint32(~sign & np.uint32(sign >> ONE_BIT))
            place = np.int32(PLACE - (high & PLACE))
            ups_below = np.uint32(ups >> (np.uint32(final - place) & TO_SIGN))
            here = np.int32(np.int32(base + place) - lowest_bit(ups_below)) if ups_below != 0 else up_before
            higher = high > best_before
            crossing[v] = here if higher else crossing_before
            peak[v] = np.int32(base + place) if higher else peak_before
            best[v] = high if higher else best_before
            upward[v] = np.int32(top - lowest_bit(ups)) if ups != 0 else up_before
            signs[v] = sign & ONE_BIT


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_block(bits: Array, start: int, size: int, count: int, key: Array, signs: Array) -> None:
    """Raise `key` to the highest of `size` knots from `start` on, with its place; add their signs to `signs`."""
    eight = size - size % 8
    for i in range(start, start + eight, 8):
        a, b, c, d = bits[i], bits[i + 1], bits[i + 2], bits[i + 3]
        e, f, g, h = bits[i + 4], bits[i + 5], bits[i + 6], bits[i + 7]
        p = np.int32(PLACE - (i - start))  # the first of equal heights is to be found: earlier places count more
        pb, pc, pd, pe = np.int32(p - 1), np.int32(p - 2), np.int32(p - 3), np.int32(p - 4)
        pf, pg, ph = np.int32(p - 5), np.int32(p - 6), np.int32(p - 7)
        for v in range(count):
            av, bv, cv, dv, ev, fv, gv, hv = a[v], b[v], c[v], d[v], e[v], f[v], g[v], h[v]
            low = larger(larger(placed(av, p), placed(bv, pb)), larger(placed(cv, pc), placed(dv, pd)))
            high = larger(larger(placed(ev, pe), placed(fv, pf)), larger(placed(gv, pg), placed(hv, ph)))
            key[v] = larger(key[v], larger(low, high))
            four = with_sign(with_sign(with_sign(with_sign(np.uint32(signs[v]), av), bv), cv), dv)
            signs[v] = with_sign(with_sign(with_sign(with_sign(four, ev), fv), gv), hv)
    for i in range(start + eight, start + size):
        a, p = bits[i], np.int32(PLACE - (i - start))
        for v in range(count):
            key[v] = larger(key[v], placed(a[v], p))
            signs[v] = with_sign(np.uint32(signs[v]), a[v])
