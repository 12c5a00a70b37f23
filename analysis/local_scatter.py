"""Uncertainty of a shift from the scatter of what the parts of the images say, wherever in them the noise is."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from analysis.windowing import low_frequencies, taper, windowed

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
    size = _BLOCK * fine
    for reference, moving in pairs:
        first, second = _aligned(reference, moving, shift, half)
        along = first.shape[1] / reference.shape[0], first.shape[2] / reference.shape[1]
        here = [
            _blocks(0.5 * (first[0] * b - second[0] * a), along, size)
            for a, b in zip(first[1:], second[1:], strict=True)
        ]
        curvature += np.einsum("iyx,jyx->ij", first[1:], second[1:])
        scores = np.asarray(here) if scores is None else scores + here
    if scores is None or not np.linalg.det(curvature) > 0:
        return math.inf
    inverse = np.linalg.inv(0.5 * (curvature + curvature.T))
    return math.sqrt(0.5 * float(np.trace(inverse @ (scores @ scores.T) @ inverse)))


def _aligned(reference: Image, moving: Image, shift: tuple[float, float], half: Image) -> tuple[Image, Image]:
    """Both images in the pass band, the moving one shifted back, each with its slopes: (3, row, column).

    They are sampled at half the resolution, which holds all of the pass band that counts.
    """
    rows, columns = reference.shape
    weight, fy, fx = low_frequencies(half.astype(np.complex64), columns)
    out = []
    for image, (dy, dx) in ((reference, (0.0, 0.0)), (moving, shift)):
        low, _, _ = low_frequencies(windowed(image, (taper(rows, dy), taper(columns, dx))), columns)
        low *= weight
        low *= np.exp(1j * fy * dy).astype(np.complex64)[:, None]
        low *= np.exp(1j * fx * dx).astype(np.complex64)
        spectra = np.stack([low, 1j * fy[:, None] * low, 1j * fx * low])
        out.append(scipy.fft.irfft2(spectra, s=(len(fy), 2 * len(fx) - 2)))
    return out[0], out[1]


def _blocks(values: Image, along: tuple[float, float], size: float) -> NDArray[np.float64]:
    """Sums over square blocks of `size` pixels, for values sampled `along` times a pixel; the last may be smaller."""
    steps = [max(round(size * samples), 1) for samples in along]
    sums = np.add.reduceat(values, np.arange(0, values.shape[0], steps[0]), axis=0, dtype=np.float64)
    return np.add.reduceat(sums, np.arange(0, values.shape[1], steps[1]), axis=1).ravel()
