"""Displacement along the row between two projections whose rows correspond, as in opposite views of a turned object."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

_PASSES = 6
_PAD = 8


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
    reference: NDArray[Any],
    moving: NDArray[Any],
    *,
    fine: float = 1.5,
    coarse: float = 16.0,
    least: float = 0.5,
) -> RowShift:
    """Shift between (row, column) images along the row; the band-passed correlations of all rows are added.

    Parameters
    ----------
    fine, coarse : pixels; the pass band is Gaussian smoothing of the first less that of the second
    least : correlation below which the shift is not trusted
    """
    columns = reference.shape[1]
    dx, sigma, quality = 0.0, math.inf, 0.0
    for number in range(_PASSES):
        whole = round(dx)
        if columns - abs(whole) < columns // 4:
            return RowShift(dx, sigma, quality, False, f"the views overlap by less than a quarter at {dx:.1f} px")
        a, b = _overlap(reference, moving, whole)
        cross = _CrossRows.of(a, b, dx - whole, fine, coarse)
        if cross is None:
            return RowShift(math.nan, math.nan, 0.0, False, "the views have no structure in the pass band")
        start = cross.highest() if number == 0 else dx - whole
        rest, sigma, quality = cross.refined(start)
        change = abs(whole + rest - dx)
        dx = whole + rest
        if change < max(0.005, 0.2 * sigma):
            break
    reason = "" if quality >= least else f"the views correlate by {quality:.2f}, below {least}"
    if not math.isfinite(sigma):
        reason = "the correlation has no maximum"
    return RowShift(dx, sigma, quality, not reason, reason)


@dataclass(frozen=True, slots=True)
class _CrossRows:
    """Weighted cross-spectrum of each row."""

    values: NDArray[np.complex128]
    length: int
    power: float
    inflation: float

    @staticmethod
    def of(reference: NDArray[Any], moving: NDArray[Any], rest: float, fine: float, coarse: float) -> _CrossRows | None:
        """Cross-spectra within windows that lie `rest` apart; None where one side has nothing in the pass band."""
        columns = reference.shape[1]
        length = scipy.fft.next_fast_len(columns + columns // 2 + _PAD, real=True)
        q = 2.0 * (np.pi * scipy.fft.rfftfreq(length)) ** 2
        weights = np.exp(-q * fine**2) * (1.0 - np.exp(-q * coarse**2)) ** 2
        window = _taper(columns, 0.0)
        spectra = [
            _windowed(image, taper, length) for image, taper in ((reference, window), (moving, _taper(columns, rest)))
        ]
        powers = [2.0 * float(np.sum(np.abs(s) ** 2 * weights)) for s in spectra]
        if min(powers) <= 0:
            return None
        return _CrossRows(
            values=spectra[1] * np.conj(spectra[0]) * weights,
            length=length,
            power=math.sqrt(powers[0] * powers[1]),
            inflation=math.sqrt(length * float(np.sum(window**4))) / float(np.sum(window**2)),
        )

    def highest(self) -> float:
        """Whole-pixel maximum within half the width of the images."""
        reach = self.length // 3
        correlation = scipy.fft.irfft(self.values.sum(axis=0), n=self.length)
        lags = np.concatenate([np.arange(reach + 1), np.arange(-reach, 0)])
        return float(lags[int(np.argmax(correlation[lags]))])

    def refined(self, lag: float) -> tuple[float, float, float]:
        """Maximum of the correlation as a continuous function, its sigma (pixels), and the correlation there."""
        omega = 2.0 * np.pi * scipy.fft.rfftfreq(self.length)
        cross = self.values.sum(axis=0)
        start = lag
        for _ in range(8):
            turned = cross * np.exp(1j * omega * lag)
            curvature = float(np.sum(omega**2 * turned.real))
            if curvature <= 0:
                return start, math.inf, 0.0
            step = -float(np.sum(omega * turned.imag)) / curvature
            lag += min(max(step, -0.5), 0.5)
            if abs(step) < 1e-4:
                break
        out_of_phase = omega * (self.values * np.exp(1j * omega * lag)).imag
        by_row = math.sqrt(float(np.sum(np.sum(out_of_phase, axis=1) ** 2)))
        by_frequency = math.sqrt(float(np.sum(out_of_phase**2))) * self.inflation
        in_all_rows = math.sqrt(float(np.sum(np.sum(out_of_phase, axis=0) ** 2))) * self.inflation
        height = 2.0 * float(np.sum(turned.real))
        return lag, max(by_row, by_frequency, in_all_rows) / curvature, min(max(height / self.power, 0.0), 1.0)


def _overlap(reference: NDArray[Any], moving: NDArray[Any], shift: int) -> tuple[NDArray[Any], NDArray[Any]]:
    columns = reference.shape[1]
    first = reference[:, max(-shift, 0) : columns - max(shift, 0)]
    second = moving[:, max(shift, 0) : columns - max(-shift, 0)]
    return first, second


def _taper(length: int, shift: float) -> NDArray[np.float64]:
    """Cosine taper over a sixth of the length at each end, displaced by `shift` pixels."""
    place = np.arange(length) - shift
    inner = np.minimum(place, length - 1 - place)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(6.0 * inner / length, 0.0, 1.0)))


def _windowed(image: NDArray[Any], window: NDArray[np.float64], length: int) -> NDArray[np.complex128]:
    """Transform of each row within the window, less its level where the window falls off."""
    border = window * (1.0 - window)
    level = (image @ border) / border.sum()
    return np.asarray(scipy.fft.rfft((image - level[:, None]) * window, n=length, axis=1))
