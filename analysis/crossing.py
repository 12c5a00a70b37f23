"""Compiled kernels: from voxel spectra, or their projections, to crossings of the half height and white lines."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from analysis.brackets import WORK_ROWS, find_brackets
from analysis.cubics import ONE, ZERO, knots_in_use, refine_crossings, refine_peaks, slopes_at_knots
from analysis.products import multiply, project, room, subtract_explained
from analysis.terms import FAST

Array = NDArray[Any]

RUN = 4096  # voxels projected together: runs long enough for the memory to keep up
APART = 80  # added to the length of rows of RUN: rows a power of two apart would push each other out of the cache
TILE = 256  # voxels read together: their heights stay in the nearest caches
# Written as float32: a plain number would turn the kernels' arithmetic into float64, half as fast.
HALF, HUGE = np.float32(0.5), np.float32(3e38)
# Error of the interpolated crossing, in steps: the first times the cube of the part of the jump within the step, at
# most the second, or the third where nearly the whole jump lies within it. Measured on arctangent edges 1 to 2 eV wide
# and on mixtures of two, at steps of 0.5 to 8 eV (tests/analysis/test_edge.py).
COARSE, COARSER, COARSEST = np.float32(0.6), np.float32(0.1), np.float32(0.15)
MOST_OF_IT = np.float32(0.85)
LOWER_HALF, UPPER_HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

OK, NO_JUMP, NO_CROSSING, OUT_OF_RANGE, TOO_NOISY, NOT_MEASURED = 0, 1, 2, 3, 4, 5
F_JUMP, F_CROSSING, F_RANGE = np.float32(NO_JUMP), np.float32(NO_CROSSING), np.float32(OUT_OF_RANGE)
F_NOISY, F_MEASURED = np.float32(TOO_NOISY), np.float32(NOT_MEASURED)


class Tables(NamedTuple):
    """What the kernels know about the grid: positions are counted from a reference energy.

    Attributes
    ----------
    knots : float32 [m, 7], `edge_tables.knot_table`
    first, last : knots that the crossing and the highest point must lie between
    origin, per_ev : first position and points per eV of `at_edge` and `at_peak`
    at_edge, at_peak : float32 [x, 6], see `look_up`, for the height and for its slope
    of_jump : float32 [2], photon noise and held-back signal of the jump
    """

    knots: Array
    first: int
    last: int
    origin: np.float32
    per_ev: np.float32
    at_edge: Array
    at_peak: Array
    of_jump: Array


class Coefficients(NamedTuple):
    """What the kernels need to read edges from the projections of spectra.

    Attributes
    ----------
    rows : float32, `padded`; from projections to the heights at the m knots and, in row m, to the jump
    fixed_half, fixed_jump : half height and jump of spectra that are normalised already, else 0
    whitener : float32 [k, k], see `lowrank.Projection`
    freedom : degrees of freedom of the residual; 0 where it tells nothing of a voxel's noise
    prior_freedom : degrees of freedom that the noise given counts as
    tables : see there
    least_jump, largest_sigma : jump over its sigma, and eV, beyond which no edge is reported
    """

    rows: Array
    fixed_half: np.float32
    fixed_jump: np.float32
    whitener: Array
    freedom: np.float32
    prior_freedom: np.float32
    tables: Tables
    least_jump: np.float32
    largest_sigma: np.float32


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def step_error(part: float) -> Any:
    """Return the error of an interpolated crossing, in steps, where `part` of the jump lies within the step."""
    return min(COARSE * part * part * part, COARSER if part < MOST_OF_IT else COARSEST)


@numba.njit(cache=True, nogil=True, inline="always")
def one_of(pair: Any) -> Any:
    """Return the first of two float32 that were read as one number."""
    return np.uint32(pair & LOWER_HALF).view(np.float32)


@numba.njit(cache=True, nogil=True, inline="always")
def other_of(pair: Any) -> Any:
    """Return the second of two float32 that were read as one number."""
    return np.uint32(pair >> UPPER_HALF).view(np.float32)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def look_up(
    table: Array,
    found: Array,
    jump: Array,
    count: int,
    origin: np.float32,
    per_ev: np.float32,
    scale2: Array,
    at: Array,
    pairs: Array,
) -> None:
    """Set ``found[3]`` to the variance at the positions ``found[0]``; steady slopes ``found[1]``, correct positions.

    Columns of `table` [x, 6], `edge_tables.for_kernel`: photon noise and held-back signal; photon noise of the slope
    over the spread (variance) of slopes from voxel to voxel, and their usual value, both for a jump of one; shift by
    noise on a curved spectrum (eV, times the jump squared; never taken as more than half the sigma), and correction of
    the position (eV). The nearest grid point is taken; columns are read two at a time. `at` [TILE], int32, and `pairs`
    [3, TILE], uint64, are work space.
    """
    position, slopes, variances = found[0], found[1], found[3]
    first, second, third, last = pairs[0], pairs[1], pairs[2], np.int32(table.shape[0] - 1)
    for v in range(count):
        at[v] = min(max(np.int32((position[v] - origin) * per_ev + HALF), np.int32(0)), last)
    table_of_pairs = table.view(np.uint64)
    for v in range(count):
        row = table_of_pairs[at[v]]
        first[v], second[v], third[v] = row[0], row[1], row[2]
    for v in range(count):
        variance = one_of(first[v]) * scale2[v] + other_of(first[v])
        per_jump2 = scale2[v] / (jump[v] * jump[v])
        pull = one_of(second[v]) * per_jump2
        slope = (slopes[v] + pull * other_of(second[v]) * jump[v]) / (ONE + pull)
        bent = one_of(third[v]) * per_jump2
        position[v] += other_of(third[v]) - bent * variance / (variance + bent * bent * slope * slope)
        slopes[v], variances[v] = slope, variance


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_tile(
    height: Array,
    jump: Array,
    scale2: Array,
    count: int,
    start: int,
    given: Coefficients,
    work: tuple[Any, ...],
    out: Array,
    code: Array,
) -> None:
    """Read crossings, white lines and their uncertainties of one tile into ``out[:, start:]`` and `code`.

    Heights [m, TILE], jumps and noise (variance over that of the typical voxel) [TILE]; `work` comes from `work_space`.
    Rows of `out`: energy, sigma, jump, jump sigma; where there is room for them white line, its sigma, its height;
    where there is still room the part of the edge's sigma that comes from the step between energies.
    """
    knots, first, last, origin, per_ev, at_edge, at_peak, of_jump = given.tables
    slopes, found, why, crossing, peak, at, for_brackets, pairs = work
    find_brackets(height, count, first, last, crossing, peak, for_brackets)
    low, high = knots_in_use(crossing, peak, count, knots.shape[0] - 1)
    slopes_at_knots(height, count, knots, low, high, slopes)
    refine_crossings(height, slopes, count, crossing, knots, found)
    position, slope, coarse, variance, jump_sigma = found[0], found[1], found[2], found[3], found[4]
    for v in range(count):
        coarse[v] *= step_error(variance[v] / jump[v])
    look_up(at_edge, found, jump, count, origin, per_ev, scale2, at, pairs)
    least, largest, of_photons, held_back = given.least_jump, given.largest_sigma, of_jump[0], of_jump[1]
    lowest, stop = height[first], start + count
    for v in range(count):
        variance[v] = np.sqrt(variance[v] / (slope[v] * slope[v]) + coarse[v] * coarse[v])
        jump_sigma[v] = np.sqrt(of_photons * scale2[v] + held_back)
    for v in range(count):
        j, total = jump[v], jump[v] + scale2[v]
        reason = F_NOISY if variance[v] > largest else ZERO
        reason = reason if crossing[v] >= 0 else (F_RANGE if lowest[v] >= ZERO else F_CROSSING)
        reason = reason if (j > ZERO) & (j >= least * jump_sigma[v]) else F_JUMP
        why[v] = reason if (total > -HUGE) & (total < HUGE) else F_MEASURED  # NaN fails both comparisons
    nothing = np.float32(np.nan)
    energy, sigma, size, size_sigma = out[0, start:stop], out[1, start:stop], out[2, start:stop], out[3, start:stop]
    for v in range(count):
        good = why[v] == ZERO
        energy[v] = position[v] if good else nothing
        sigma[v] = variance[v] if good else nothing
    for v in range(count):
        good = why[v] != F_MEASURED
        size[v] = jump[v] if good else nothing
        size_sigma[v] = jump_sigma[v] if good else nothing
    codes = code[start:stop]
    for v in range(count):
        codes[v] = np.uint8(why[v])
    if out.shape[0] < 7:
        return
    if out.shape[0] > 7:
        out[7, start:stop] = coarse[:count]
    refine_peaks(height, slopes, count, peak, knots, found, at)
    look_up(at_peak, found, jump, count, origin, per_ev, scale2, at, pairs)
    line, line_sigma, line_height = out[4, start:stop], out[5, start:stop], out[6, start:stop]
    curvature, top = found[1], found[2]
    for v in range(count):
        bend = curvature[v]
        good = (why[v] == ZERO) & (bend < ZERO) & (peak[v] < last)
        line[v] = position[v] if good else nothing
        line_sigma[v] = -np.sqrt(variance[v]) / bend if good else nothing
        line_height[v] = top[v] / jump[v] + HALF if good else nothing


@numba.njit(cache=True, nogil=True)
def work_space(knots: int, like: Array) -> Any:
    """Return what `read_tile` writes on: slopes [knots, TILE], cubics, reasons, brackets, peaks, places; made once."""
    whole = np.empty((3 + WORK_ROWS, TILE), np.int32)
    return (
        room(knots, TILE, like),
        room(6, TILE, like),
        room(1, TILE, like)[0],
        whole[0],
        whole[1],
        whole[2],
        whole[3:],
        np.empty((3, TILE), np.uint64),
    )


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_sums(
    sums: Array,
    squares: Array,
    low: int,
    high: int,
    first: int,
    given: Coefficients,
    out: Array,
    code: Array,
) -> None:
    """Read sums [k, ...] and squares [...] of the voxels low..high into ``out[:, first:]`` and ``code[first:]``."""
    rows, freedom, prior = given.rows, given.freedom, given.prior_freedom
    knots = given.tables.knots.shape[0]
    values, scale2, explained = room(rows.shape[0], TILE, sums), room(1, TILE, sums)[0], room(1, TILE, sums)[0]
    height, jump = values[:knots], values[knots]
    work = work_space(knots, sums)
    scale2[:] = 1
    for start in range(low, high, TILE):
        count = min(TILE, high - start)
        multiply(rows, sums, start, count, values)
        if given.fixed_jump > 0:
            jump += given.fixed_jump
            height -= given.fixed_half
        if freedom > 0:
            scale2[:count] = squares[start : start + count]
            subtract_explained(given.whitener, sums, start, count, scale2, explained)
            for v in range(count):
                left = scale2[v] if scale2[v] > ZERO else ZERO * scale2[v]
                scale2[v] = (prior + left) / (prior + freedom)
        read_tile(height, jump, scale2, count, first + start - low, given, work, out, code)


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def read_spectra(
    spectra: Array,
    low: int,
    high: int,
    first: int,
    weights: Array,
    inverse_sigma: Array,
    given: Coefficients,
    out: Array,
    code: Array,
) -> None:
    """Project and read the voxels low..high of spectra [E, N] into ``out[:, first:]`` and ``code[first:]``."""
    sums, squares = room(weights.shape[0], RUN + APART, weights), room(1, RUN, weights)[0]
    for start in range(low, high, RUN):
        count = min(RUN, high - start)
        project(weights, inverse_sigma, spectra, start, count, sums, squares)
        read_sums(sums, squares, 0, count, first + start - low, given, out, code)
