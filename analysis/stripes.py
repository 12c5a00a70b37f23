"""Removal of rings and zingers that touches only what is significant and says what it did; never applied by default.

A detector column that answers wrongly by a constant factor adds a constant to the optical density at every angle: a stripe in
the sinogram, a ring in the slice. A zinger is a single pixel hit in a single frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import median_filter


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


def remove_rings(projections: ArrayLike, *, width: int = 9, threshold: float = 4.0) -> Stripes:
    """Take the constant offset of single detector pixels off all projections.

    The offset of a pixel is the mean over the angles of its difference from the running median along the row; it is taken off
    where it exceeds `threshold` times its standard deviation. What turns with the object averages out over the angles; what
    does not exceed the threshold stays exactly as measured.

    Parameters
    ----------
    projections : (angle, row, column), optical density
    width : columns of the running median, odd; stripes up to half as wide are found
    threshold : in standard deviations

    Raises
    ------
    ValueError
        for fewer than 8 angles, an even or too large `width`, or values that are not finite
    """
    stack = _finite_stack(projections, 8)
    if width < 3 or width % 2 == 0 or width > stack.shape[2]:
        raise ValueError(f"width {width} is not an odd number in 3..{stack.shape[2]}")
    if threshold <= 0:
        raise ValueError(f"threshold {threshold} is not above 0")
    mean = stack.mean(axis=0, dtype=np.float64)
    offset = mean - median_filter(mean, size=(1, width), mode="nearest")
    sigma = _offset_sigma(stack, offset)
    significant = np.abs(offset) > threshold * sigma
    taken = np.where(significant, offset, 0.0).astype(np.float32)
    return Stripes(values=stack - taken, offset=taken, sigma=sigma.astype(np.float32))


def _offset_sigma(stack: NDArray[np.float32], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise of the offset: of the mean over the angles, and the usual scatter of offsets along the row (object structure)."""
    neighbour = np.diff(stack, axis=2)
    noise = np.std(neighbour, axis=0, dtype=np.float64) / np.sqrt(2.0 * len(stack))
    noise = np.concatenate([noise[:, :1], 0.5 * (noise[:, 1:] + noise[:, :-1]), noise[:, -1:]], axis=1)
    usual = 1.4826 * median_filter(np.abs(offset), size=(min(9, offset.shape[0]), 31), mode="nearest")
    return np.asarray(np.hypot(noise, usual))


def remove_zingers(projections: ArrayLike, *, threshold: float = 8.0) -> Zingers:
    """Replace single pixels that stand out from their eight neighbours by the median of these.

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
    if threshold <= 0:
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
        replaced[k] = np.abs(difference) > threshold * np.maximum(noise, local)
        values[k][replaced[k]] = smooth[replaced[k]]
    return Zingers(values=values, replaced=replaced)


def _finite_stack(projections: ArrayLike, fewest: int) -> NDArray[np.float32]:
    stack = np.asarray(projections, dtype=np.float32)
    if stack.ndim != 3 or len(stack) < fewest:
        raise ValueError(f"projections have shape {stack.shape}, expected ({fewest} or more, row, column)")
    if not np.isfinite(stack.sum(dtype=np.float64)):
        raise ValueError("projections have values that are not finite; fill them first")
    return stack
