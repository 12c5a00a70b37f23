"""The standard voxel spectra: 60 energies at Ni K, Poisson noise, edges 8340 to 8344 eV or a two-phase mixture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.bound import EdgeModel, cramer_rao, edge_bound
from analysis.spectra import Normalisation

WINDOWS = Normalisation(pre=(8250, 8320), post=(8370, 8500), e0=8343)
ENERGIES = np.concatenate([np.linspace(8250, 8320, 10), np.arange(8330, 8365, 1.0), np.linspace(8370, 8500, 15)])


@dataclass(frozen=True)
class Voxels:
    """Spectra [60, N] with `sigma` [60] and true half heights [N]; `bound` is the rms Cramér–Rao bound (eV)."""

    spectra: NDArray[np.float32]
    sigma: NDArray[np.float64]
    truth: NDArray[np.float64]
    bound: float


def voxels(count: int, photons: float, *, mixture: bool = False, seed: int = 1) -> Voxels:
    """Make `count` voxels with `photons` per pixel and energy."""
    rng = np.random.default_rng(seed)
    u, v, w, x, y = rng.random((5, count))
    jump, line = 0.3 + 0.5 * u, {"baseline": 0.3 + 0.4 * v, "slope": -(3e-4 + 2e-4 * w)}
    if mixture:
        low = EdgeModel(8340.3, jump * (1 - x), white_line=0.60, **line)
        high = EdgeModel(8343.7, jump * x, white_line=0.72, white_line_sigma=3.0, baseline=0.0 * u, slope=0.0)
        parts = [low, high]
    else:
        parts = [EdgeModel(8340 + 4 * x, jump, white_line=0.55 + 0.2 * y, **line)]
    spectra = np.empty((ENERGIES.size, count), np.float32)
    sigma = np.empty(ENERGIES.size)
    for row, energy in enumerate(ENERGIES):
        mu = sum(part.mu(np.array([energy]))[0] for part in parts)
        spectra[row] = -np.log(np.maximum(rng.poisson(photons * np.exp(-mu)), 1) / photons)
        sigma[row] = np.sqrt(np.exp(mu).mean() / photons)
    if mixture:
        return Voxels(spectra, sigma, _mixed_truth(x), _mixture_bound(photons, x, jump, line))
    return Voxels(spectra, sigma, parts[0].half_height(), _shift_bound(photons, x, y, jump, line))


def _mixed_truth(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half height by share of the second phase, from a fine table."""
    fine, nodes = np.arange(8335.0, 8350.0, 0.002), np.linspace(0, 1, 501)
    low = EdgeModel(8340.3, white_line=0.60).shape(fine)
    high = EdgeModel(8343.7, white_line=0.72, white_line_sigma=3.0).shape(fine)
    return np.interp(share, nodes, [fine[np.argmax(low + s * (high - low) >= 0.5)] for s in nodes])


def _shift_bound(
    photons: float,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    jump: NDArray[np.float64],
    line: dict[str, NDArray[np.float64]],
) -> float:
    bounds = [
        edge_bound(
            EdgeModel(
                8340 + 4 * x[k],
                jump[k],
                white_line=0.55 + 0.2 * y[k],
                baseline=line["baseline"][k],
                slope=line["slope"][k],
            ),
            ENERGIES,
            lambda mu: np.sqrt(np.exp(mu) / photons),
        )
        for k in range(200)
    ]
    return float(np.sqrt(np.mean(np.square(bounds))))


def _mixture_bound(
    photons: float, share: NDArray[np.float64], jump: NDArray[np.float64], line: dict[str, NDArray[np.float64]]
) -> float:
    """Bound with exact references and free weights, offset and slope."""
    refs = np.stack(
        [
            EdgeModel(8340.3, white_line=0.60).shape(ENERGIES),
            EdgeModel(8343.7, white_line=0.72, white_line_sigma=3.0).shape(ENERGIES),
            np.ones(ENERGIES.size),
            (ENERGIES - 8333) / 100,
        ]
    )
    bounds = []
    for k in np.flatnonzero((share[:300] > 0.01) & (share[:300] < 0.99)):
        weights = np.array([jump[k] * (1 - share[k]), jump[k] * share[k], line["baseline"][k], 100 * line["slope"][k]])
        sigma = np.sqrt(np.exp(weights @ refs) / photons)
        slope = float(np.diff(_mixed_truth(share[k] + np.array([-0.01, 0.01])))[0] / 0.02)
        gradient = slope * np.array([-share[k], 1 - share[k], 0.0, 0.0]) / jump[k]
        bounds.append(cramer_rao(refs, sigma, gradient))
    return float(np.sqrt(np.mean(np.square(bounds))))
