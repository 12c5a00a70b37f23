"""Resampling of image rows and columns by a cubic kernel that widens with the step, as narrow tables of weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from analysis.numbers import real_array, whole_number


@dataclass(frozen=True, slots=True)
class Taps:
    """Weights of a resampled axis: output k is ``sum_t weights[k, t] * input[first[k] + t]``.

    Attributes
    ----------
    first : int64 (output,)
    weights : float32 (output, tap); they add up to one
    inside : bool (output,); the position lies on the input axis
    """

    first: NDArray[np.int64]
    weights: NDArray[np.float32]
    inside: NDArray[np.bool_]

    @property
    def noise_gain(self) -> float:
        """Root mean square, over outputs on the axis, of the noise per unit of white input noise."""
        power = np.sum(self.weights.astype(np.float64) ** 2, axis=1)
        return float(np.sqrt(np.mean(power[self.inside]))) if self.inside.any() else math.nan


def cubic_taps(positions: ArrayLike, length: int, *, step: float = 1.0) -> Taps:
    """Taps of the cubic convolution kernel (a = -1/2), stretched to the output step where that is above one sample.

    Parameters
    ----------
    positions : positions on the input axis, in samples; sample 0 is the centre of the first one
    length : samples of the input axis; beyond its ends the outermost sample is repeated
    step : distance of neighbouring outputs, in samples; above 1 the kernel averages instead of skipping samples

    Raises
    ------
    ValueError
        for positions that are not finite, a length below 1, or a step that is not above 0

    Source: R. Keys, IEEE Trans. Acoust. Speech Signal Process. 29, 1153 (1981), doi:10.1109/TASSP.1981.1163711.
    """
    where, length = real_array("positions", positions, np.float64), whole_number("length", length)
    if where.ndim != 1:
        raise ValueError(f"positions have shape {where.shape}; one dimension is needed")
    if not np.isfinite(where).all():
        raise ValueError(f"position {where[~np.isfinite(where)][0]} is not finite")
    if not (math.isfinite(step) and step > 0):
        raise ValueError(f"step {step} is not above 0")
    width = max(1.0, float(step))
    taps = 2 * math.ceil(2 * width)
    first = np.floor(where).astype(np.int64) - taps // 2 + 1
    distance = np.abs((first[:, None] + np.arange(taps)) - where[:, None]) / width
    near = (1.5 * distance - 2.5) * distance**2 + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    weights = np.where(distance <= 1.0, near, np.where(distance < 2.0, far, 0.0))
    weights /= weights.sum(axis=1, keepdims=True)
    inside = (where >= -0.5 - 1e-9) & (where <= length - 0.5 + 1e-9)
    return _fold_ends(first, weights, inside, length)


def _fold_ends(first: NDArray[np.int64], weights: NDArray[np.float64], inside: NDArray[np.bool_], length: int) -> Taps:
    """Move weights that fall beyond the axis onto its outermost samples."""
    taps = min(weights.shape[1], length)
    start = np.clip(first, 0, length - taps)
    target = np.clip(first[:, None] + np.arange(weights.shape[1]), 0, length - 1) - start[:, None]
    folded = np.zeros((len(first), taps))
    np.add.at(folded, (np.arange(len(first))[:, None], np.clip(target, 0, taps - 1)), weights)
    return Taps(first=start, weights=folded.astype(np.float32), inside=inside)


@njit(nogil=True, cache=True, error_model="numpy")
def resample_rows(image: Any, first: Any, weights: Any, out: Any) -> None:
    """out[k, :] = sum_t weights[k, t] image[first[k] + t, :], for float32 images."""
    for k in range(out.shape[0]):
        out[k, :] = np.float32(0)
        for t in range(weights.shape[1]):
            weight = weights[k, t]
            if weight != np.float32(0):
                for x in range(out.shape[1]):
                    out[k, x] += weight * image[first[k] + t, x]


@njit(nogil=True, cache=True, error_model="numpy")
def resample_columns(image: Any, first: Any, weights: Any, out: Any) -> None:
    """out[:, k] = sum_t weights[k, t] image[:, first[k] + t], for float32 images."""
    for y in range(out.shape[0]):
        for k in range(out.shape[1]):
            total = np.float32(0)
            for t in range(weights.shape[1]):
                total += weights[k, t] * image[y, first[k] + t]
            out[y, k] = total
