"""From raw frames to optical density, with its noise, and a flag where a pixel carries no information."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from analysis.numbers import real_array
from analysis.threads import available_threads, run_tasks


@dataclass(frozen=True, slots=True, eq=False)
class OpticalDensity:
    """Optical density ``ln((flat - dark) / (frame - dark))`` of a stack of frames.

    Attributes
    ----------
    values : float32 (frame, row, column); NaN where the flat or the frame is not above the dark
    sigma : float32 (frame, row, column), standard deviation from counting statistics and dark noise, NaN where there
        is no value; None where it was not asked for
    rms_sigma : root mean square of `sigma` over all pixels with a value; NaN without any
    invalid_count : number of pixels without a value, over all frames
    """

    values: NDArray[np.float32]
    sigma: NDArray[np.float32] | None
    rms_sigma: float
    invalid_count: int

    @property
    def invalid(self) -> NDArray[np.bool_]:
        """Pixels without a value (frame, row, column)."""
        return np.isnan(self.values)

    def filled(self) -> NDArray[np.float32]:
        """Values with the invalid pixels replaced by interpolation along their row, ready for reconstruction.

        Raises
        ------
        ValueError
            for a row without a single valid pixel
        """
        values, invalid = self.values.copy(), self.invalid
        for frame, row in np.unique(np.argwhere(invalid)[:, :2], axis=0):
            bad = invalid[frame, row]
            good = np.flatnonzero(~bad)
            if good.size == 0:
                raise ValueError(f"row {row} of frame {frame} has no valid pixel: cannot fill it")
            values[frame, row, bad] = np.interp(np.flatnonzero(bad), good, values[frame, row, good])
        return values


def optical_density(
    frames: ArrayLike,
    flat: ArrayLike,
    dark: ArrayLike,
    *,
    electrons_per_count: float = 1.0,
    exposure_ratio: ArrayLike = 1.0,
    with_sigma: bool = True,
    out: NDArray[np.float32] | None = None,
    threads: int | None = None,
) -> OpticalDensity:
    """Optical density of frames, from flats and darks.

    Parameters
    ----------
    frames : (frame, row, column) or one (row, column), counts
    flat, dark : stacks (frame, row, column), which are averaged, or one mean (row, column)
    electrons_per_count : detected quanta per count; sets the counting noise
    exposure_ratio : incident dose of a frame over that of a flat (exposure time times flux), one number or one per
        frame
    with_sigma : keep the noise of every pixel; its root mean square is told in any case
    out : float32 of the shape of `frames`, C-contiguous; written and returned as the values, where a new array would
        cost time
    threads : None uses all processors of this process

    Returns
    -------
    OpticalDensity
        The noise is that of counting in frame and flat, plus that of the dark where two or more darks were given.

    Raises
    ------
    ValueError
        for shapes that do not fit, or values that are not finite in flats or darks

    Examples
    --------
    >>> od = optical_density([[[60.0, 10.0]]], [[[110.0, 110.0]]], [[[10.0, 10.0]]])
    >>> od.values.round(3)
    array([[[0.693,   nan]]], dtype=float32)
    >>> od.invalid_count
    1
    """
    stack = _stack("frames", frames)
    image_shape = stack.shape[1:]
    flat_mean, flats = _mean_image("flat", flat, image_shape)
    dark_mean, _ = _mean_image("dark", dark, image_shape)
    if not (math.isfinite(electrons_per_count) and electrons_per_count > 0):
        raise ValueError(f"electrons_per_count {electrons_per_count} is not above 0")
    ratio = real_array("exposure_ratio", exposure_ratio, np.float64)
    if ratio.shape not in ((), (len(stack),)):
        raise ValueError(f"exposure_ratio has shape {ratio.shape}, expected one number or ({len(stack)},)")
    ratio = np.broadcast_to(ratio, (len(stack),))
    if not (np.isfinite(ratio) & (ratio > 0)).all():
        raise ValueError(f"exposure_ratio {float(ratio.min())} is not above 0")
    open_beam = flat_mean - dark_mean
    read_variance = _read_variance(dark)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_open = np.where(open_beam > 0, 1.0 / open_beam, np.nan)
        flat_term = 1.0 / (electrons_per_count * flats * open_beam) + read_variance / flats / open_beam**2
    tables = dark_mean.astype(np.float32), per_open.astype(np.float32), flat_term.astype(np.float32)
    noise = np.float32(1.0 / electrons_per_count), np.float32(read_variance)
    values = np.empty(stack.shape, dtype=np.float32) if out is None else out
    usable = values.flags.c_contiguous and values.flags.writeable  # numpy 2.4 negates columns in place wrongly
    if values.shape != stack.shape or values.dtype != np.float32 or not usable:
        raise ValueError(f"out is {values.dtype} {values.shape}, expected writeable, contiguous float32 {stack.shape}")
    sigma = np.empty(stack.shape, dtype=np.float32) if with_sigma else None
    squares, valid = np.empty(len(stack)), np.empty(len(stack), np.int64)

    def one_frame(k: int) -> None:
        kept = values[k] if sigma is None else sigma[k]  # written over by the values where it is not kept
        squares[k] = _noise(stack[k], *tables, *noise, kept)
        valid[k] = _transmission(stack[k], *tables[:2], np.float32(1 / ratio[k]), values[k])
        np.negative(np.log(values[k], out=values[k]), out=values[k])

    run_tasks(one_frame, range(len(stack)), available_threads(threads))
    count = int(valid.sum())
    rms = math.sqrt(float(squares.sum()) / count) if count else math.nan
    return OpticalDensity(values, sigma, rms, stack.size - count)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _noise(frame: Any, dark: Any, per_open: Any, flat_term: Any, quantum: Any, read_variance: Any, sigma: Any) -> Any:
    """Set the noise of the optical density of one frame; return the sum of its squares where it is known."""
    total = 0.0
    for y in range(frame.shape[0]):
        of_row = np.float32(0)
        for x in range(frame.shape[1]):
            above = np.float32(frame[y, x]) - dark[y, x]
            good = (above > np.float32(0)) & (above < np.float32(np.inf)) & (per_open[y, x] > np.float32(0))
            inverse = np.float32(1) / (above if good else np.float32(1))
            square = (quantum + read_variance * inverse) * inverse + flat_term[y, x]
            of_row += square if good else np.float32(0)
            sigma[y, x] = np.sqrt(square if good else np.float32(np.nan))
        total += float(of_row)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _transmission(frame: Any, dark: Any, per_open: Any, per_ratio: Any, out: Any) -> Any:
    """Set the transmission of one frame, NaN where there is none; return in how many pixels there is one."""
    count = 0
    for y in range(frame.shape[0]):
        of_row = np.int32(0)
        for x in range(frame.shape[1]):
            above = np.float32(frame[y, x]) - dark[y, x]
            good = (above > np.float32(0)) & (above < np.float32(np.inf)) & (per_open[y, x] > np.float32(0))
            out[y, x] = above * per_open[y, x] * per_ratio if good else np.float32(np.nan)
            of_row += np.int32(good)
        count += int(of_row)
    return count


def _stack(name: str, frames: ArrayLike) -> NDArray[Any]:
    stack = real_array(name, frames)
    if stack.ndim == 2:
        stack = stack[None]
    if stack.ndim != 3 or stack.size == 0:
        raise ValueError(f"{name} have shape {stack.shape}, expected (frame, row, column) with at least one frame")
    if stack.dtype != np.uint16:
        stack = stack.astype(np.float32, copy=False)
    return np.ascontiguousarray(stack)


def _mean_image(name: str, images: ArrayLike, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], int]:
    """Mean of a stack and the number of its frames."""
    stack = real_array(name, images)
    count = len(stack) if stack.ndim == 3 else 1
    if stack.shape[-2:] != shape or stack.ndim not in (2, 3) or count == 0:
        raise ValueError(f"{name} has shape {stack.shape}, frames have {shape}")
    mean = np.asarray(stack.mean(axis=0) if stack.ndim == 3 else stack, dtype=np.float64)
    if not np.isfinite(mean).all():
        raise ValueError(f"{name} has {int(np.count_nonzero(~np.isfinite(mean)))} pixels that are not finite")
    return mean, count


def _read_variance(dark: ArrayLike) -> float:
    """Variance (counts squared) of a dark pixel from frame to frame; 0 where there is only one dark."""
    stack = np.asarray(dark)
    if stack.ndim != 3 or len(stack) < 2:
        return 0.0
    return float(np.mean(np.var(stack, axis=0, ddof=1, dtype=np.float64)))
