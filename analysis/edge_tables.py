"""What the crossing kernels need to know about an energy grid and a basis: linear maps and variance tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.crossing import Coefficients, Tables
from analysis.lowrank import Basis, Projection, projection
from analysis.products import padded
from analysis.spectra import FloatArray, Normalisation, line_operator

PRIOR_FREEDOM = 8.0  # weight of the given noise against a voxel's residual, degrees of freedom; until it is measured
LEAST_FREEDOM = 4  # of a voxel's residual, below which it tells nothing of its noise
TABLE_STEP = 0.1  # eV
ANY_SLOPE = 1e20  # spread of slopes of which nothing is known
EVEN = 2.0  # largest over smallest of four steps that still count as even


@dataclass(frozen=True, slots=True, eq=False)
class HalfHeight:
    """Maps of a spectrum to its height above half the jump at the knots, and to its jump.

    Attributes
    ----------
    knots : float64 [m], eV, the measured energies between which crossings are sought
    first, last : knots the crossing and the highest point must lie between
    rows : float64 [m, E]
    jump : float64 [E]
    fixed : (half height, jump) of spectra that are normalised already, else (0, 0)
    normalisation : as used, or None
    """

    knots: FloatArray
    first: int
    last: int
    rows: FloatArray
    jump: FloatArray
    fixed: tuple[float, float]
    normalisation: Normalisation | None


@dataclass(frozen=True, slots=True, eq=False)
class EdgeReader:
    """Everything the kernels take, for one basis and one set of measured energies.

    Attributes
    ----------
    reference : eV; kernels count positions from here
    weights : float32 [k, E], inverse_sigma : float32 [E], for the projection, `padded` as it needs them
    coefficients : what `crossing.read_sums` takes
    normalisation : windows and orders as used
    sigma : float64 [E], noise of the spectra
    origin, per_ev : first position and points per eV of the grid of the tables below
    at_edge, at_peak : float32 [x, 7], `lookup_table` on an even grid of positions, for the height and for its slope
    of_jump : float32 [2], the same of the jump
    height_response, slope_response, jump_response : float32 [x, E] or [1, E], what these are of the spectrum
    raw_height, raw_slope : float32 [x, E], the same without the basis; None where not all its energies are measured
    """

    reference: float
    weights: NDArray[np.float32]
    inverse_sigma: NDArray[np.float32]
    coefficients: Coefficients
    normalisation: Normalisation | None
    sigma: FloatArray
    origin: float
    per_ev: float
    at_edge: NDArray[np.float32]
    at_peak: NDArray[np.float32]
    of_jump: NDArray[np.float32]
    height_response: NDArray[np.float32]
    slope_response: NDArray[np.float32]
    jump_response: NDArray[np.float32]
    raw_height: NDArray[np.float32] | None
    raw_slope: NDArray[np.float32] | None

    def grid(self, count: int) -> FloatArray:
        """Return the positions (eV, from `reference`) of the `count` points of the tables."""
        return np.asarray(self.origin + np.arange(count) / self.per_ev)


def half_height_maps(
    energies: FloatArray, normalisation: Normalisation | None, search: tuple[float, float] | None
) -> HalfHeight:
    """Return the half-height maps of a grid (eV, increasing).

    `search` is the range (eV) in which the crossing and the highest point are sought; by default from the
    end of the pre-edge window to the beginning of the post-edge window.
    """
    if normalisation is None:
        if search is None:
            raise ValueError("spectra that are normalised already need search=(low, high) in eV")
        lines = None
        low, high = search
        jump, fixed, used = np.zeros(energies.size), (0.5, 1.0), None
    else:
        low, high = search or (normalisation.pre[1], normalisation.post[0])
        lines = line_operator(energies, normalisation)
        jump, fixed, used = lines.jump, (0.0, 0.0), lines.normalisation
    a = int(np.searchsorted(energies, low, side="left"))
    b = int(np.searchsorted(energies, high, side="right"))
    # One neighbour on each side: an edge just inside the range is still bracketed.
    start, stop = max(a - 1, 0), min(b + 1, energies.size)
    if stop - start < 2:
        raise ValueError(
            f"no measured energies around {low:g}..{high:g} eV: energies are {energies[0]:g}..{energies[-1]:g} eV"
        )
    rows = np.eye(stop - start, energies.size, k=start)
    if lines is not None:
        rows -= lines.pre[start:stop] + 0.5 * lines.jump
    return HalfHeight(energies[start:stop], 0, stop - start - 1, rows, jump, fixed, used)


def knot_slopes(knots: FloatArray) -> FloatArray:
    """Return the map [m, m] from values at the knots to the slopes there.

    Slopes are those of the polynomial through the knot and its neighbours: two on each side where the spacing is
    nearly even, one where it is not (a wide gap would make the wider one swing), the chord at both ends.
    """
    m = knots.size
    slopes = np.zeros((m, m))
    step = np.diff(knots)
    scale = step.mean()
    reach = np.ones(m, np.intp)
    around = np.stack([step[k : m - 4 + k] for k in range(4)]) if m > 4 else np.ones((4, 0))
    reach[2 : m - 2] += around.max(axis=0) <= EVEN * around.min(axis=0)
    low, high = np.maximum(np.arange(m) - reach, 0), np.minimum(np.arange(m) + reach, m - 1)
    for size in np.unique(high - low + 1):
        at = np.flatnonzero(high - low + 1 == size)
        members = low[at, None] + np.arange(size)
        x = (knots[members] - knots[at, None]) / scale
        slopes[at[:, None], members] = np.linalg.inv(x[..., None] ** np.arange(size))[:, 1] / scale
    return slopes


def knot_table(knots: FloatArray) -> FloatArray:
    """Return what the kernels need to know about each knot, [m, 7].

    Columns: the knot, the step from the one below (0 for the first), and what the slope there takes of the five knots
    from two below to two above.
    """
    m = knots.size
    slopes = np.pad(knot_slopes(knots), ((0, 0), (2, 2)))
    table = np.zeros((m, 7))
    table[:, 0], table[1:, 1] = knots, np.diff(knots)
    for i in range(m):
        table[i, 2:] = slopes[i, i : i + 5]
    return table


def interpolation(knots: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the maps [x, knots] from values at the knots to the interpolant and to its slope at `x`.

    Between two knots the interpolant is the cubic with the knots' values and slopes (`knot_slopes`).
    """
    slopes = knot_slopes(knots)
    i = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, knots.size - 2)
    step = knots[i + 1] - knots[i]
    t = ((x - knots[i]) / step)[:, None]
    unit = np.eye(knots.size)
    h = step[:, None]
    value = (
        (1 + 2 * t) * (1 - t) ** 2 * unit[i]
        + t**2 * (3 - 2 * t) * unit[i + 1]
        + t * (1 - t) ** 2 * h * slopes[i]
        - t**2 * (1 - t) * h * slopes[i + 1]
    )
    slope = (
        6 * t * (1 - t) * (unit[i + 1] - unit[i]) / h
        + (1 - 4 * t + 3 * t**2) * slopes[i]
        + (3 * t**2 - 2 * t) * slopes[i + 1]
    )
    return value, slope


def edge_reader(
    basis: Basis,
    measured: NDArray[np.intp],
    sigma: FloatArray,
    normalisation: Normalisation | None,
    *,
    search: tuple[float, float] | None = None,
    limits: tuple[float, float],
    voxel_noise: bool = True,
    extra_freedom: int = 0,
) -> EdgeReader:
    """Prepare the kernels for spectra measured at the energies number `measured` of `basis` with noise `sigma`.

    Parameters
    ----------
    basis, measured, sigma : as in `lowrank.projection`
    normalisation, search : as in `half_height_maps`
    limits : least jump over its sigma, largest sigma (eV)
    voxel_noise : scale the noise of each voxel by its own residual, where the energies are enough
    extra_freedom : degrees of freedom that repeated energies add to that residual
    """
    maps = half_height_maps(basis.energies, normalisation, search)
    projected = projection(basis, measured, sigma)
    reference = float(np.round(maps.knots.mean()))
    knots = maps.knots - reference
    rows = maps.rows @ basis.vectors
    jump = maps.jump @ basis.vectors
    fine = np.linspace(knots[0], knots[-1], _table_size(knots))
    value, slope = interpolation(knots, fine)
    f32 = np.float32
    to_height, to_slope = value @ maps.rows, slope @ maps.rows
    to_curvature = np.gradient(to_slope, fine[1] - fine[0], axis=0)
    at_edge = lookup_table(to_height, to_slope, basis, projected)
    at_peak = lookup_table(to_slope, to_curvature, basis, projected)
    of_jump = lookup_table(maps.jump[None], maps.jump[None], basis, projected)[0, :2]
    everything = measured.size == basis.energies.size and basis.rank < basis.energies.size
    per_ev = f32((fine.size - 1) / (fine[-1] - fine[0]))
    read = projected.gain @ projected.weights
    tables = Tables(
        knots=knot_table(knots).astype(f32),
        first=maps.first,
        last=maps.last,
        origin=f32(fine[0]),
        per_ev=per_ev,
        at_edge=for_kernel(at_edge),
        at_peak=for_kernel(at_peak),
        of_jump=of_jump,
    )
    freedom = _freedom(projected) + extra_freedom if voxel_noise else 0.0
    return EdgeReader(
        reference=reference,
        weights=padded(projected.weights, 4, 10),
        inverse_sigma=padded(1 / sigma, 10),
        coefficients=Coefficients(
            rows=padded(np.vstack([rows, jump]) @ projected.gain, 4, 4),
            fixed_half=f32(maps.fixed[0]),
            fixed_jump=f32(maps.fixed[1]),
            whitener=np.ascontiguousarray(projected.whitener, dtype=f32),
            freedom=f32(freedom),
            prior_freedom=f32(PRIOR_FREEDOM),
            tables=tables,
            least_jump=f32(limits[0]),
            largest_sigma=f32(limits[1]),
        ),
        normalisation=maps.normalisation,
        sigma=sigma,
        origin=float(fine[0]),
        per_ev=float(per_ev),
        at_edge=at_edge,
        at_peak=at_peak,
        of_jump=of_jump,
        height_response=(value @ (rows @ read)).astype(f32),
        slope_response=(slope @ (rows @ read)).astype(f32),
        jump_response=(jump @ read)[None].astype(f32),
        raw_height=to_height.astype(f32) if everything else None,
        raw_slope=to_slope.astype(f32) if everything else None,
    )


def _freedom(projected: Projection) -> float:
    """Degrees of freedom of a voxel's residual; none where too few to tell anything."""
    return float(projected.freedom) if projected.freedom >= LEAST_FREEDOM else 0.0


def lookup_table(maps: FloatArray, slopes: FloatArray, basis: Basis, projected: Projection) -> NDArray[np.float32]:
    """Return what is to be known at each of the positions `maps` [x, E] stands for; without any correction yet.

    Columns: photon noise of ``maps @ spectrum`` and signal held back (variances), correction of the position (eV),
    photon noise of the slope, usual slope over the jump, its spread (variance) from voxel to voxel, and the shift by
    noise on a curved spectrum (eV, times the jump squared).
    """
    table = np.zeros((len(maps), 7))
    rows = maps @ basis.vectors
    table[:, 0] = _variance(rows, projected.noise)
    table[:, 1] = _variance(rows, projected.missing) + ((maps @ basis.tail) ** 2).sum(axis=1) + maps**2 @ basis.doubt**2
    table[:, 3] = _variance(slopes @ basis.vectors, projected.noise)
    table[:, 5] = ANY_SLOPE
    return table.astype(np.float32)


def for_kernel(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the columns [x, 6] of `crossing.look_up` from those of `lookup_table`."""
    noise, held_back, correction, slope_noise, usual_slope, spread, bent = table.T
    return np.stack([noise, held_back, slope_noise / spread, usual_slope, bent, correction], axis=1)


def _variance(rows: FloatArray, covariance: FloatArray) -> FloatArray:
    return np.asarray((rows @ covariance * rows).sum(axis=1))


def _table_size(knots: FloatArray) -> int:
    return int(np.clip((knots[-1] - knots[0]) / TABLE_STEP, 64, 4096))
