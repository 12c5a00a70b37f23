"""Valence by depth from the mean spectrum of each shell: far better known than the mean of its voxels' valences.

Three things limit it, and all three are in the uncertainty: noise (enlarged where the spectra scatter more about the
references than their noise explains), the calibration, and the choice of the lines below and above the edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.edge import Code, Edge, half_height
from analysis.spectra import Normalisation, Spectrum
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
    energies: Array,
    spectra: Array,
    sigma: Array,
    normalisation: Normalisation,
    calibration: Calibration,
    references: References,
    *,
    depth_edges: Array,
    depth: Array,
    voxels: NDArray[np.int64],
) -> DepthProfile:
    """Read edge and valence of each shell's mean spectrum.

    Parameters
    ----------
    energies : (E,), eV, in any order
    spectra, sigma : (S, E), 1/µm
        Mean spectrum of each shell and the standard deviation of this mean from noise.
    normalisation, calibration, references
        As for the voxels.
    depth_edges, depth, voxels
        As of `DepthProfile`.
    """
    order = np.argsort(energies)
    energies, spectra, sigma = energies[order], spectra[:, order], sigma[:, order]
    scatter = excess_scatter(energies, spectra, sigma, references)
    edges = _read(energies, spectra, sigma * scatter[:, None], voxels, normalisation)
    estimate = calibration.valence(_column(edges, "energy"), _column(edges, "sigma"))
    valence = np.asarray(estimate.valence, dtype=np.float64)
    systematic = _line_systematic(energies, spectra, sigma, voxels, normalisation, references, valence)
    return DepthProfile(
        depth_edges=depth_edges,
        depth=depth,
        voxels=voxels,
        valence=valence,
        valence_sigma=np.hypot(estimate.sigma, systematic),
        valence_systematic=systematic,
        edge=_column(edges, "energy"),
        edge_sigma=_column(edges, "sigma"),
        jump=_column(edges, "jump"),
        jump_sigma=_column(edges, "jump_sigma"),
        scatter=scatter,
        code=np.array([Code.NOT_MEASURED if edge is None else edge.code for edge in edges], dtype=np.uint8),
        energies=energies,
        spectra=spectra,
        spectra_sigma=sigma,
    )


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
    energies: Array, spectra: Array, sigma: Array, voxels: NDArray[np.int64], normalisation: Normalisation
) -> list[Edge | None]:
    return [
        half_height(energies, values, normalisation, sigma=noise) if count else None
        for values, noise, count in zip(spectra, sigma, voxels, strict=True)
    ]


def _column(edges: list[Edge | None], name: str) -> Array:
    return np.array([np.nan if edge is None else getattr(edge, name) for edge in edges], dtype=np.float64)


def _line_systematic(
    energies: Array,
    spectra: Array,
    sigma: Array,
    voxels: NDArray[np.int64],
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
        edges = _read(energies, spectra, sigma, voxels, other)
        found.append(np.asarray(calibration.valence(_column(edges, "energy"), _column(edges, "sigma")).valence))
    stack = np.where(np.isfinite(found), found, valence)
    return 0.5 * np.asarray(stack.max(axis=0) - stack.min(axis=0))
