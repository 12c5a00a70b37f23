"""Real and whole numbers from what a caller gives: text, complex, masked and broken values are refused by name."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


def real_array(name: str, values: ArrayLike, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Return `values` as an array of real numbers in this machine's byte order; a copy only where needed.

    Their type is kept unless `dtype` is given.

    Raises
    ------
    ValueError
        for text, complex numbers, objects or masked values, which numpy would turn into numbers without a word

    Examples
    --------
    >>> real_array("angles", [0, 1], np.float64)
    array([0., 1.])
    >>> real_array("angles", ["0", "1"])
    Traceback (most recent call last):
    ...
    ValueError: <U1 values in angles; real numbers are needed
    """
    if np.ma.is_masked(values):
        raise ValueError(f"masked values in {name}; fill them, with NaN where that is allowed")
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{array.dtype} values in {name}; real numbers are needed")
    return array.astype(array.dtype.newbyteorder("=") if dtype is None else dtype, copy=False)


def broadcast_real(
    name: str, values: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike | None = None
) -> NDArray[Any]:
    """Return `values` as by `real_array`, repeated to `shape` (read only); ValueError where they do not fit it."""
    array = real_array(name, values, dtype)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{name} has shape {array.shape}; one number or {shape} is needed") from None


def sigma_array(name: str, values: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Return standard deviations as by `broadcast_real`; ValueError where one is negative."""
    array = broadcast_real(name, values, shape, dtype)
    if (array < 0).any():
        raise ValueError(f"{name} {np.nanmin(array)} is negative")
    return array


def not_finite(name: str, stack: NDArray[Any], numbers: ArrayLike | None = None) -> ValueError:
    """Error that names the first item of a stack with values that are not finite, by its number among `numbers`."""
    with np.errstate(over="ignore"):
        spoiled = ~np.isfinite(stack.astype(np.float32, copy=False)).reshape(len(stack), -1)
    counts = np.count_nonzero(spoiled, axis=1)
    first = int(np.argmax(counts > 0))
    number = first if numbers is None else np.asarray(numbers)[first]
    return ValueError(f"{name} {number} has {counts[first]} values that are not finite; fill them first")


def whole_number(name: str, value: Any, *, least: int = 1) -> int:
    """Return `value` as an int; ValueError where it is not whole, or below `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} {value!r} is not a whole number") from None
    if number < least:
        raise ValueError(f"{name} {number} is below {least}")
    return number
