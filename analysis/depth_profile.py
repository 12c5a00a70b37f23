"""Valence by depth from the mean spectrum of each shell: far better known than the mean of its voxels' valences.

Three things limit it, and all three are in the uncertainty: noise (enlarged where the spectra scatter more about the
references than their noise explains), the calibration, and the choice of the lines below and above the edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.edge import Code, Edge, half_height
from analysis.numbers import real_array
from analysis.spectra import Normalisation, Spectrum, checked_energies
from analysis.valence import Calibration, CalibrationError, calibration_from_references

__all__ = ["DepthProfile", "depth_profile", "excess_scatter"]

Array = NDArray[np.float64]
References = Sequence[tuple[Spectrum, float]]


@dataclass(frozen=True, slots=True, eq=False)
class DepthProfile:
    """Edge and valence of S shells, from the surface inwards; NaN where a shell has no edge, with its code.

    Attributes
    ----------
    depth_edges : float64 (S + 1,), µm below the surface
    depth : float64 (S,), mean depth of the voxels, µm
    voxels : int64 (S,)
    valence, valence_sigma : float64 (S,), total standard deviation
    valence_systematic : float64 (S,), the part that the lines below and above the edge make; common to the shells
    edge, edge_sigma : float64 (S,), eV
    jump, jump_sigma : float64 (S,), 1/µm
    scatter : float64 (S,), scatter of the spectrum about the references over its noise, at least 1
    code : uint8 (S,), of `analysis.edge.Code`
    energies : float64 (E,), eV, increasing
    spectra, spectra_sigma : float64 (S, E), 1/µm
    """

    depth_edges: Array
    depth: Array
    voxels: NDArray[np.int64]
    valence: Array
    valence_sigma: Array
    valence_systematic: Array
    edge: Array
    edge_sigma: Array
    jump: Array
    jump_sigma: Array
    scatter: Array
    code: NDArray[np.uint8]
    energies: Array
    spectra: Array
    spectra_sigma: Array


def depth_profile(
    energies: ArrayLike,
    spectra: ArrayLike,
    sigma: ArrayLike,
    normalisation: Normalisation,
    calibration: Calibration,
    references: References,
    *,
    depth_edges: ArrayLike,
    depth: ArrayLike,
    voxels: ArrayLike,
) -> DepthProfile:
    """Read edge and valence of each shell's mean spectrum.

    Parameters
    ----------
    energies : (E,), eV, in any order
    spectra, sigma : (S, E), 1/µm
        Mean spectrum of each shell and the standard deviation of this mean from noise, as
        `analysis.shell_spectra.shell_spectra` gives them. A shell whose sigmas are not all positive is not measured.
    normalisation : windows and orders
    calibration, references
        References (spectrum, valence), and what `analysis.valence.calibration_from_references` makes of them on these
        energies with this normalisation.
    depth_edges : (S + 1,), µm
    depth, voxels : (S,)
        Mean depth (µm) and number of the voxels of each shell; one without voxels is not measured.

    Raises
    ------
    ValueError
        For shapes that do not fit, or energies that do not reach a window.
    """
    energy, mu, noise = _spectra(energies, spectra, sigma)
    borders, below, count = _shells(depth_edges, depth, voxels, len(mu))
    measured = (count > 0) & (np.isfinite(noise) & (noise > 0)).all(axis=1)
    scatter = excess_scatter(energy, mu, noise, references)
    edges = _read(energy, mu, noise * scatter[:, None], measured, normalisation)
    estimate = calibration.valence(_column(edges, "energy"), _column(edges, "sigma"))
    valence = np.asarray(estimate.valence, dtype=np.float64)
    systematic = _line_systematic(energy, mu, noise, measured, normalisation, references, valence)
    return DepthProfile(
        depth_edges=borders,
        depth=below,
        voxels=count,
        valence=valence,
        valence_sigma=np.hypot(estimate.sigma, systematic),
        valence_systematic=systematic,
        edge=_column(edges, "energy"),
        edge_sigma=_column(edges, "sigma"),
        jump=_column(edges, "jump"),
        jump_sigma=_column(edges, "jump_sigma"),
        scatter=scatter,
        code=np.array([Code.NOT_MEASURED if edge is None else edge.code for edge in edges], dtype=np.uint8),
        energies=energy,
        spectra=mu,
        spectra_sigma=noise,
    )


def _spectra(energies: ArrayLike, spectra: ArrayLike, sigma: ArrayLike) -> tuple[Array, Array, Array]:
    """Energies in order, with spectra and sigma (S, E) of that order."""
    energy = real_array("energies", energies, np.float64)
    mu, noise = real_array("spectra", spectra, np.float64), real_array("sigma", sigma, np.float64)
    if mu.ndim != 2 or mu.shape != noise.shape or energy.shape != mu.shape[1:]:
        raise ValueError(f"spectra {mu.shape}, sigma {noise.shape}, energies {energy.shape}: (S, E), (S, E), (E,)")
    order = np.argsort(energy, kind="stable")
    return checked_energies(energy[order]), mu[:, order], noise[:, order]


def _shells(
    depth_edges: ArrayLike, depth: ArrayLike, voxels: ArrayLike, shells: int
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Borders, mean depth and number of voxels of so many shells."""
    borders, below = real_array("depth_edges", depth_edges, np.float64), real_array("depth", depth, np.float64)
    count = real_array("voxels", voxels, np.int64)
    if borders.shape != (shells + 1,) or below.shape != (shells,) or count.shape != (shells,):
        raise ValueError(
            f"depth_edges {borders.shape}, depth {below.shape}, voxels {count.shape} are not those of {shells} shells"
        )
    return borders, below, count


def excess_scatter(energies: Array, spectra: Array, sigma: Array, references: References) -> Array:
    """Scatter of each spectrum about a mixture of the references on a quadratic background, over its noise.

    At least 1; 1 where the energies are too few to tell (Birge's ratio, doi:10.1103/PhysRev.40.207).

    Parameters
    ----------
    energies : (E,), eV
    spectra, sigma : (S, E)
    references : sequence of (Spectrum, valence)
    """
    x = (energies - energies.mean()) / max(float(np.ptp(energies)), 1.0)
    columns = [np.interp(energies, spectrum.energy, spectrum.mu) for spectrum, _ in references]
    design = np.stack([*columns, np.ones_like(x), x, x**2], axis=1)
    freedom = energies.size - int(np.linalg.matrix_rank(design))
    if freedom < 2:
        return np.ones(len(spectra))
    ratios = []
    for values, noise in zip(spectra, sigma, strict=True):
        if not (np.isfinite(values).all() and (noise > 0).all()):
            ratios.append(1.0)
            continue
        whitened = design / noise[:, None]
        solution = np.linalg.lstsq(whitened, values / noise, rcond=None)[0]
        chi2 = float(np.sum((whitened @ solution - values / noise) ** 2))
        ratios.append(max(1.0, np.sqrt(chi2 / freedom)))
    return np.array(ratios)


def _read(
    energies: Array, spectra: Array, sigma: Array, measured: NDArray[np.bool_], normalisation: Normalisation
) -> list[Edge | None]:
    return [
        half_height(energies, values, normalisation, sigma=noise) if known else None
        for values, noise, known in zip(spectra, sigma, measured, strict=True)
    ]


def _column(edges: list[Edge | None], name: str) -> Array:
    return np.array([np.nan if edge is None else getattr(edge, name) for edge in edges], dtype=np.float64)


def _line_systematic(
    energies: Array,
    spectra: Array,
    sigma: Array,
    measured: NDArray[np.bool_],
    normalisation: Normalisation,
    references: References,
    valence: Array,
) -> Array:
    """Half the range of valences that simpler lines would give: of one order less above the edge, or on both sides.

    One order less below the edge alone is no rival: it leaves the slope of the background to the line above.
    """
    used = normalisation.effective(energies)
    simpler = max(used.post_order - 1, 0)
    orders = {(used.pre_order, simpler), (max(used.pre_order - 1, 0), simpler)} - {(used.pre_order, used.post_order)}
    found = [valence]
    for pre_order, post_order in sorted(orders):
        other = replace(normalisation, pre_order=pre_order, post_order=post_order)
        try:
            calibration = calibration_from_references(references, energies, other)
        except CalibrationError:
            continue  # lines that do not even order the references tell nothing about the data
        edges = _read(energies, spectra, sigma, measured, other)
        found.append(np.asarray(calibration.valence(_column(edges, "energy"), _column(edges, "sigma")).valence))
    stack = np.where(np.isfinite(found), found, valence)
    return 0.5 * np.asarray(stack.max(axis=0) - stack.min(axis=0))
