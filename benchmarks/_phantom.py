"""The head phantom of ten ellipses, its exact projections and its exact pixel averages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# attenuation, half axes, centre (in half widths), turn (degree): L. A. Shepp and B. F. Logan, IEEE Trans. Nucl.
# Sci. 21, 21 (1974), doi:10.1109/TNS.1974.6499235, with the higher contrast that is usual today
ELLIPSES = (
    (1.00, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.80, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.20, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.20, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.10, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.10, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.10, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.10, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.10, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.10, 0.023, 0.046, 0.06, -0.605, 0.0),
)


def slice_image(size: int, *, fine: int = 8) -> NDArray[np.float32]:
    """Attenuation per pixel (y, x), averaged over `fine` x `fine` points of each; y grows with the row."""
    place = ((np.arange(size * fine) + 0.5) / fine - size / 2) * 2 / size
    out = np.zeros((size, size))
    for value, a, b, x0, y0, turn in ELLIPSES:
        cosine, sine = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        x = place - x0
        for row in range(size):
            y = (place[row * fine : (row + 1) * fine] - y0)[:, None]
            inside = ((x * cosine + y * sine) / a) ** 2 + ((y * cosine - x * sine) / b) ** 2 <= 1
            out[row] += value * inside.reshape(fine, size, fine).mean(axis=(0, 2))
    return out.astype(np.float32)


def sinogram(size: int, angles: NDArray[np.float64], *, fine: int = 8) -> NDArray[np.float32]:
    """Line integrals (angle, column) in pixels, about the middle column, averaged over `fine` points of each pixel."""
    place = ((np.arange(size * fine) + 0.5) / fine - size / 2) * 2 / size
    radians = np.deg2rad(angles)
    out = np.zeros((len(angles), size * fine))
    for value, a, b, x0, y0, turn in ELLIPSES:
        own = radians - np.deg2rad(turn)
        width = (a * np.cos(own)) ** 2 + (b * np.sin(own)) ** 2
        from_centre = place - (x0 * np.cos(radians) + y0 * np.sin(radians))[:, None]
        chord = np.sqrt(np.maximum(width[:, None] - from_centre**2, 0.0))
        out += value * 2 * a * b * chord / width[:, None]
    return (out * size / 2).reshape(len(angles), size, fine).mean(axis=2).astype(np.float32)


def errors(image: NDArray[np.float32], truth: NDArray[np.float32]) -> tuple[float, float]:
    """Root mean square error within 0.95 of the radius, and there away from edges."""
    from scipy.ndimage import maximum_filter, minimum_filter

    size = len(truth)
    y, x = np.indices(truth.shape) - 0.5 * (size - 1)
    inside = x**2 + y**2 < (0.95 * size / 2) ** 2
    flat = inside & (maximum_filter(truth, 7) - minimum_filter(truth, 7) < 1e-6)
    difference = (image - truth).astype(np.float64)
    return float(np.sqrt(np.mean(difference[inside] ** 2))), float(np.sqrt(np.mean(difference[flat] ** 2)))
