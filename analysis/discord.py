"""Whether all that two images have in common moved alike, or something in them (dirt on the detector) moved otherwise.

A pattern that stays where it is while the object moves adds a second maximum to the correlation, or merges with the
first and pulls it. Merged, it shows in the shifts by size of structure: dirt and object differ in their mixture of
fine and coarse. Apart, it shows as a correlation that is not symmetrical about its maximum.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numba import njit
from numpy.typing import NDArray

from analysis.windowing import low_frequencies

_RINGS = 96
_SIZES = ((1.0, 2.0), (1.5, 3.0), (2.0, 4.0), (3.0, 6.0), (4.0, 8.0), (6.0, 12.0), (3.0, 24.0), (1.5, 12.0))


@dataclass(frozen=True, slots=True)
class Turned:
    """Cross-spectrum of two real images, turned back by a shift: in phase where everything moved by it.

    Frequencies above a quarter of a cycle per pixel, which hold little but noise, are left out.

    Attributes
    ----------
    values : complex64 (row, column)
    fy, fx : radians per pixel
    spacing : pixels (along rows, along columns) between the samples of its correlation
    inflation : standard deviation of a shift over that of independent frequencies, from the window of the images
    """

    values: NDArray[np.complex64]
    fy: NDArray[np.float32]
    fx: NDArray[np.float32]
    spacing: tuple[float, float]
    inflation: float

    @staticmethod
    def of(cross: NDArray[np.complex64], columns: int, shift: tuple[float, float], inflation: float) -> Turned:
        """Turn a cross-spectrum (row, column // 2 + 1) of images with so many columns by `shift` (row, column)."""
        low, fy, fx = low_frequencies(cross, columns)
        low *= np.exp(1j * fy * shift[0]).astype(np.complex64)[:, None]
        low *= np.exp(1j * fx * shift[1]).astype(np.complex64)
        return Turned(low, fy, fx, (len(cross) / len(fy), columns / (2 * len(fx) - 2)), inflation)


def discord_of_sizes(turned: Turned) -> float:
    """Largest difference between the shifts of structure of two sizes, in its standard deviations."""
    sums = _ring_sums(turned.values, turned.fy, turned.fx, _RINGS)
    middle = (np.arange(_RINGS) + 0.5) * (0.5 * math.pi / _RINGS)
    found = []
    for fine, coarse in _SIZES:
        weight = np.exp(-0.5 * (middle * fine) ** 2) * (1.0 - np.exp(-0.5 * (middle * coarse) ** 2)) ** 2
        y, x, yy, xx, yx = weight @ sums[:, :5]
        vyy, vxx, vyx = weight**2 @ sums[:, 5:]
        curvature = np.array([[yy, yx], [yx, xx]])
        if yy <= 0 or np.linalg.det(curvature) <= 0:
            continue
        inverse = np.linalg.inv(curvature)
        variance = turned.inflation**2 * np.array([[vyy, vyx], [vyx, vxx]])
        found.append((inverse @ np.array([y, x]), inverse @ variance @ inverse))
    largest = 0.0
    for (first, first_covariance), (second, second_covariance) in itertools.combinations(found, 2):
        apart, scatter = first - second, first_covariance + second_covariance
        if np.linalg.det(scatter) > 0:
            largest = max(largest, float(apart @ np.linalg.solve(scatter, apart)))
    return math.sqrt(largest)


@njit(nogil=True, cache=True, error_model="numpy")
def _ring_sums(turned: Any, fy: Any, fx: Any, rings: int) -> Any:
    """Sums over rings of equal frequency, up to a quarter of a cycle per pixel: gradient, curvature, its variance."""
    sums = np.zeros((rings, 8))
    per_ring = rings / (0.5 * np.pi)
    for i in range(len(fy)):
        for j in range(len(fx)):
            y, x = fy[i], fx[j]
            ring = int(np.sqrt(y * y + x * x) * per_ring)
            if ring < rings:
                in_phase, out = turned[i, j].real, turned[i, j].imag
                twice = 1.0 if j == 0 else 2.0
                row = sums[ring]
                row[0] -= twice * y * out
                row[1] -= twice * x * out
                row[2] += twice * y * y * in_phase
                row[3] += twice * x * x * in_phase
                row[4] += twice * y * x * in_phase
                square = 2.0 * twice * out * out  # opposite frequencies hold the same
                row[5] += square * y * y
                row[6] += square * x * x
                row[7] += square * y * x
    return sums


def asymmetry(turned: Turned, reach: float) -> float:
    """Largest difference between opposite points of a correlation about its maximum, in its standard deviations.

    Points more than `reach` pixels from the maximum are not compared.
    """
    out_of_phase = turned.values.imag
    rows, columns = len(turned.fy), 2 * (len(turned.fx) - 1)
    odd = scipy.fft.irfft2(1j * out_of_phase, s=(rows, columns)) * (rows * columns)
    scatter = math.sqrt(2.0 * float(np.sum(out_of_phase**2))) * turned.inflation
    if not scatter > 0:
        return 0.0
    y = scipy.fft.fftfreq(rows, 1.0 / rows) * turned.spacing[0]
    x = scipy.fft.fftfreq(columns, 1.0 / columns) * turned.spacing[1]
    return float(np.max(odd[y[:, None] ** 2 + x**2 <= reach**2])) / scatter
