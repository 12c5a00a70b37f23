"""Takes the mean error out of edges by position: signal that a basis holds back, and the effect of noise on a curve.

A low-rank basis reproduces common spectra better than rare ones, so edges far from the mean are drawn towards it. The
residuals of single voxels are too noisy to see that, but their mean over the sampled voxels with nearly the same edge
is not. It is measured once per map and added as a smooth function of the position.

Where the spectrum ``f`` is curved, noise ``n`` moves the mean of the crossing by
``<n n'> / f'^2 - f'' <n^2> / (2 f'^3)`` (second order); that is taken off with the usual slope and curvature.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.edge_map import Code
from analysis.edge_reading import read_edges
from analysis.edge_tables import LEAST_FREEDOM, EdgeReader
from analysis.products import respond
from analysis.spectra import FloatArray

Float32Array = NDArray[np.float32]

MOST_VOXELS = 8192
VOXELS_PER_BIN = 200
MOST_BINS = 20
QUARTILES = 1.349  # distance of a normal distribution's quartiles, in sigma
LEAST_SPREAD = 1e-3
STEEPEST = (-0.5, 1.0)  # limits of the correction's own slope: beyond it the bins are too noisy


def corrected(reader: EdgeReader, sample: Float32Array) -> EdgeReader:
    """Return `reader` with the mean residuals of `sample` [E, n] put back and its missing signal measured.

    Unchanged where the sample is too small, or where the reader sees only some energies of its basis.
    """
    raw_height, raw_slope = reader.raw_height, reader.raw_slope
    if raw_height is None or raw_slope is None or sample.shape[1] < 4 * VOXELS_PER_BIN:
        return reader
    sample = np.ascontiguousarray(sample[:, :: max(sample.shape[1] // MOST_VOXELS, 1)])
    by_voxel = np.ascontiguousarray(sample.T)
    reader, own = _with_prior_freedom(reader, sample)
    out, code = read_edges(reader, sample, threads=1)
    curvature = np.gradient(reader.slope_response, np.float32(1 / reader.per_ev), axis=0)
    at_edge, gain = _put_back(
        reader,
        reader.at_edge,
        raw_height,
        reader.height_response,
        reader.slope_response,
        out[[0, 2]],
        by_voxel,
        own,
        code,
    )
    at_edge[:, 6] = _noise_on_a_curve(reader, curvature, at_edge, out[[0, 2]], by_voxel, code)
    at_peak, peak_gain = _put_back(
        reader, reader.at_peak, raw_slope, reader.slope_response, curvature, out[[4, 2]], by_voxel, own, code
    )
    tables = list(reader.arguments[7])
    tables[5:7] = at_edge, at_peak
    return replace(
        reader,
        arguments=(*reader.arguments[:7], tuple(tables), *reader.arguments[8:]),
        at_edge=at_edge,
        at_peak=at_peak,
        height_response=reader.height_response * gain[:, None],
        slope_response=reader.slope_response * peak_gain[:, None],
    )


def _put_back(
    reader: EdgeReader,
    table: Float32Array,
    raw: Float32Array,
    projected: Float32Array,
    steepness: Float32Array,
    positions_and_jumps: Float32Array,
    by_voxel: Float32Array,
    own: FloatArray,
    code: NDArray[np.uint8],
) -> tuple[Float32Array, Float32Array]:
    """Return the table with its correction, and by what the correction multiplies noise, on the table's grid."""
    positions, jumps = positions_and_jumps
    known = np.flatnonzero((code == Code.OK) & np.isfinite(positions))
    bins = min(known.size // VOXELS_PER_BIN, MOST_BINS)
    if bins < 4:
        return table, np.ones(len(table), np.float32)
    x = positions[known].astype(np.float64)
    at = np.clip((x - reader.origin) * reader.per_ev + 0.5, 0, len(table) - 1).astype(np.intp)
    held_back = raw - projected
    slope = respond(steepness, at, by_voxel, known)
    usable = np.abs(slope) > 0.3 * np.abs(np.median(slope))
    slope = np.where(usable, slope, np.inf)
    error = -respond(held_back, at, by_voxel, known) / slope
    noise = ((held_back * reader.sigma) ** 2).sum(axis=1)[at] / slope**2 * own[known]
    missing = table[at, 1] / slope**2
    usable &= np.abs(error) < 6 * np.sqrt(noise + missing)
    grid = reader.grid(len(table))
    parts = np.array_split(np.flatnonzero(usable)[np.argsort(x[usable])], bins)
    centres = np.array([x[p].mean() for p in parts])
    shift = _significance(error, parts) * _binned(error, parts, centres, grid)
    left = error[usable] - np.interp(x[usable], grid, shift)
    share = _measured_share(left**2 - noise[usable], missing[usable], noise[usable])
    gain = 1 + np.clip(np.gradient(shift, 1 / reader.per_ev), *STEEPEST)
    jump = jumps[known].astype(np.float64)
    usual, spread = _usual_slope(x, slope / jump, table[at, 3] / jump**2, parts, centres, grid)
    new = np.stack([table[:, 0] * gain**2, table[:, 1] * share, shift, table[:, 3], usual, spread, 0 * shift], axis=1)
    return new.astype(np.float32), gain.astype(np.float32)


def _measured_share(excess: FloatArray, missing: FloatArray, noise: FloatArray) -> float:
    """Part of the expected missing signal that is there: at most one sigma more than measured, quiet voxels first."""
    weight = 1 / (noise + missing)
    weight /= weight.sum()
    seen = float(weight @ excess)
    certain = seen + float(np.sqrt(weight**2 @ (excess - seen) ** 2))
    return min(max(certain / max(float(weight @ missing), 1e-30), 0.0), 1.0)


def _with_prior_freedom(reader: EdgeReader, sample: Float32Array) -> tuple[EdgeReader, FloatArray]:
    """Weigh the noise given against a voxel's residual by how much noise differs between voxels.

    Returns the reader and each voxel's variance over the mean one. Linear shrinkage: the weight, in degrees of freedom,
    is 2 over the relative variance of the noise's variance from voxel to voxel, beyond that of a chi-square.
    """
    freedom = sample.shape[0] - reader.weights.shape[0]
    if freedom < LEAST_FREEDOM:
        return reader, np.ones(sample.shape[1])
    sums = reader.arguments[4] @ (reader.weights @ sample)
    squares = ((sample * reader.inverse_sigma[:, None]) ** 2).sum(axis=0) - (sums**2).sum(axis=0)
    variance = np.maximum(squares.astype(np.float64) / freedom, 1e-3)
    low, high = np.quantile(np.log(variance[np.isfinite(variance)]), [0.25, 0.75])
    spread = ((high - low) / QUARTILES) ** 2 - 2 / freedom  # logarithms: a few spoiled voxels do not count
    given = 2 / max(spread, LEAST_SPREAD)
    own = np.nan_to_num((given + freedom * variance) / (given + freedom), nan=1.0)
    arguments = (*reader.arguments[:6], np.float32(given), *reader.arguments[7:])
    return replace(reader, arguments=arguments), own


def _noise_on_a_curve(
    reader: EdgeReader,
    curvature: Float32Array,
    table: Float32Array,
    positions_and_jumps: Float32Array,
    by_voxel: Float32Array,
    code: NDArray[np.uint8],
) -> FloatArray:
    """Return by how much (eV, times the jump squared) noise moves the mean of crossings, on the table's grid."""
    positions, jumps = positions_and_jumps
    known = np.flatnonzero((code == Code.OK) & np.isfinite(positions))
    bins = min(known.size // VOXELS_PER_BIN, MOST_BINS)
    if bins < 4 or not (table[:, 4] > 0).all():
        return np.zeros(len(table))
    x = positions[known].astype(np.float64)
    at = np.clip((x - reader.origin) * reader.per_ev + 0.5, 0, len(table) - 1).astype(np.intp)
    bend = respond(curvature, at, by_voxel, known) / jumps[known]
    parts = np.array_split(np.argsort(x), bins)
    usual_bend = _binned(bend, parts, np.array([x[p].mean() for p in parts]), reader.grid(len(table)))
    variance = ((reader.height_response * reader.sigma) ** 2).sum(axis=1)
    together = (reader.height_response * reader.slope_response * reader.sigma**2).sum(axis=1)
    slope = table[:, 4].astype(np.float64)
    return np.asarray(together / slope**2 - usual_bend * variance / (2 * slope**3))


def _significance(error: FloatArray, parts: list[NDArray[np.intp]]) -> float:
    """Share of the bins' means that is more than their noise (James and Stein's shrinkage): 0 for noise alone."""
    values = [error[p] for p in parts]
    chi2 = sum(float(e.mean() ** 2 / max(e.var(), 1e-30) * e.size) for e in values)
    return max(1 - len(parts) / chi2, 0.0) if chi2 > 0 else 0.0


def _usual_slope(
    x: FloatArray,
    slope: FloatArray,
    noise: FloatArray,
    parts: list[NDArray[np.intp]],
    centres: FloatArray,
    grid: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Mean slope over the jump by position, and its variance from voxel to voxel beyond the noise."""
    usual = _binned(slope, parts, centres, grid)
    scatter = (slope - np.interp(x, grid, usual)) ** 2
    beyond = _binned(scatter - noise, parts, centres, grid)
    return usual, np.maximum(beyond, 1e-4 * usual**2)


def _binned(y: FloatArray, parts: list[NDArray[np.intp]], centres: FloatArray, grid: FloatArray) -> FloatArray:
    """Mean of `y` in each part, interpolated from the parts' centres to `grid`; constant beyond the outer ones."""
    return np.asarray(np.interp(grid, centres, [y[p].sum() / p.size for p in parts]))
