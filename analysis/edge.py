"""Edge position (energy at half height), white line and edge jump, per voxel and for single spectra.

The crossing rule: go down in energy from the highest point of the normalised spectrum in the search range;
the edge is where the spectrum first falls through one half, that is, the last upward crossing below the white
line. Between measured energies the spectrum is a cubic with the slopes of polynomials through the neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis import brackets, crossing, cubics
from analysis.edge_correction import corrected
from analysis.edge_map import Code, Edge, EdgeMap
from analysis.edge_reading import ROWS_WITHOUT_WHITE_LINE, edge_map, read_edges, with_voxel_noise
from analysis.edge_tables import (
    HalfHeight,
    edge_reader,
    half_height_maps,
    interpolation,
    knot_table,
)
from analysis.lowrank import Basis, learn_basis, sampled_voxels
from analysis.numbers import real_array, sigma_array, whole_number
from analysis.spectra import FloatArray, Normalisation, checked_energies

__all__ = ["Code", "Edge", "EdgeMap", "fit_edges", "half_height"]

Float32Array = NDArray[np.float32]

SAMPLE = 16384  # voxels the basis is learnt from
LEAST_JUMP = 3.0  # edge jump over its own standard deviation
LARGEST_SIGMA = 2.0  # eV


def fit_edges(
    energies: ArrayLike,
    spectra: ArrayLike,
    *,
    sigma: ArrayLike,
    normalisation: Normalisation | None,
    rank: int | None = None,
    mask: NDArray[np.bool_] | None = None,
    sample: int = SAMPLE,
    basis: Basis | None = None,
    search: tuple[float, float] | None = None,
    least_jump: float = LEAST_JUMP,
    largest_sigma: float = LARGEST_SIGMA,
    white_line: bool = True,
    threads: int | None = None,
) -> EdgeMap:
    """Read the edge of every voxel from its spectrum projected on a noise-weighted low-rank basis.

    Parameters
    ----------
    energies : [E], eV, in any order, without repeats
    spectra : [E, N], absorption of N voxels; float32, C order is read in place
    sigma : noise of the spectra: one number, [E], or [E, N]
    normalisation : windows and orders; None when the spectra are normalised already (then `search` is needed)
    rank : number of basis spectra; None chooses it from the eigenvalues of the data
    mask : [N], True where an edge is wanted
    sample : voxels from which the basis is learnt
    basis : a basis learnt before (on `energies` or more); None learns one
    search : eV, range of the crossing and of the highest point; default between the two windows
    least_jump : smallest jump over its sigma
    largest_sigma : eV, edges less certain than this are not reported
    white_line : read white lines as well; without them a map takes less time, and they are NaN
    threads : None takes all cores this process may use

    Raises
    ------
    ValueError
        On mismatched shapes, sigma that is not positive, energies that do not reach a window.
    """
    energy, values, noise, voxel_noise = _checked(energies, spectra, sigma)
    wanted = _checked_mask(mask, values.shape[1])
    rank = None if rank is None else whole_number("rank", rank)
    sample = whole_number("sample", sample)
    limits = checked_limits(least_jump, largest_sigma)
    if normalisation is not None and basis is None:
        normalisation.effective(energy)
    places = sampled_voxels(values.shape[1], wanted, sample)
    chosen = values[:, places]
    if basis is None:
        learnt = chosen
        if voxel_noise is not None:  # as if all had the typical noise, so that the quiet ones count for more
            learnt = chosen / np.sqrt(((voxel_noise[:, places].T / noise) ** 2).mean(axis=1)).astype(np.float32)
        basis = learn_basis(energy, learnt, noise, rank=rank)
    measured = _positions(basis.energies, energy)
    ratio = basis.noise_ratio[measured]
    noise = noise * ratio
    reader = edge_reader(
        basis,
        measured,
        noise,
        normalisation,
        search=search,
        voxel_noise=voxel_noise is None,
        limits=limits,
    )
    reader = corrected(reader, chosen, white_line=white_line)
    out, code = read_edges(reader, values, threads=threads, white_line=white_line, with_coarse=voxel_noise is not None)
    if voxel_noise is not None:
        with_voxel_noise(out, code, reader, voxel_noise * ratio[:, None].astype(np.float32), largest_sigma)
    return edge_map(out if white_line else out[:ROWS_WITHOUT_WHITE_LINE], code, reader, basis, wanted)


def half_height(
    energy: ArrayLike,
    mu: ArrayLike,
    normalisation: Normalisation | None,
    *,
    sigma: ArrayLike | None = None,
    search: tuple[float, float] | None = None,
) -> Edge:
    """Read the edge of one spectrum, by the rule of `fit_edges` and without a basis.

    Parameters
    ----------
    energy : [E], eV, in any order
    mu : [E]
    normalisation : windows and orders; None when `mu` is normalised already (then `search` is needed)
    sigma : noise of `mu`, one number or [E]; None leaves the uncertainties NaN
    search : eV, range of the crossing and of the highest point

    Examples
    --------
    >>> e = np.arange(8250.0, 8501.0)
    >>> mu = 0.5 + np.arctan((e - 8342.3) / 1.5) / np.pi
    >>> edge = half_height(e, mu, None, search=(8320, 8370))
    >>> edge.code.name, round(edge.energy, 2)
    ('OK', 8342.31)
    """
    given, values = real_array("energy", energy, np.float64), real_array("mu", mu, np.float64)
    if given.ndim != 1 or values.shape != given.shape:
        raise ValueError(f"mu has shape {values.shape}, energy {given.shape}; [E] is needed for both")
    order = np.argsort(given, kind="stable")
    energies, values = checked_energies(given[order]), values[order]
    maps = half_height_maps(energies, normalisation, search)
    noise = np.full(energies.size, np.nan) if sigma is None else sigma_array("sigma", sigma, energies.shape)[order]
    return _read_one(maps, values, noise)


def _read_one(maps: HalfHeight, values: FloatArray, noise: FloatArray) -> Edge:
    height = (maps.rows @ values - maps.fixed[0])[:, None]
    jump = float(maps.jump @ values + maps.fixed[1])
    jump_sigma = float(np.sqrt(maps.jump**2 @ noise**2))
    nan = float("nan")

    def nothing(code: Code) -> Edge:
        return Edge(nan, nan, jump, jump_sigma, nan, nan, nan, code, maps.normalisation)

    if not np.isfinite(values).all():
        return nothing(Code.NOT_MEASURED)
    if not jump > 1e-12 * np.abs(values).max() or jump < LEAST_JUMP * jump_sigma:
        return nothing(Code.NO_JUMP)
    at, peak, work = np.empty(1, np.int32), np.empty(1, np.int32), np.empty((brackets.WORK_ROWS, 1), np.int32)
    brackets.find_brackets(height.astype(np.float32), 1, maps.first, maps.last, at, peak, work)
    if at[0] < 0:
        return nothing(Code.OUT_OF_RANGE if height[maps.first, 0] >= 0 else Code.NO_CROSSING)
    knots, slopes = knot_table(maps.knots), np.empty_like(height)
    cubics.slopes_at_knots(height, 1, knots, 0, len(knots) - 1, slopes)
    found = np.empty((6, 1))
    cubics.refine_crossings(height, slopes, 1, at, knots, found)
    x, slope, step, rise = found[:4, 0]
    coarse = step * crossing.step_error(rise / jump)
    value, _ = interpolation(maps.knots, np.array([x]))
    sigma = float(np.sqrt(((value @ maps.rows) ** 2 @ noise**2)[0] / slope**2 + coarse**2))
    if sigma > LARGEST_SIGMA:
        return nothing(Code.TOO_NOISY)
    white, white_sigma, top = nan, nan, nan
    cubics.refine_peaks(height, slopes, 1, peak, knots, found, at)
    p, curvature, height_there = found[:3, 0]
    if peak[0] < maps.last and curvature < 0:
        _, steep = interpolation(maps.knots, np.array([p]))
        white, top = float(p), float(height_there / jump + 0.5)
        white_sigma = float(np.sqrt((steep @ maps.rows) ** 2 @ noise**2)[0] / -curvature)
    return Edge(float(x), sigma, jump, jump_sigma, white, white_sigma, top, Code.OK, maps.normalisation)


def checked_limits(least_jump: float, largest_sigma: float) -> tuple[float, float]:
    """Return both; ValueError where they set no limit."""
    if not least_jump >= 0:
        raise ValueError(f"least_jump {least_jump} is not 0 or above")
    if not largest_sigma > 0:
        raise ValueError(f"largest_sigma {largest_sigma} eV is not above 0")
    return least_jump, largest_sigma


def _checked(
    energies: ArrayLike, spectra: ArrayLike, sigma: ArrayLike
) -> tuple[FloatArray, Float32Array, FloatArray, Float32Array | None]:
    """Sort by energy; return energies, spectra [E, N], typical noise [E], and the noise per voxel if given."""
    given = real_array("energies", energies, np.float64)
    values = real_array("spectra", spectra, np.float32)
    noise: NDArray[np.floating] = real_array("sigma", sigma)
    if given.ndim != 1 or values.ndim != 2 or values.shape[0] != given.size:
        raise ValueError(f"spectra have shape {values.shape}, energies {given.shape}; [E, N] and [E] are needed")
    if noise.shape not in ((), given.shape, values.shape):
        raise ValueError(f"sigma has shape {noise.shape}; one number, {given.shape} or {values.shape} is needed")
    order = np.argsort(given, kind="stable")
    energy = checked_energies(given[order], least=1)
    in_order = bool((order == np.arange(order.size)).all())
    values = np.ascontiguousarray(values if in_order else values[order])
    per_voxel: Float32Array | None = None
    if noise.ndim == 2:
        per_voxel = np.ascontiguousarray(noise if in_order else noise[order], dtype=np.float32)
        known = ((per_voxel > 0) & np.isfinite(per_voxel)).all(axis=0)  # other voxels are not measured
        if not known.any():
            raise ValueError("no voxel has a sigma that is a positive number at every energy")
        if not known.all():
            per_voxel = np.where(known, per_voxel, np.float32(np.nan))
        noise = 1 / np.sqrt((1 / per_voxel[:, known].astype(np.float64) ** 2).mean(axis=1))
    elif noise.ndim == 1:
        noise = noise[order]
    typical = np.broadcast_to(noise, energy.shape).astype(np.float64)
    wrong = np.flatnonzero(~((typical > 0) & np.isfinite(typical)))
    if wrong.size:
        raise ValueError(f"sigma {typical[wrong[0]]} at {energy[wrong[0]]:g} eV is not a positive number")
    return energy, values, typical, per_voxel


def _checked_mask(mask: NDArray[np.bool_] | None, count: int) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    wanted = np.asarray(mask)
    if np.ma.is_masked(mask):
        raise ValueError("masked values in mask; fill them with False")
    if wanted.dtype != bool:
        raise ValueError(f"mask has type {wanted.dtype}; bool is needed")
    if wanted.shape != (count,):
        raise ValueError(f"mask has shape {wanted.shape}; the spectra hold {count} voxels")
    return wanted


def _positions(planned: FloatArray, measured: FloatArray) -> NDArray[np.intp]:
    """Indices of measured energies in those of the basis."""
    at = np.clip(np.searchsorted(planned, measured), 0, planned.size - 1)
    at = np.where((at > 0) & (np.abs(planned[at - 1] - measured) < np.abs(planned[at] - measured)), at - 1, at)
    off = np.abs(planned[at] - measured)
    if (off > 1e-3).any():
        i = int(np.argmax(off))
        raise ValueError(f"energy {measured[i]:g} eV is not among those of the basis; nearest {planned[at[i]]:g}")
    return at
