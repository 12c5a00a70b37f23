"""Displacement of one projection against another across an absorption edge, where the contrast changes.

A band-pass cross-correlation: coarse at reduced resolution, then at full resolution on the overlap alone, its maximum found
exactly in Fourier space. The high-pass takes away what the edge changes (the mean and the slow parts of the contrast), the low-pass
the noise. The curvature of the peak and the part of the cross-spectrum that is out of phase give the uncertainty.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from analysis.resampling import cubic_taps, resample_columns, resample_rows

Image = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

_SMALLEST = 16
_COARSE = 128


@dataclass(frozen=True, slots=True)
class Shift:
    """Displacement of an image: ``moving(row, column) = reference(row - dy, column - dx)`` up to contrast.

    Attributes
    ----------
    dy, dx : pixels of the moving image, growing with row and column
    sigma : pixels, standard deviation of each component from noise and from what differs between the images
    quality : correlation of the two images in the pass band, 0..1
    trusted : False is an alarm: do not use the shift without looking
    reason : why it is not to be trusted, "" where it is
    """

    dy: float
    dx: float
    sigma: float
    quality: float
    trusted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Similarity:
    """Displacement and magnification of an image: ``p - c = magnification (p_reference - c) + (dy, dx)``.

    Attributes
    ----------
    shift : `Shift`, in pixels of the moving image
    magnification : size of the object in the moving image over that in the reference
    magnification_sigma : standard deviation
    """

    shift: Shift
    magnification: float
    magnification_sigma: float


@dataclass(frozen=True, slots=True)
class Band:
    """Pass band of the correlation: Gaussian smoothing of `fine` minus that of `coarse` pixels (standard deviations)."""

    fine: float = 1.5
    coarse: float = 12.0

    def weights(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Weight of each frequency of a real transform; zero frequency has none."""
        fy = scipy.fft.fftfreq(shape[0])[:, None]
        fx = scipy.fft.rfftfreq(shape[1])[None]
        q = 2.0 * (np.pi**2) * (fy**2 + fx**2)
        return np.asarray(np.exp(-q * self.fine**2) * (1.0 - np.exp(-q * self.coarse**2)) ** 2, dtype=np.float32)


def find_shift(
    reference: ArrayLike,
    moving: ArrayLike,
    *,
    magnification: float = 1.0,
    centre: tuple[float, float] | None = None,
    max_shift: float | None = None,
    max_sigma: float = 0.25,
    band: Band | None = None,
) -> Shift:
    """Displacement of one image against a reference of the same object.

    Parameters
    ----------
    reference, moving : (row, column), optical density
    magnification : size of the object in `moving` over that in `reference`, where it is known from the optics
    centre : (row, column) about which the magnification acts; None takes the middle of the image. Give (middle row, rotation
        axis) for a shift that goes into `analysis.tomography.FilteredBackProjection` with a `voxel_size`
    max_shift : pixels; None takes a quarter of the smaller side. A larger shift is not looked for
    max_sigma : pixels; a shift less certain than that is not trusted
    band : pass band of the correlation

    Raises
    ------
    ValueError
        for shapes that differ, images below 16 pixels, or values that are not finite

    Examples
    --------
    >>> import scipy.ndimage
    >>> image = scipy.ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(64, 64)), 3)
    >>> shift = find_shift(image, np.roll(image, (3, -2), axis=(0, 1)))
    >>> round(shift.dy, 1), round(shift.dx, 1), shift.trusted
    (3.0, -2.0, True)
    """
    return find_stack_shift(
        np.asarray(reference)[None],
        np.asarray(moving)[None],
        magnification=magnification,
        centre=centre,
        max_shift=max_shift,
        max_sigma=max_sigma,
        band=band,
    )


def find_stack_shift(
    reference: ArrayLike,
    moving: ArrayLike,
    *,
    magnification: float = 1.0,
    centre: tuple[float, float] | None = None,
    max_shift: float | None = None,
    max_sigma: float = 0.25,
    band: Band | None = None,
    limit: int = 24,
) -> Shift:
    """Common displacement of a stack of projections against the same projections at another energy.

    Parameters
    ----------
    reference, moving : (projection, row, column), the same angles in the same order
    limit : projections used at most, spread evenly over the stack

    The other parameters are those of `find_shift`.
    """
    pairs = _checked_pairs(reference, moving, limit)
    if not (math.isfinite(magnification) and magnification > 0):
        raise ValueError(f"magnification {magnification} is not above 0")
    if magnification != 1.0:
        pairs = [_scaled_pair(a, b, magnification, centre) for a, b in pairs]
    width = Band() if band is None else band
    reach = 0.25 * min(pairs[0][0].shape) if max_shift is None else max_shift
    peak = _locate(pairs, width, reach)
    return _judge(peak, magnification, reach, max_sigma)


@dataclass(frozen=True, slots=True)
class _Peak:
    """Maximum of a correlation: position and variance (pixels), coherence, height over the rest (sigma and next peak)."""

    dy: float
    dx: float
    sigma: float
    coherence: float
    significance: float
    rival: float


_NO_PEAK = _Peak(math.nan, math.nan, math.nan, 0.0, 0.0, 1.0)


def _judge(peak: _Peak, magnification: float, reach: float, max_sigma: float) -> Shift:
    if not math.isfinite(peak.dy):
        reason = "the images have no structure in the pass band"
    elif peak.significance < 7.0:
        reason = f"the correlation peak is {peak.significance:.1f} sigma above the rest, below 7"
    elif peak.rival > 0.9:
        reason = f"a second position fits {peak.rival:.0%} as well"
    elif math.hypot(peak.dy, peak.dx) > reach:
        reason = f"the shift of {math.hypot(peak.dy, peak.dx):.1f} px is at or beyond the limit {reach:.1f} px"
    elif not peak.sigma <= max_sigma:
        reason = f"sigma {peak.sigma:.2f} px is above {max_sigma} px"
    else:
        reason = ""
    return Shift(
        dy=peak.dy * magnification,
        dx=peak.dx * magnification,
        sigma=peak.sigma * magnification,
        quality=peak.coherence,
        trusted=not reason,
        reason=reason,
    )


def _locate(pairs: list[tuple[Image, Image]], band: Band, reach: float) -> _Peak:
    """Coarse to fine: each pass correlates the overlap of the images at the whole-pixel shift found so far."""
    shape = pairs[0][0].shape
    factor = max(1, min(shape) // _COARSE)
    dy = dx = 0.0
    if factor > 1:
        coarse = [(_binned(a, factor), _binned(b, factor)) for a, b in pairs]
        start = _correlate(coarse, Band(1.0, max(2.0, band.coarse / factor)), reach / factor + 1.0)
        dy, dx = start.dy * factor, start.dx * factor
        if not math.isfinite(dy):
            return _NO_PEAK
    peak = _NO_PEAK
    near = reach if factor == 1 else 2.0 * factor + 2.0
    for _ in range(3):
        whole = (round(dy), round(dx))
        part = _correlate([_overlap(a, b, whole) for a, b in pairs], band, near)
        if not math.isfinite(part.dy):
            return _NO_PEAK
        peak = _Peak(whole[0] + part.dy, whole[1] + part.dx, part.sigma, part.coherence, part.significance, part.rival)
        settled = max(abs(peak.dy - whole[0]), abs(peak.dx - whole[1])) <= 0.75
        dy, dx, near = peak.dy, peak.dx, 4.0
        if settled:
            break
    return peak


def _correlate(pairs: list[tuple[Image, Image]], band: Band, reach: float) -> _Peak:
    """Peak of the summed band-passed cross-correlation within `reach` pixels."""
    shape = pairs[0][0].shape
    window = _taper(shape[0])[:, None] * _taper(shape[1])[None]
    weights = band.weights(shape)
    cross = np.zeros((shape[0], shape[1] // 2 + 1), dtype=np.complex64)
    power_a = power_b = 0.0
    for a, b in pairs:
        fa, fb = (scipy.fft.rfft2((image - image.mean()) * window) for image in (a, b))
        cross += fb * np.conj(fa)
        power_a += _weighted_power(fa, weights)
        power_b += _weighted_power(fb, weights)
    if power_a <= 0 or power_b <= 0:
        return _NO_PEAK
    cross *= weights
    correlation = scipy.fft.irfft2(cross, s=shape)
    dy, dx, significance, rival = _highest(correlation, reach, band)
    dy, dx, sigma, height = _refine(cross, shape, dy, dx)
    inflation = math.sqrt(shape[0] * shape[1] * float(np.sum(window**4))) / float(np.sum(window**2))
    coherence = min(max(height / math.sqrt(power_a * power_b), 0.0), 1.0)
    return _Peak(dy, dx, sigma * inflation, coherence, significance, rival)


def _highest(correlation: Image, reach: float, band: Band) -> tuple[float, float, float, float]:
    """Whole-pixel maximum within reach, its height over the rest in sigma, and the next maximum relative to it."""
    rows, columns = correlation.shape
    y = np.minimum(np.arange(rows), rows - np.arange(rows))[:, None]
    x = np.minimum(np.arange(columns), columns - np.arange(columns))[None]
    allowed = np.where(y**2 + x**2 <= max(reach, 1.0) ** 2, correlation, -np.inf)
    row, column = np.unravel_index(int(np.argmax(allowed)), correlation.shape)
    height = float(correlation[row, column])
    dy, dx = (int(row) + rows // 2) % rows - rows // 2, (int(column) + columns // 2) % columns - columns // 2
    away = np.ones(correlation.shape, dtype=np.bool_)
    exclude = math.ceil(band.coarse) + 1
    away[
        np.ix_(
            np.arange(row - exclude, row + exclude + 1) % rows,
            np.arange(column - exclude, column + exclude + 1) % columns,
        )
    ] = False
    rest = correlation[away]
    if rest.size < 16:
        return float(dy), float(dx), math.inf, 0.0
    noise = float(np.std(rest))
    others = allowed[away]
    rival = float(np.max(others)) / height if others.size and height > 0 else 0.0
    return (
        float(dy),
        float(dx),
        height / noise if noise > 0 else math.inf,
        max(rival, 0.0) if math.isfinite(rival) else 0.0,
    )


def _refine(cross: Spectrum, shape: tuple[int, ...], dy: float, dx: float) -> tuple[float, float, float, float]:
    """Newton steps to the maximum of the correlation as a continuous function; its sigma and height."""
    fy = 2.0 * np.pi * scipy.fft.fftfreq(shape[0])
    fx = 2.0 * np.pi * scipy.fft.rfftfreq(shape[1])
    twice = np.full(len(fx), 2.0)
    twice[0] = 1.0
    if shape[1] % 2 == 0:
        twice[-1] = 1.0
    position = np.array([dy, dx])
    for _ in range(4):
        turned = cross * np.exp(1j * fy * position[0])[:, None] * np.exp(1j * fx * position[1])[None]
        out_of_phase = turned.imag * twice
        in_phase = turned.real * twice
        gradient = -np.array([fy @ out_of_phase.sum(axis=1), out_of_phase.sum(axis=0) @ fx])
        mixed = fy @ in_phase @ fx
        curvature = np.array([[fy**2 @ in_phase.sum(axis=1), mixed], [mixed, in_phase.sum(axis=0) @ fx**2]])
        if np.linalg.det(curvature) <= 0 or curvature[0, 0] <= 0:
            return dy, dx, math.inf, float(in_phase.sum())
        step = np.clip(np.linalg.solve(curvature, gradient), -0.5, 0.5)
        position += step
        if np.max(np.abs(step)) < 1e-3:
            break
    noise = out_of_phase * turned.imag * twice
    mixed = fy @ noise @ fx
    score = 2.0 * np.array([[fy**2 @ noise.sum(axis=1), mixed], [mixed, noise.sum(axis=0) @ fx**2]])
    inverse = np.linalg.inv(curvature)
    covariance = inverse @ score @ inverse
    return (
        float(position[0]),
        float(position[1]),
        math.sqrt(0.5 * float(np.trace(covariance))),
        float(in_phase.sum()),
    )


def find_similarity(
    reference: ArrayLike,
    moving: ArrayLike,
    *,
    magnification: float = 1.0,
    centre: tuple[float, float] | None = None,
    max_shift: float | None = None,
    max_sigma: float = 0.25,
    band: Band | None = None,
) -> Similarity:
    """Displacement and magnification together, from the shifts of blocks of the image.

    Parameters
    ----------
    magnification : where to start, from the optics; the result should be within some per cent of it

    The other parameters, the errors and the alarm are those of `find_shift`.
    """
    (pair,) = _checked_pairs(np.asarray(reference)[None], np.asarray(moving)[None], 1)
    middle = _middle(pair[0].shape) if centre is None else centre
    current = magnification
    sigma = math.inf
    for _ in range(3):
        shift = find_shift(
            *pair, magnification=current, centre=middle, max_shift=max_shift, max_sigma=max_sigma, band=band
        )
        if not shift.trusted:
            break
        change, sigma = _block_magnification(pair, shift, current, middle, band)
        if not math.isfinite(change):
            break
        current *= change
        if abs(change - 1.0) < 0.3 * sigma or abs(change - 1.0) < 1e-5:
            break
    shift = find_shift(*pair, magnification=current, centre=middle, max_shift=max_shift, max_sigma=max_sigma, band=band)
    if shift.trusted and not math.isfinite(sigma):
        reason = "too few blocks of the image could be matched to tell the magnification"
        shift = Shift(shift.dy, shift.dx, shift.sigma, shift.quality, False, reason)
    return Similarity(shift=shift, magnification=current, magnification_sigma=sigma)


def _block_magnification(
    pair: tuple[Image, Image], shift: Shift, magnification: float, centre: tuple[float, float], band: Band | None
) -> tuple[float, float]:
    """Remaining magnification and its sigma, from a straight line through the shifts of blocks."""
    a, b = _scaled_pair(*pair, magnification, centre, shift=(shift.dy, shift.dx))
    rows, columns = a.shape
    blocks = 4 if min(rows, columns) >= 256 else 2
    heights, widths = rows // blocks, columns // blocks
    width = Band() if band is None else band
    place, found, weight = [], [], []
    for i, j in itertools.product(range(2 * blocks - 1), repeat=2):
        part = np.s_[i * heights // 2 : i * heights // 2 + heights, j * widths // 2 : j * widths // 2 + widths]
        peak = _correlate([(a[part], b[part])], width, 0.1 * min(heights, widths))
        if peak.significance >= 5.0 and peak.sigma < 0.5:
            place.append((i * heights / 2, j * widths / 2))
            found.append((peak.dy, peak.dx))
            weight.append(1.0 / (peak.sigma**2 + 0.01**2))
    if len(found) < 3:
        return math.nan, math.inf
    w = np.asarray(weight)[:, None]
    where = np.asarray(place) - np.sum(w * place, axis=0) / w.sum()
    values = np.asarray(found)
    spread = float(np.sum(w * where**2))
    if spread <= 0:
        return math.nan, math.inf
    slope = float(np.sum(w * where * values)) / spread
    residual = values - np.sum(w * values, axis=0) / w.sum() - slope * where
    freedom = max(2 * len(found) - 3, 1)
    scatter = float(np.sum(w * residual**2)) / freedom
    overlap = 2.0  # half-overlapping blocks share their pixels
    return 1.0 + slope, overlap * math.sqrt(max(scatter, 1.0) / spread)


def _scaled_pair(
    reference: Image,
    moving: Image,
    magnification: float,
    centre: tuple[float, float] | None,
    *,
    shift: tuple[float, float] = (0.0, 0.0),
) -> tuple[Image, Image]:
    """Moving image on the reference's scale, both cut to where the two overlap."""
    middle = _middle(reference.shape) if centre is None else centre
    taps = [
        cubic_taps(c + d + magnification * (np.arange(n) - c), n, step=magnification)
        for c, d, n in zip(middle, shift, moving.shape, strict=True)
    ]
    tall = np.empty(moving.shape, dtype=np.float32)
    resample_rows(moving, taps[0].first, taps[0].weights, tall)
    scaled = np.empty_like(tall)
    resample_columns(tall, taps[1].first, taps[1].weights, scaled)
    inside = np.ix_(taps[0].inside, taps[1].inside)
    return np.ascontiguousarray(reference[inside]), np.ascontiguousarray(scaled[inside])


def _checked_pairs(reference: ArrayLike, moving: ArrayLike, limit: int) -> list[tuple[Image, Image]]:
    a, b = np.asarray(reference), np.asarray(moving)
    if a.shape != b.shape or a.ndim != 3 or len(a) == 0:
        raise ValueError(
            f"reference has shape {a.shape[-2:] if len(a) == 1 else a.shape}, moving {b.shape[-2:] if len(b) == 1 else b.shape}"
        )
    if min(a.shape[1:]) < _SMALLEST:
        raise ValueError(f"images of {a.shape[1:]} pixels are smaller than {_SMALLEST}")
    if limit < 1:
        raise ValueError(f"limit {limit} is below 1")
    chosen = np.unique(np.linspace(0, len(a) - 1, min(limit, len(a))).round().astype(int))
    pairs = [
        (np.ascontiguousarray(a[k], dtype=np.float32), np.ascontiguousarray(b[k], dtype=np.float32)) for k in chosen
    ]
    for name, images in (("reference", [p[0] for p in pairs]), ("moving", [p[1] for p in pairs])):
        for k, image in zip(chosen, images, strict=True):
            if not math.isfinite(float(image.sum(dtype=np.float64))):
                raise ValueError(f"{name} image {k} has values that are not finite")
    return pairs


def _middle(shape: tuple[int, ...]) -> tuple[float, float]:
    return 0.5 * (shape[0] - 1), 0.5 * (shape[1] - 1)


def _binned(image: Image, factor: int) -> Image:
    rows, columns = image.shape[0] // factor, image.shape[1] // factor
    blocks = image[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def _overlap(reference: Image, moving: Image, shift: tuple[int, int]) -> tuple[Image, Image]:
    """Parts of both images that show the same object, trimmed to a length with a fast transform."""
    parts_a, parts_b = [], []
    for n, d in zip(reference.shape, shift, strict=True):
        length = n - abs(d)
        trimmed = scipy.fft.prev_fast_len(length, real=True)
        skip = (length - trimmed) // 2
        parts_a.append(slice(max(-d, 0) + skip, max(-d, 0) + skip + trimmed))
        parts_b.append(slice(max(d, 0) + skip, max(d, 0) + skip + trimmed))
    return reference[tuple(parts_a)], moving[tuple(parts_b)]


def _taper(length: int, *, part: float = 0.15) -> NDArray[np.float32]:
    """Cosine taper over `part` of the length at each end."""
    edge = max(int(length * part), 1)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    window = np.ones(length, dtype=np.float32)
    window[:edge] = ramp
    window[-edge:] = ramp[::-1]
    return window


def _weighted_power(spectrum: Spectrum, weights: NDArray[np.float32]) -> float:
    return 2.0 * float(np.sum((spectrum.real**2 + spectrum.imag**2) * weights))
