"""Pairs of images as registration compares them: checked, less what stays on the detector, on one scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.correlation import Image, Pair
from analysis.numbers import real_array, whole_number
from analysis.resampling import cubic_taps, resample_columns, resample_rows

MOST_PROJECTIONS = 24  # of a stack, compared
SMALLEST = 16  # pixels


def spread(count: int, limit: int = MOST_PROJECTIONS) -> NDArray[np.intp]:
    """Return the projections, out of `count`, that `find_stack_shift` compares: at most `limit`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(limit, count)).round().astype(np.intp))


def checked_pairs(reference: ArrayLike, moving: ArrayLike, limit: int) -> list[Pair]:
    """Float32 images of two stacks of the same shape and of finite values, at most `limit` of them, evenly spread."""
    a, b = real_array("reference", reference), real_array("moving", moving)
    if a.shape != b.shape or a.ndim != 3 or len(a) == 0:
        raise ValueError(
            f"reference has shape {_image_shape(a)}, moving {_image_shape(b)}; they must be the same, in two dimensions"
        )
    if min(a.shape[1:]) < SMALLEST:
        raise ValueError(f"images of {a.shape[1:]} pixels are smaller than {SMALLEST}")
    chosen = spread(len(a), whole_number("limit", limit))
    pairs = [
        (np.ascontiguousarray(a[k], dtype=np.float32), np.ascontiguousarray(b[k], dtype=np.float32)) for k in chosen
    ]
    for name, images in (("reference", [p[0] for p in pairs]), ("moving", [p[1] for p in pairs])):
        for k, image in zip(chosen, images, strict=True):
            if not math.isfinite(float(image.sum(dtype=np.float64))):
                raise ValueError(f"{name} image {k} has values that are not finite")
    return pairs


def _image_shape(stack: NDArray[Any]) -> tuple[int, ...]:
    """Shape of the images, as the caller gave them: without the number of a single one."""
    return stack.shape[1:] if len(stack) == 1 else stack.shape


def without_what_stays(pairs: list[Pair]) -> list[Pair]:
    """Pairs less the mean of each side: the object turned between them, dirt on the detector did not.

    The mean of the object goes too; as it moved like the object, that draws the shift nowhere.
    """
    first, second = (np.mean([pair[side] for pair in pairs], axis=0, dtype=np.float32) for side in (0, 1))
    return [(a - first, b - second) for a, b in pairs]


def scaled_pair(
    reference: Image,
    moving: Image,
    magnification: float,
    centre: tuple[float, float] | None,
    *,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Pair:
    """Moving image on the reference's scale, both cut to where the two overlap."""
    middle = middle_of(reference.shape) if centre is None else centre
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


def middle_of(shape: tuple[int, ...]) -> tuple[float, float]:
    """Row and column of the middle of an image."""
    return 0.5 * (shape[0] - 1), 0.5 * (shape[1] - 1)
