"""Uncertainty of a shift from the scatter of what the parts of the images say, wherever in them the noise is."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from analysis.windowing import taper, windowed

_BLOCK = 16.0  # smoothing lengths: further apart, noise in the pass band is independent
Image = NDArray[np.float32]


def local_scatter(pairs: Iterable[tuple[Image, Image]], shift: tuple[float, float], half: Image, fine: float) -> float:
    """Standard deviation (pixels) of the shift of pairs of images, root mean square of the directions.

    The gradient of the correlation is a sum over the images; that of its blocks scatters about nothing. This holds
    also where the noise differs over the image, as photon noise does, and for what changed in some places only.

    Parameters
    ----------
    pairs : images (reference, moving), cut so that they differ by less than a pixel or two
    shift : (row, column), pixels, where their correlation is highest
    half : square root of the weight of each frequency of their real transform
    fine : pixels, standard deviation of the smoothing
    """
    scores, curvature = None, np.zeros((2, 2))
    for reference, moving in pairs:
        first, second = _aligned(reference, moving, shift, half)
        rows, columns = np.gradient(first), np.gradient(second)
        here = [_blocks(0.5 * (first * b - second * a), fine) for a, b in zip(rows, columns, strict=True)]
        curvature += [[float(np.sum(a * b)) for b in columns] for a in rows]
        scores = np.asarray(here) if scores is None else scores + here
    if scores is None or not np.linalg.det(curvature) > 0:
        return math.inf
    inverse = np.linalg.inv(0.5 * (curvature + curvature.T))
    return math.sqrt(0.5 * float(np.trace(inverse @ (scores @ scores.T) @ inverse)))


def _aligned(reference: Image, moving: Image, shift: tuple[float, float], half: Image) -> tuple[Image, Image]:
    """Both images in the pass band, the moving one shifted back."""
    rows, columns = reference.shape
    a = windowed(reference, (taper(rows, 0.0), taper(columns, 0.0)))
    b = windowed(moving, (taper(rows, shift[0]), taper(columns, shift[1])))
    a *= half
    b *= half
    b *= np.exp(2j * np.pi * scipy.fft.fftfreq(rows) * shift[0]).astype(np.complex64)[:, None]
    b *= np.exp(2j * np.pi * scipy.fft.rfftfreq(columns) * shift[1]).astype(np.complex64)
    first, second = (scipy.fft.irfft2(spectrum, s=reference.shape) for spectrum in (a, b))
    return first, second


def _blocks(values: Image, fine: float) -> NDArray[np.float64]:
    """Sums over square blocks; those at the far borders may be smaller."""
    size = round(_BLOCK * fine)
    sums = np.add.reduceat(values, np.arange(0, values.shape[0], size), axis=0, dtype=np.float64)
    return np.add.reduceat(sums, np.arange(0, values.shape[1], size), axis=1).ravel()
