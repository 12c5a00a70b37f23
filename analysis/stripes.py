"""Removal of rings and zingers that touches only what is significant and says what it did; never applied by default.

A detector column that answers wrongly by a constant factor adds a constant to the optical density at every angle: a
stripe in the sinogram, a ring in the slice. A zinger is a single pixel hit in a single frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter, median_filter, minimum_filter

from analysis.numbers import real_array, whole_number

_ROUNDS = 12
_DIRECTIONS = ((0, 1), (0.5, 1), (1, 1), (1, 0.5), (1, 0), (1, -0.5), (1, -1), (0.5, -1))
_MEDIAN_GAIN = 1.25  # standard deviation of a median over that of a mean
_ISOLATED = 3.0  # times the range of the eight neighbours; a spot with a standard deviation of 0.8 px has 2.2
_NOISE_GAIN = 1.2  # of the median over the directions, in units of the noise of a pixel


@dataclass(frozen=True, slots=True)
class Stripes:
    """Projections without stripes.

    Attributes
    ----------
    values : float32 (angle, row, column); exactly the input where nothing was found
    offset : float32 (row, column), optical density taken off at every angle; 0 where nothing was found
    sigma : float32 (row, column), standard deviation of the offset
    """

    values: NDArray[np.float32]
    offset: NDArray[np.float32]
    sigma: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Zingers:
    """Projections without single hit pixels.

    Attributes
    ----------
    values : float32 (angle, row, column); exactly the input where nothing was found
    replaced : bool (angle, row, column)
    """

    values: NDArray[np.float32]
    replaced: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of replaced pixels."""
        return int(np.count_nonzero(self.replaced))


def remove_rings(projections: ArrayLike, *, size: int = 2, threshold: float = 6.0, columns: bool = False) -> Stripes:
    """Take the constant offset of faulty detector spots off all projections.

    In the mean over the angles each pixel is compared with the cubic through its neighbours, along eight
    directions. A faulty spot sticks out along all of them with one sign; the outline of the object, even of one
    that turns about its own axis, does not along its own direction. Only an offset that exceeds `threshold` times
    its standard deviation is taken off: all other pixels stay exactly as measured, and so do the attenuations.

    Of a gain that drifts during the scan the mean is taken off; what varies about it stays, as an incomplete ring.

    Parameters
    ----------
    projections : (angle, row, column), optical density; any order of the angles
    size : pixels; largest diameter of a spot, and width of a column
    threshold : in standard deviations, of the noise and of what neighbouring pixels stick out by
    columns : also take whole columns off that stick out by the same offset in most rows, up to `size` wide. Walls of
        the specimen that stand along the axis (a capillary) look the same: leave it off there

    Raises
    ------
    ValueError
        for fewer than 16 angles, fewer than ``4 size + 1`` rows or columns, or values that are not finite
    """
    stack = _finite_stack(projections, 16)
    size = whole_number("size", size)
    if not threshold > 0:
        raise ValueError(f"threshold {threshold} is not above 0")
    if min(stack.shape[1:]) < 4 * size + 1:
        raise ValueError(f"projections of {stack.shape[1:]} pixels are smaller than {4 * size + 1}, 4 size + 1")
    mean = stack.mean(axis=0, dtype=np.float64)
    noise = _NOISE_GAIN * _pixel_noise(stack) / np.sqrt(len(stack))
    offset = np.zeros(mean.shape)
    if columns:
        offset += _faulty_columns(mean, size, threshold)
    for _ in range(_ROUNDS):
        least, typical = _standing_out(mean - offset, size)
        usual = 1.4826 * median_filter(np.abs(typical), size=8 * size + 1, mode="mirror")
        sigma = np.hypot(noise, usual)
        step = np.where((np.abs(least) > threshold * sigma), typical, 0.0)
        clearest = np.abs(least) >= maximum_filter(np.abs(least), size=2 * size + 1)
        step[~clearest] = 0.0
        if not step.any():
            break
        offset += step
    taken = offset.astype(np.float32)
    return Stripes(values=stack - taken, offset=taken, sigma=sigma.astype(np.float32))


def _faulty_columns(mean: NDArray[np.float64], size: int, threshold: float) -> NDArray[np.float64]:
    """Offset of each column: the median over the rows of its difference from the cubic through its neighbours.

    The scatter over the rows, of noise and object, tells its standard deviation.
    """
    offset = np.zeros(mean.shape[1])
    reach = 2 * size
    for _ in range(_ROUNDS):
        padded = np.pad(mean - offset, ((0, 0), (reach, reach)), mode="reflect")
        shifted = [padded[:, reach + d : padded.shape[1] - reach + d] for d in (0, -size, size, -reach, reach)]
        difference = shifted[0] - (4.0 * (shifted[1] + shifted[2]) - (shifted[3] + shifted[4])) / 6.0
        typical = np.median(difference, axis=0)
        scatter = _MEDIAN_GAIN * 1.4826 * np.median(np.abs(difference - typical), axis=0) / np.sqrt(len(mean))
        # Wider than for spots: one faulty column spoils the difference of four others.
        usual = 1.4826 * median_filter(np.abs(typical), size=32 * size + 1, mode="mirror")
        clear = np.abs(typical) > threshold * np.hypot(scatter, usual)
        clear &= np.abs(typical) >= maximum_filter(np.abs(typical), size=2 * size + 1)
        if not clear.any():
            break
        offset += np.where(clear, typical, 0.0)
    return offset


def _standing_out(image: NDArray[np.float64], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Difference from cubics along eight directions: the least if all have one sign (else 0), and the median."""
    reach = 2 * size
    rows, columns = image.shape
    padded = np.pad(image, reach, mode="reflect")

    def moved(dy: int, dx: int) -> NDArray[np.float64]:
        return padded[reach + dy : reach + dy + rows, reach + dx : reach + dx + columns]

    differences = []
    for y, x in _DIRECTIONS:
        dy, dx = round(y * size), round(x * size)
        near = moved(dy, dx) + moved(-dy, -dx)
        far = moved(2 * dy, 2 * dx) + moved(-2 * dy, -2 * dx)
        differences.append(image - (4.0 * near - far) / 6.0)
    stack = np.stack(differences)
    one_sign = np.abs(np.sign(stack).sum(axis=0)) == len(stack)
    return np.where(one_sign, np.abs(stack).min(axis=0), 0.0), np.median(stack, axis=0)


def _pixel_noise(stack: NDArray[np.float32]) -> NDArray[np.float64]:
    """Standard deviation of each pixel of one projection, from its difference from a smooth surface around it."""
    middle = slice(1, -1)
    sides = stack[:, :-2, middle] + stack[:, 2:, middle] + stack[:, middle, :-2] + stack[:, middle, 2:]
    corners = stack[:, :-2, :-2] + stack[:, 2:, 2:] + stack[:, :-2, 2:] + stack[:, 2:, :-2]
    rough = 4 * stack[:, middle, middle] - 2 * sides + corners  # exact for cubics; 36 times the variance of a pixel
    spread = 1.4826 / 6.0 * np.median(np.abs(rough), axis=0)
    return np.asarray(median_filter(np.pad(spread, 1, mode="edge"), size=5, mode="mirror"), dtype=np.float64)


def remove_zingers(projections: ArrayLike, *, threshold: float = 8.0) -> Zingers:
    """Replace single pixels that stand out from their eight neighbours by the median of these.

    Edges, corners, lines and spots of the object stay as they are, even one pixel wide, as long as the microscope
    blurs a point to a standard deviation of 0.7 pixels or more: a zinger exceeds all its neighbours by several times
    what they differ. At strong edges weak zingers therefore stay, and so does one that hits two pixels.

    Parameters
    ----------
    projections : (angle, row, column), optical density or counts
    threshold : in standard deviations of the pixel noise of the same projection

    Raises
    ------
    ValueError
        for values that are not finite or images below 3 x 3
    """
    stack = _finite_stack(projections, 1)
    if min(stack.shape[1:]) < 3:
        raise ValueError(f"projections of {stack.shape[1:]} pixels are smaller than 3 x 3")
    if not threshold > 0:
        raise ValueError(f"threshold {threshold} is not above 0")
    values = stack.copy()
    replaced = np.zeros(stack.shape, dtype=np.bool_)
    ring = np.ones((3, 3), dtype=np.bool_)
    ring[1, 1] = False
    for k, image in enumerate(stack):
        smooth = median_filter(image, footprint=ring, mode="mirror")
        difference = image - smooth
        noise = 1.4826 * np.median(np.abs(difference))
        local = 1.4826 * median_filter(np.abs(difference), size=5, mode="mirror")
        highest = maximum_filter(image, footprint=ring, mode="mirror")
        lowest = minimum_filter(image, footprint=ring, mode="mirror")
        beyond = np.maximum(image - highest, lowest - image)
        replaced[k] = np.abs(difference) > threshold * np.maximum(noise, local)
        replaced[k] &= beyond > _ISOLATED * (highest - lowest)
        values[k][replaced[k]] = smooth[replaced[k]]
    return Zingers(values=values, replaced=replaced)


def _finite_stack(projections: ArrayLike, fewest: int) -> NDArray[np.float32]:
    stack = real_array("projections", projections, np.float32)
    if stack.ndim != 3 or len(stack) < fewest:
        raise ValueError(f"projections have shape {stack.shape}, expected ({fewest} or more, row, column)")
    if not np.isfinite(stack.sum(dtype=np.float64)):
        raise ValueError("projections have values that are not finite; fill them first")
    return stack
