"""What several tests of the analysis share: blobs with closed forms, synthetic voxel spectra, measured data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.bound import EdgeModel
from analysis.spectra import Normalisation


@dataclass(frozen=True)
class Blobs:
    """Gaussian blobs: positions x, y, z (um), standard deviation (um) and peak attenuation (1/um)."""

    position: NDArray[np.float64]
    radius: NDArray[np.float64]
    peak: NDArray[np.float64]

    def projections(self, angles, shape, *, axis, pixel_size=1.0, shift=(0.0, 0.0)):
        """Optical density (angle, row, column); the object is displaced by `shift` pixels (dy, dx)."""
        rows = (np.arange(shape[0]) - 0.5 * (shape[0] - 1) - shift[0]) * pixel_size
        columns = (np.arange(shape[1]) - axis - shift[1]) * pixel_size
        out = np.zeros((len(angles), *shape))
        for (x, y, z), s, peak in zip(self.position, self.radius, self.peak, strict=True):
            theta = np.deg2rad(angles)
            u = columns - (x * np.cos(theta) + y * np.sin(theta))[:, None]
            across = peak * s * np.sqrt(2 * np.pi) * np.exp(-0.5 * (u / s) ** 2)
            out += across[:, None, :] * np.exp(-0.5 * ((rows - z) / s) ** 2)[None, :, None]
        return out

    def volume(self, shape, *, voxel_size=1.0):
        """Attenuation (z, y, x) on a grid about the axis and the middle row."""
        z, y, x = (((np.arange(n) - 0.5 * (n - 1)) * voxel_size) for n in shape)
        out = np.zeros(shape)
        for (bx, by, bz), s, peak in zip(self.position, self.radius, self.peak, strict=True):
            gauss = [np.exp(-0.5 * ((axis - b) / s) ** 2) for axis, b in ((z, bz), (y, by), (x, bx))]
            out += peak * gauss[0][:, None, None] * gauss[1][None, :, None] * gauss[2][None, None, :]
        return out


@pytest.fixture(scope="session")
def blobs() -> Blobs:
    """Twelve blobs within 20 um of the axis and 12 um of the middle row."""
    rng = np.random.default_rng(7)
    radius = rng.uniform(2.5, 4.0, 12)
    turn, away = rng.uniform(0, 2 * np.pi, 12), 20 * np.sqrt(rng.uniform(0, 1, 12))
    position = np.stack([away * np.cos(turn), away * np.sin(turn), rng.uniform(-12, 12, 12)], axis=1)
    return Blobs(position=position, radius=radius, peak=rng.uniform(0.02, 0.05, 12))


@dataclass(frozen=True)
class Voxels:
    """Noisy spectra [E, N] of voxels with known edges: the standard set of 60 energies at Ni K.

    `truth` is the half height of the noise-free normalised shape; `defined` that of the noise-free spectrum
    normalised by the windows, on a fine grid: what a perfect measurement with these windows would give.
    """

    energies: NDArray[np.float64]
    spectra: NDArray[np.float32]
    sigma: NDArray[np.float64]
    truth: NDArray[np.float64]
    defined: NDArray[np.float64]
    jump: NDArray[np.float64]
    normalisation: Normalisation


def standard_energies() -> NDArray[np.float64]:
    """Ten energies before the edge, 35 at 1 eV across it, 15 behind it."""
    return np.concatenate([np.linspace(8250, 8320, 10), np.arange(8330, 8365, 1.0), np.linspace(8370, 8500, 15)])


@pytest.fixture(scope="session")
def voxels() -> Callable[..., Voxels]:
    """Make voxels: ``voxels(count, photons=..., noise=..., mixture=..., energies=..., seed=...)``.

    `photons` per pixel and energy give Poisson noise of the optical density; `noise` is Gaussian, over the mean jump.
    A mixture has two end members and any fraction between; without, one shape is shifted by 0 to 4 eV.
    """
    windows = Normalisation(pre=(8250, 8320), post=(8370, 8500), e0=8343)

    def make(
        count: int,
        *,
        photons: float = 0.0,
        noise: float = 0.0,
        mixture: bool = False,
        energies: NDArray[np.float64] | None = None,
        seed: int = 1,
    ) -> Voxels:
        rng = np.random.default_rng(seed)
        u, v, w, x, y = rng.random((5, count))
        jump, baseline, slope = 0.3 + 0.5 * u, 0.3 + 0.4 * v, -(3e-4 + 2e-4 * w)
        line = {"baseline": baseline, "slope": slope}
        if mixture:
            low = EdgeModel(8340.3, jump * (1 - x), white_line=0.60, **line)
            high = EdgeModel(8343.7, jump * x, white_line=0.72, white_line_sigma=3.0, baseline=0.0 * u, slope=0.0)
            parts = [low, high]
        else:
            parts = [EdgeModel(8340 + 4 * x, jump, white_line=0.55 + 0.2 * y, **line)]

        def clean(at: NDArray[np.float64]) -> NDArray[np.float64]:
            return sum(part.mu(at) for part in parts)

        e = standard_energies() if energies is None else energies
        mu = clean(e)
        if photons:
            spectra = -np.log(np.maximum(rng.poisson(photons * np.exp(-mu)), 1) / photons)
            sigma = np.sqrt(np.exp(mu).mean(axis=1) / photons)
        else:
            sigma = np.full(e.size, max(noise * 0.55, 1e-6))
            spectra = mu + noise * 0.55 * rng.standard_normal(mu.shape)
        fine = np.arange(8334.0, 8350.0, 0.1)
        shape = (clean(fine) - baseline - slope * (fine[:, None] - 8333)) / jump
        grid = np.concatenate([np.linspace(8250, 8320, 10), fine, np.linspace(8370, 8500, 15)])
        return Voxels(
            energies=e,
            spectra=spectra.astype(np.float32),
            sigma=sigma,
            truth=_first_half(fine, shape),
            defined=_first_half(fine, normalised(grid, clean(grid), windows)[10:-15]),
            jump=jump,
            normalisation=windows,
        )

    return make


def normalised(energies: NDArray[np.float64], mu: NDArray[np.float64], windows: Normalisation) -> NDArray[np.float64]:
    """Spectra [E, N] less their pre-edge line over their jump, by plain line fits."""
    lines = []
    for low, high in (windows.pre, windows.post):
        inside = (energies >= low) & (energies <= high)
        lines.append(np.polyfit(energies[inside] - windows.e0, mu[inside], 1))
    (slope, offset), (_, above) = lines
    return (mu - offset - slope * (energies[:, None] - windows.e0)) / (above - offset)


def _first_half(energies: NDArray[np.float64], shape: NDArray[np.float64]) -> NDArray[np.float64]:
    k = (shape >= 0.5).argmax(axis=0)
    n = np.arange(shape.shape[1])
    low, high = shape[k - 1, n], shape[k, n]
    return energies[k - 1] + (0.5 - low) / (high - low) * (energies[k] - energies[k - 1])
