"""Displacement along the row between two projections whose rows correspond, as in opposite views of a turned object."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RowShift:
    """Displacement along the row: ``moving(row, column) = reference(row, column - dx)``.

    Attributes
    ----------
    dx, sigma : pixels
    quality : correlation in the pass band, 0..1
    trusted, reason : as in `analysis.registration.Shift`
    """

    dx: float
    sigma: float
    quality: float
    trusted: bool
    reason: str


def find_row_shift(
    reference: NDArray[Any], moving: NDArray[Any], *, fine: float = 1.5, coarse: float = 16.0, least: float = 0.3
) -> RowShift:
    """Shift (row, column) images along the row; the band-passed correlations of all rows are added.

    Parameters
    ----------
    fine, coarse : pixels; the pass band is Gaussian smoothing of the first less that of the second
    least : correlation below which the shift is not trusted
    """
    columns = reference.shape[1]
    whole, found = 0, (math.nan, math.inf, 0.0)
    for passes in range(4):
        a, b = _overlap(reference, moving, whole)
        reach = columns // 2 if passes == 0 else 8
        found = _peak(a, b, fine, coarse, min(reach, a.shape[1] // 2))
        if not math.isfinite(found[0]):
            return RowShift(math.nan, math.nan, 0.0, False, "the views have no structure in the pass band")
        step = round(found[0])
        dx = whole + found[0]
        if step == 0 or columns - abs(whole + step) < columns // 4:
            break
        whole += step
    reason = "" if found[2] >= least else f"opposite views correlate by {found[2]:.2f}, below {least}"
    return RowShift(dx, found[1], found[2], not reason, reason)


def _overlap(reference: NDArray[Any], moving: NDArray[Any], shift: int) -> tuple[NDArray[Any], NDArray[Any]]:
    columns = reference.shape[1]
    first = reference[:, max(-shift, 0) : columns - max(shift, 0)]
    second = moving[:, max(shift, 0) : columns - max(-shift, 0)]
    return first, second


def _peak(
    reference: NDArray[Any], moving: NDArray[Any], fine: float, coarse: float, reach: int
) -> tuple[float, float, float]:
    """Sub-pixel maximum within reach, its sigma, and the correlation there."""
    columns = reference.shape[1]
    length = scipy.fft.next_fast_len(columns + reach, real=True)
    edge = max(columns // 8, 1)
    window = np.ones(columns)
    window[:edge] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    window[-edge:] = window[:edge][::-1]
    frequency = scipy.fft.rfftfreq(length)
    q = 2.0 * (np.pi * frequency) ** 2
    weights = np.exp(-q * fine**2) * (1.0 - np.exp(-q * coarse**2)) ** 2
    spectra = []
    for image in (reference, moving):
        rows = image - image.mean(axis=1, keepdims=True)
        spectra.append(scipy.fft.rfft(rows * window, n=length, axis=1))
    products = spectra[1] * np.conj(spectra[0]) * weights
    powers = [2.0 * float(np.sum(np.abs(s) ** 2 * weights)) for s in spectra]
    if min(powers) <= 0:
        return math.nan, math.inf, 0.0
    cross = products.sum(axis=0)
    correlation = scipy.fft.irfft(cross, n=length)
    lags = np.concatenate([np.arange(reach + 1), np.arange(-reach, 0)])
    lag = float(lags[int(np.argmax(correlation[lags]))])
    omega = 2.0 * np.pi * frequency
    start = lag
    for _ in range(6):
        turned = cross * np.exp(1j * omega * lag)
        curvature = float(np.sum(omega**2 * turned.real))
        if curvature <= 0:
            return start, math.inf, 0.0
        step = -float(np.sum(omega * turned.imag)) / curvature
        lag += min(max(step, -0.5), 0.5)
        if abs(step) < 1e-4:
            break
    out_of_phase = (products * np.exp(1j * omega * lag)).imag
    score = np.sum(omega * out_of_phase, axis=1)
    sigma = math.sqrt(float(np.sum(score**2))) / curvature
    single = math.sqrt(float(np.sum((omega * out_of_phase) ** 2))) / curvature
    inflation = math.sqrt(columns * float(np.sum(window**4))) / float(np.sum(window**2)) * math.sqrt(length / columns)
    height = 2.0 * float(np.sum(turned.real))
    return lag, max(sigma, single * inflation), min(max(height / math.sqrt(powers[0] * powers[1]), 0.0), 1.0)
