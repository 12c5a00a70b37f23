"""Takes the mean error out of edges by position: signal that a basis holds back, and the effect of noise on a curve.

A low-rank basis reproduces common spectra better than rare ones, so edges far from the mean are drawn towards it. The
residuals of single voxels are too noisy to see that, but their mean over the sampled voxels with nearly the same edge
is not. It is measured once per map and added as a smooth function of the position.

Where the spectrum ``f`` is curved, noise ``n`` moves the mean of the crossing by
``<n n'> / f'^2 - f'' <n^2> / (2 f'^3)`` (second order); that is taken off with the usual slope and curvature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.edge_map import Code
from analysis.edge_reading import read_edges
from analysis.edge_tables import LEAST_FREEDOM, EdgeReader, for_kernel
from analysis.products import project, respond, subtract_explained
from analysis.spectra import FloatArray

Float32Array = NDArray[np.float32]

MOST_VOXELS = 8192
VOXELS_PER_BIN = 200
MOST_BINS = 20
QUARTILES = 1.349  # distance of a normal distribution's quartiles, in sigma
LEAST_SPREAD = 1e-3
STEEPEST = (-0.5, 1.0)  # limits of the correction's own slope: beyond it the bins are too noisy


def corrected(reader: EdgeReader, sample: Float32Array, *, white_line: bool = True) -> EdgeReader:
    """Return `reader` with the mean residuals of `sample` [E, n] put back and its missing signal measured.

    For edges, and where asked for white lines too. Unchanged where the sample is too small, or where the reader sees
    only some energies of its basis.
    """
    raw_height, raw_slope = reader.raw_height, reader.raw_slope
    if raw_height is None or raw_slope is None or sample.shape[1] < 4 * VOXELS_PER_BIN:
        return reader
    some = sample[:, :: max(sample.shape[1] // MOST_VOXELS, 1)]
    sample, by_voxel = np.ascontiguousarray(some), np.ascontiguousarray(some.T)
    reader, own = _with_prior_freedom(reader, sample)
    out, code = read_edges(reader, sample, threads=1, white_line=white_line)
    placed = _placed(reader, out[0], out[2], by_voxel, own, code)
    curvature = np.gradient(reader.slope_response, np.float32(1 / reader.per_ev), axis=0)
    at_edge, gain = _put_back(reader, placed, reader.at_edge, raw_height, reader.height_response, reader.slope_response)
    at_edge[:, 6] = _noise_on_a_curve(reader, placed, at_edge, curvature)
    reader = replace(reader, at_edge=at_edge, height_response=reader.height_response * gain[:, None])
    if white_line:
        placed = _placed(reader, out[4], out[2], by_voxel, own, code)
        at_peak, gain = _put_back(reader, placed, reader.at_peak, raw_slope, reader.slope_response, curvature)
        reader = replace(reader, at_peak=at_peak, slope_response=reader.slope_response * gain[:, None])
    tables = reader.coefficients.tables._replace(at_edge=for_kernel(reader.at_edge), at_peak=for_kernel(reader.at_peak))
    return replace(reader, coefficients=reader.coefficients._replace(tables=tables))


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """Sampled voxels whose edge (or white line) is known, in the order of its position.

    Attributes
    ----------
    x : float64 [n], eV, position
    at : its place in the tables
    jump : float64 [n], edge jump
    noise : float64 [n], variance of the voxel's noise over the usual one
    voxel : its row of `by_voxel`
    by_voxel : float32 [.., E], spectra
    """

    x: FloatArray
    at: NDArray[np.intp]
    jump: FloatArray
    noise: FloatArray
    voxel: NDArray[np.intp]
    by_voxel: Float32Array

    @property
    def bins(self) -> int:
        """Number of bins that positions are sorted into."""
        return min(self.x.size // VOXELS_PER_BIN, MOST_BINS)

    def respond(self, response: Float32Array) -> FloatArray:
        """Return ``response[at] @ spectrum`` of each."""
        return np.asarray(respond(response, self.at, self.by_voxel, self.voxel))


def _placed(
    reader: EdgeReader,
    positions: Float32Array,
    jumps: Float32Array,
    by_voxel: Float32Array,
    own: FloatArray,
    code: NDArray[np.uint8],
) -> _Placed:
    known = np.flatnonzero((code == Code.OK) & np.isfinite(positions))
    voxel = known[np.argsort(positions[known])]
    x = positions[voxel].astype(np.float64)
    at = np.clip((x - reader.origin) * reader.per_ev + 0.5, 0, len(reader.at_edge) - 1).astype(np.intp)
    return _Placed(x, at, jumps[voxel].astype(np.float64), own[voxel], voxel, by_voxel)


def _put_back(
    reader: EdgeReader,
    placed: _Placed,
    table: Float32Array,
    raw: Float32Array,
    projected: Float32Array,
    steepness: Float32Array,
) -> tuple[Float32Array, Float32Array]:
    """Return the table with its correction, and by what the correction multiplies noise, on the table's grid."""
    if placed.bins < 4:
        return table.copy(), np.ones(len(table), np.float32)
    held_back = raw - projected
    slope = placed.respond(steepness)
    usable = np.abs(slope) > 0.3 * np.abs(np.median(slope))
    error = -placed.respond(held_back) / np.where(usable, slope, np.inf)
    noise = ((held_back * reader.sigma) ** 2).sum(axis=1)[placed.at] / slope**2 * placed.noise
    missing = table[placed.at, 1] / slope**2
    usable &= np.abs(error) < 6 * np.sqrt(noise + missing)
    x, at, jump, slope = placed.x[usable], placed.at[usable], placed.jump[usable], slope[usable]
    error, noise, missing = error[usable], noise[usable], missing[usable]
    grid = reader.grid(len(table))
    bins = _Bins.of(x, placed.bins)
    shift = bins.significance(error) * bins.spread_out(error, grid)
    left = error - np.interp(x, grid, shift)
    share = _measured_share(left**2 - noise, missing, noise)
    gain = 1 + np.clip(np.gradient(shift, 1 / reader.per_ev), *STEEPEST)
    per_jump = slope / jump
    usual = bins.spread_out(per_jump, grid)
    beyond = (per_jump - np.interp(x, grid, usual)) ** 2 - table[at, 3] / jump**2  # than noise, from voxel to voxel
    spread = np.maximum(bins.spread_out(beyond, grid), 1e-4 * usual**2)
    new = np.stack([table[:, 0] * gain**2, table[:, 1] * share, shift, table[:, 3], usual, spread, 0 * shift], axis=1)
    return new.astype(np.float32), gain.astype(np.float32)


def _noise_on_a_curve(reader: EdgeReader, placed: _Placed, table: Float32Array, curvature: Float32Array) -> FloatArray:
    """Return by how much (eV, times the jump squared) noise moves the mean of crossings, on the table's grid."""
    if placed.bins < 4 or not (table[:, 4] > 0).all():
        return np.zeros(len(table))
    bins = _Bins.of(placed.x, placed.bins)
    usual_bend = bins.spread_out(placed.respond(curvature) / placed.jump, reader.grid(len(table)))
    variance = ((reader.height_response * reader.sigma) ** 2).sum(axis=1)
    together = (reader.height_response * reader.slope_response * reader.sigma**2).sum(axis=1)
    slope = table[:, 4].astype(np.float64)
    return np.asarray(together / slope**2 - usual_bend * variance / (2 * slope**3))


@dataclass(frozen=True, slots=True, eq=False)
class _Bins:
    """Bins of as many voxels each, which are sorted by position: where they start, their sizes, mean positions (eV)."""

    starts: NDArray[np.intp]
    sizes: FloatArray
    centres: FloatArray

    @classmethod
    def of(cls, x: FloatArray, count: int) -> _Bins:
        """Cut the sorted positions `x` into `count` bins."""
        edges = np.linspace(0, x.size, count + 1).astype(np.intp)
        sizes = np.diff(edges).astype(np.float64)
        return cls(edges[:-1], sizes, np.add.reduceat(x, edges[:-1]) / sizes)

    def mean(self, y: FloatArray) -> FloatArray:
        """Return the mean of `y` in each bin."""
        return np.asarray(np.add.reduceat(y, self.starts) / self.sizes)

    def spread_out(self, y: FloatArray, grid: FloatArray) -> FloatArray:
        """Interpolate the means of `y` from the bins' centres to `grid`; constant beyond the outer ones."""
        return np.asarray(np.interp(grid, self.centres, self.mean(y)))

    def significance(self, error: FloatArray) -> float:
        """Share of the bins' means that is more than their noise (James and Stein's shrinkage): 0 for noise alone."""
        mean = self.mean(error)
        variance = np.maximum(self.mean(error**2) - mean**2, 1e-30)
        chi2 = float((mean**2 / variance * self.sizes).sum())
        return max(1 - mean.size / chi2, 0.0) if chi2 > 0 else 0.0


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
    whitener, (energies, count) = reader.coefficients.whitener, sample.shape
    freedom = energies - len(whitener)
    if freedom < LEAST_FREEDOM:
        return reader, np.ones(count)
    sums, squares = np.empty((len(reader.weights), count), np.float32), np.empty(count, np.float32)
    project(reader.weights, reader.inverse_sigma, sample, 0, count, sums, squares)
    subtract_explained(whitener, sums, 0, count, squares, np.empty_like(squares))
    variance = np.maximum(squares.astype(np.float64) / freedom, 1e-3)
    low, high = np.quantile(np.log(variance[np.isfinite(variance)]), [0.25, 0.75])
    spread = ((high - low) / QUARTILES) ** 2 - 2 / freedom  # logarithms: a few spoiled voxels do not count
    given = 2 / max(spread, LEAST_SPREAD)
    own = np.nan_to_num((given + freedom * variance) / (given + freedom), nan=1.0)
    return replace(reader, coefficients=reader.coefficients._replace(prior_freedom=np.float32(given))), own
