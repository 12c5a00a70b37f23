"""Valence by depth from the mean spectrum of each shell: far better known than the mean of its voxels' valences."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.edge import Code, half_height
from analysis.spectra import Normalisation
from analysis.valence_curve import Calibration

__all__ = ["DepthProfile", "depth_profile"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DepthProfile:
    """Edge and valence of S shells, from the surface inwards; NaN where a shell has no edge, with its code.

    Attributes
    ----------
    depth_edges : float64 (S + 1,), µm below the surface
    depth : float64 (S,), mean depth of the voxels, µm
    voxels : int64 (S,)
    valence, valence_sigma : float64 (S,)
    edge, edge_sigma : float64 (S,), eV
    jump, jump_sigma : float64 (S,), 1/µm
    code : uint8 (S,), of `analysis.edge.Code`
    energies : float64 (E,), eV, increasing
    spectra, spectra_sigma : float64 (S, E), 1/µm
    """

    depth_edges: Array
    depth: Array
    voxels: NDArray[np.int64]
    valence: Array
    valence_sigma: Array
    edge: Array
    edge_sigma: Array
    jump: Array
    jump_sigma: Array
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
        Mean spectrum of each shell and the standard deviation of this mean.
    normalisation, calibration
        As for the voxels.
    depth_edges, depth, voxels
        As of `DepthProfile`.
    """
    order = np.argsort(energies)
    energies, spectra, sigma = energies[order], spectra[:, order], sigma[:, order]
    edges = [
        half_height(energies, values, normalisation, sigma=noise) if count else None
        for values, noise, count in zip(spectra, sigma, voxels, strict=True)
    ]

    def column(name: str) -> Array:
        return np.array([np.nan if edge is None else getattr(edge, name) for edge in edges], dtype=np.float64)

    estimate = calibration.valence(column("energy"), column("sigma"))
    return DepthProfile(
        depth_edges=depth_edges,
        depth=depth,
        voxels=voxels,
        valence=np.asarray(estimate.valence, dtype=np.float64),
        valence_sigma=np.asarray(estimate.sigma, dtype=np.float64),
        edge=column("energy"),
        edge_sigma=column("sigma"),
        jump=column("jump"),
        jump_sigma=column("jump_sigma"),
        code=np.array([Code.NOT_MEASURED if edge is None else edge.code for edge in edges], dtype=np.uint8),
        energies=energies,
        spectra=spectra,
        spectra_sigma=sigma,
    )
