"""An object with closed forms: a cloud of Gaussian blobs, its volume and its projections at any magnification."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


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


@pytest.fixture(scope="session")
def measured_data() -> Path:
    """Folder of measured data: EDGEWISE_DATA, or ../shared/data beside the repository."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("EDGEWISE_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no measured data: EDGEWISE_DATA is not set and {beside} does not exist")
    return folder
