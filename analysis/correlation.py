"""Where the band-passed cross-correlation of two images, or of a stack of pairs of them, is highest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from analysis.discord import Turned, asymmetry, discord_of_sizes
from analysis.local_scatter import local_scatter
from analysis.windowing import taper, windowed

Image = NDArray[np.float32]
Pair = tuple[Image, Image]

_COARSE = 128
_PASSES = 4
_SETTLED = 0.11  # pixels of the window: what it holds back is linear over that
_LEAST_MOVE = 0.1  # pixels of the window, to see what it holds back
_MOVED = 1e-3  # pixels; over less, rounding is all that is seen
_MOST_HELD = 0.95
_FURTHEST = 4.0  # pixels of the window at a time: over more, what it holds back is not linear
_ROUNDING = 1e-7  # of the largest value: less is no structure


@dataclass(frozen=True, slots=True)
class Band:
    """Pass band of the correlation: Gaussian smoothing of `fine` pixels (standard deviation) less that of `coarse`."""

    fine: float = 1.5
    coarse: float = 12.0

    def weights(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Weight of each frequency of a real transform; zero frequency has none."""
        fy, fx = scipy.fft.fftfreq(shape[0]), scipy.fft.rfftfreq(shape[1])

        def smoothing(width: float) -> NDArray[np.float32]:
            along = [np.exp(-2.0 * (np.pi * f * width) ** 2).astype(np.float32) for f in (fy, fx)]
            return np.asarray(along[0][:, None] * along[1])

        coarse = smoothing(self.coarse)
        np.subtract(np.float32(1), coarse, out=coarse)
        np.square(coarse, out=coarse)
        return np.multiply(coarse, smoothing(self.fine), out=coarse)


@dataclass(frozen=True, slots=True)
class Peak:
    """Maximum of a correlation.

    Attributes
    ----------
    dy, dx, sigma : pixels; `sigma` in the worse direction, from the part of the cross-spectrum that is out of phase,
        or, where that is more, from what parts of the images say: noise is strongest where the object is thick
    coherence : correlation in the pass band at the maximum, at most 1
    significance : its height in standard deviations of what random phases would give, with the frequencies
        weighted by their strength or alike, whichever tells more
    rival : height of the next maximum over that of the first
    roundness : curvature of the maximum in its flattest direction over that in its sharpest, 0..1
    discord : standard deviations between the shifts of structure of two sizes, at most
    asymmetry : standard deviations between opposite points about the maximum, at most
    """

    dy: float
    dx: float
    sigma: float
    coherence: float
    significance: float
    rival: float
    roundness: float
    discord: float = 0.0
    asymmetry: float = 0.0


NO_PEAK = Peak(math.nan, math.nan, math.nan, 0.0, 0.0, 0.0, 0.0)


def locate(pairs: list[Pair], bands: tuple[Band, ...], reach: float) -> Peak:
    """Shift of the moving images (second of each pair) against the reference, up to `reach` pixels.

    The last step is done in each of the `bands`, and the most certain result is taken.

    Coarse to fine. At full resolution only the overlap is correlated, and the window of the moving images goes with
    the shift found so far, for it holds the peak back: little where the structure is fine, much where the object
    is broad and fills the field. How much is seen from two positions of the window, and allowed for.
    """
    start = _start(pairs, bands[0], reach)
    if start is None:
        return NO_PEAK
    rival = start.rival
    shift = last_shift = np.array([start.dy, start.dx])
    furthest = 0.5 * np.array(pairs[0][0].shape)
    held = last_step = np.zeros(2)
    for number in range(_PASSES):
        whole = (round(shift[0]), round(shift[1]))
        rest = (shift[0] - whole[0], shift[1] - whole[1])
        spectra = _Spectra.of([_overlap(a, b, whole) for a, b in pairs], rest)
        in_band = spectra.within(bands[0])
        if in_band is None:
            return NO_PEAK
        cross = in_band
        if number == 0 and start.within > 0:
            first_y, first_x, next_highest = cross.highest(start.within)
            rest, rival = (first_y, first_x), next_highest if rival is None else rival
        peak = cross.refined(*rest)
        step = np.array([peak.dy, peak.dx]) + whole - shift
        if number == 0:
            to_go = np.copysign(np.maximum(np.abs(step), _LEAST_MOVE), step)
        else:
            moved = shift - last_shift
            slope = np.divide(step - last_step, moved, out=held - 1.0, where=np.abs(moved) > _MOVED)
            held = np.clip(1.0 + slope, 0.0, _MOST_HELD)
            to_go = np.clip(step / (1.0 - held), -_FURTHEST, _FURTHEST)
        last_shift, last_step = shift, step
        if number > 0 and np.max(np.abs(to_go)) < _SETTLED:
            break
        shift = np.clip(shift + to_go, -furthest, furthest)
    others = [other for other in map(spectra.within, bands[1:]) if other is not None]
    candidates = [(peak, cross), *((other.refined(peak.dy, peak.dx), other) for other in others)]
    peak, cross = min(candidates, key=lambda candidate: candidate[0].sigma)
    place = (peak.dy, peak.dx)
    dy, dx = last_shift + np.clip((np.array(place) + whole - last_shift) / (1.0 - held), -_FURTHEST, _FURTHEST)
    cut = (_overlap(a, b, whole) for a, b in pairs)
    scatter = local_scatter(cut, (dy - whole[0], dx - whole[1]), np.sqrt(cross.weights), cross.band.fine)
    return replace(
        peak,
        dy=float(dy),
        dx=float(dx),
        sigma=max(peak.sigma, scatter) / (1.0 - float(held.max())),
        rival=rival or 0.0,
        discord=discord_of_sizes(Turned.of(spectra.cross, spectra.shape[1], place, spectra.inflation)),
        asymmetry=asymmetry(Turned.of(cross.values, spectra.shape[1], place, spectra.inflation), reach),
    )


@dataclass(frozen=True, slots=True)
class _Start:
    """Where to look for the maximum at full resolution.

    Attributes
    ----------
    dy, dx : pixels
    within : pixels around it in which the highest point is to be found; 0 where the place is good enough
    rival : height of the next maximum over that of the first; None where that is not known yet
    """

    dy: float
    dx: float
    within: float
    rival: float | None


def _start(pairs: list[Pair], band: Band, reach: float) -> _Start | None:
    """Maximum at reduced resolution, for large images; None where there is no structure."""
    factor = max(1, min(pairs[0][0].shape) // _COARSE)
    if factor == 1:
        return _Start(0.0, 0.0, reach, None)
    binned = _Spectra.of([(_binned(a, factor), _binned(b, factor)) for a, b in pairs])
    coarse = binned.within(Band(1.0, max(2.0, band.coarse / factor)))
    if coarse is None:
        return None
    dy, dx, rival = coarse.highest(reach / factor + 1.0)
    found = coarse.refined(dy, dx)
    good = found.sigma * factor < band.fine / 3
    return _Start(found.dy * factor, found.dx * factor, 0.0 if good else 2.0 * factor, rival)


@dataclass(frozen=True, slots=True)
class _Spectra:
    """Cross-spectrum and power spectra of windowed images, summed over pairs."""

    cross: NDArray[np.complex64]
    powers: tuple[NDArray[np.float32], NDArray[np.float32]]
    shape: tuple[int, int]
    inflation: float
    rounding: float

    @staticmethod
    def of(pairs: list[Pair], rest: tuple[float, float] = (0.0, 0.0)) -> _Spectra:
        """Spectra of images within windows that lie `rest` apart."""
        rows, columns = pairs[0][0].shape
        window = taper(rows, 0.0), taper(columns, 0.0)
        moved = taper(rows, rest[0]), taper(columns, rest[1])
        cross = np.zeros((rows, columns // 2 + 1), dtype=np.complex64)
        power_a, power_b = (np.zeros(cross.shape, dtype=np.float32) for _ in range(2))
        for a, b in pairs:
            fa, fb = windowed(a, window), windowed(b, moved)
            cross += fb * np.conj(fa)
            power_a += fa.real**2 + fa.imag**2
            power_b += fb.real**2 + fb.imag**2
        largest = max(float(np.abs(image).max()) for pair in pairs for image in pair)
        rounding = len(pairs) * (rows * columns * _ROUNDING * largest) ** 2
        inflation = math.prod(math.sqrt(w.size * float(np.sum(w**4))) / float(np.sum(w**2)) for w in window)
        return _Spectra(cross, (power_a, power_b), (rows, columns), inflation, rounding)

    def within(self, band: Band) -> _Cross | None:
        """Weighted cross-spectrum; None where one side has nothing in the pass band."""
        weights = band.weights(self.shape)
        a, b = (2.0 * float(np.sum(power * weights)) for power in self.powers)
        if min(a, b) <= self.rounding:
            return None
        return _Cross(self.cross * weights, self.shape, band, weights, math.sqrt(a * b), self.inflation)


@dataclass(frozen=True, slots=True)
class _Cross:
    """Weighted cross-spectrum, with what is needed to judge its maximum."""

    values: NDArray[np.complex64]
    shape: tuple[int, int]
    band: Band
    weights: NDArray[np.float32]
    power: float
    inflation: float

    def highest(self, reach: float) -> tuple[float, float, float]:
        """Whole-pixel maximum within reach, and the next maximum relative to it."""
        rows, columns = self.shape
        correlation = scipy.fft.irfft2(self.values, s=self.shape)
        y = (np.arange(rows) + rows // 2) % rows - rows // 2
        x = (np.arange(columns) + columns // 2) % columns - columns // 2
        allowed = y[:, None] ** 2 + x[None] ** 2 <= max(reach, 1.0) ** 2
        within = np.where(allowed, correlation, -np.inf)
        row, column = np.unravel_index(int(np.argmax(within)), self.shape)
        height = float(correlation[row, column])
        apart = 3.0 * self.band.fine + 3.0
        far = _circular(y - y[row], rows)[:, None] ** 2 + _circular(x - x[column], columns)[None] ** 2 > apart**2
        others = _local_maxima(within, far & allowed)
        rival = float(others.max()) / height if others.size and height > 0 else 0.0
        return float(y[row]), float(x[column]), max(rival, 0.0)

    def refined(self, dy: float, dx: float) -> Peak:
        """Newton steps to the maximum of the correlation as a continuous function."""
        fy = (2.0 * np.pi * scipy.fft.fftfreq(self.shape[0])).astype(np.float32)
        fx = (2.0 * np.pi * scipy.fft.rfftfreq(self.shape[1])).astype(np.float32)
        twice = np.full(len(fx), 2.0, dtype=np.float32)
        twice[0] = 1.0
        if self.shape[1] % 2 == 0:
            twice[-1] = 1.0
        position = np.array([dy, dx])
        for _ in range(5):
            phase_y = np.exp(1j * fy * position[0]).astype(np.complex64)
            turned = self.values * phase_y[:, None] * (np.exp(1j * fx * position[1]).astype(np.complex64) * twice)[None]
            curvature = _second_moments(turned.real, fy, fx)
            if np.linalg.det(curvature) <= 0 or curvature[0, 0] <= 0:
                return Peak(dy, dx, math.inf, 0.0, 0.0, 0.0, 0.0)
            gradient = -np.array([fy @ turned.imag.sum(axis=1), turned.imag.sum(axis=0) @ fx])
            step = np.clip(np.linalg.solve(curvature, gradient), -0.5, 0.5)
            position += step
            if np.max(np.abs(step)) < 1e-3:
                break
        inverse = np.linalg.inv(curvature)
        covariance = inverse @ _second_moments(turned.imag**2, fy, fx) @ inverse
        height = float(turned.real.sum(dtype=np.float64))
        return Peak(
            dy=float(position[0]),
            dx=float(position[1]),
            sigma=math.sqrt(float(np.linalg.eigvalsh(covariance)[-1])) * self.inflation,
            coherence=min(max(height / self.power, 0.0), 1.0),
            significance=self._significance(turned, twice) / self.inflation,
            rival=0.0,
            roundness=float(np.divide(*np.linalg.eigvalsh(curvature))),
        )

    def _significance(self, turned: NDArray[np.complex64], twice: NDArray[np.float32]) -> float:
        """In-phase part of a cross-spectrum in standard deviations of random phases."""
        strength = np.abs(turned)
        random = 0.5 * float(np.sum(strength**2, dtype=np.float64))
        weighted = float(np.sum(turned.real, dtype=np.float64)) / math.sqrt(random)
        alike = self.weights * twice
        cosine = turned.real / np.maximum(strength, np.finfo(np.float32).tiny)
        unweighted = float(np.sum(alike * cosine)) / math.sqrt(0.5 * float(np.sum(alike**2)))
        return max(weighted, unweighted)


def _second_moments(values: NDArray[np.float32], fy: Image, fx: Image) -> NDArray[np.float64]:
    mixed = float(fy @ values @ fx)
    return np.array(
        [[float(fy**2 @ values.sum(axis=1)), mixed], [mixed, float(values.sum(axis=0) @ fx**2)]], dtype=np.float64
    )


def _circular(distance: NDArray[np.int64], period: int) -> NDArray[np.int64]:
    away = np.abs(distance)
    return np.asarray(np.minimum(away, period - away), dtype=np.int64)


def _local_maxima(values: Image, where: NDArray[np.bool_]) -> Image:
    """Values in `where` that are above their four neighbours."""
    peak = where.copy()
    for axis in (0, 1):
        for step in (1, -1):
            peak &= values >= np.roll(values, step, axis=axis)
    return values[peak]


def _binned(image: Image, factor: int) -> Image:
    rows, columns = image.shape[0] // factor, image.shape[1] // factor
    blocks = image[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def _overlap(reference: Image, moving: Image, shift: tuple[int, int]) -> Pair:
    """Parts of both images that show the same object, trimmed to a length with a fast transform."""
    parts_a, parts_b = [], []
    for n, d in zip(reference.shape, shift, strict=True):
        length = n - abs(d)
        trimmed = scipy.fft.prev_fast_len(length, real=True)
        skip = (length - trimmed) // 2
        parts_a.append(slice(max(-d, 0) + skip, max(-d, 0) + skip + trimmed))
        parts_b.append(slice(max(d, 0) + skip, max(d, 0) + skip + trimmed))
    return reference[tuple(parts_a)], moving[tuple(parts_b)]
