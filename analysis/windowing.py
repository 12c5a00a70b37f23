"""Images within a window that falls off towards their borders, transformed: nothing of the borders is left."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray


def taper(length: int, shift: float, *, part: float = 0.15) -> NDArray[np.float32]:
    """Cosine taper over `part` of the length at each end, displaced by `shift` pixels."""
    edge = max(length * part, 2.0)
    place = np.arange(length) - shift
    inner = np.minimum(place, length - 1 - place)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(inner / edge, 0.0, 1.0)), dtype=np.float32)


def windowed(
    image: NDArray[np.float32], window: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> NDArray[np.complex64]:
    """Transform of the image within the window (of rows, of columns), less its plane where the window falls off.

    No step is left there, and no slope of the illumination, which would stay while the object moves.
    """
    wy, wx = window
    y, x = _places(wy.size), _places(wx.size)
    level, along_y, along_x = _plane(image, window, (y, x))
    inside = image - (level + along_y * y)[:, None]
    inside -= along_x * x
    inside *= wy[:, None]
    inside *= wx
    return np.asarray(scipy.fft.rfft2(inside, overwrite_x=True), dtype=np.complex64)


def _places(length: int) -> NDArray[np.float32]:
    return np.linspace(-1.0, 1.0, length, dtype=np.float32)


def _plane(
    image: NDArray[np.float32], window: tuple[NDArray[np.float32], ...], places: tuple[NDArray[np.float32], ...]
) -> NDArray[np.float32]:
    """Level and slopes of the plane through an image where its window w is between 0 and 1, with weights w - w^2."""
    (wy, wx), (y, x) = window, places
    powers = ((0, 0), (1, 0), (0, 1))  # of y and of x
    right = image @ np.stack([wx, wx**2, wx * x, wx**2 * x], axis=1)

    def moment(py: int, px: int) -> float:
        one, two = (float((wy**k * y**py).sum()) * float((wx**k * x**px).sum()) for k in (1, 2))
        return one - two

    matrix = [[moment(a[0] + b[0], a[1] + b[1]) for b in powers] for a in powers]
    values = [float(wy * y**py @ right[:, 2 * px] - wy**2 * y**py @ right[:, 2 * px + 1]) for py, px in powers]
    return np.linalg.solve(matrix, values).astype(np.float32)


def low_frequencies(
    spectrum: NDArray[np.complex64], columns: int
) -> tuple[NDArray[np.complex64], NDArray[np.float32], NDArray[np.float32]]:
    """Part of a real transform (row, columns // 2 + 1) up to a quarter of a cycle per pixel, a transform itself.

    Returned with its frequencies along rows and columns, in radians per pixel.
    """
    rows = len(spectrum)
    high, wide = max(rows // 4, 2), max(columns // 4, 2)
    low = np.concatenate([spectrum[:high, : wide + 1], spectrum[-high:, : wide + 1]])
    fy = (2.0 * np.pi / rows * np.concatenate([np.arange(high), np.arange(-high, 0)])).astype(np.float32)
    fx = (2.0 * np.pi / columns * np.arange(wide + 1)).astype(np.float32)
    return low, fy, fx
