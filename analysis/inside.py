"""Values of the voxels inside a mask as one row, and such rows as volumes again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from analysis.threads import available_threads, run_tasks


class Inside:
    """The voxels inside a mask, in C order.

    Parameters
    ----------
    mask : bool (z, y, x)
    threads : None uses all processors of this process

    Examples
    --------
    >>> inside = Inside(np.array([[[True, False, True]]]))
    >>> inside.values(np.array([[[5.0, 6.0, 7.0]]], np.float32))
    array([5., 7.], dtype=float32)
    >>> inside.volume(np.array([1, 2], np.uint8), 9)
    array([[[1, 9, 2]]], dtype=uint8)
    """

    def __init__(self, mask: NDArray[np.bool_], *, threads: int | None = None) -> None:
        if mask.ndim != 3:
            raise ValueError(f"mask has shape {mask.shape}, expected (z, y, x)")
        self.mask = np.ascontiguousarray(mask)
        self._threads = available_threads(threads)
        self._starts = np.concatenate([[0], np.cumsum(np.count_nonzero(self.mask, axis=(1, 2)))])

    @property
    def count(self) -> int:
        """Number of voxels."""
        return int(self._starts[-1])

    def values(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Return the values (voxel,) of a volume (z, y, x)."""
        if volume.shape != self.mask.shape:
            raise ValueError(f"volume has shape {volume.shape}, the mask {self.mask.shape}")
        out = np.empty(self.count, volume.dtype)
        self._by_slice(range(len(self.mask)), lambda z, low, high: _take(self.mask[z], volume[z], out[low:high]))
        return out

    def volume(self, values: NDArray[Any], outside: float) -> NDArray[Any]:
        """Return a volume (z, y, x) of values (voxel,), `outside` elsewhere."""
        out = np.empty(self.mask.shape, values.dtype)
        self.fill(out, range(len(self.mask)), values, outside)
        return out

    def fill(self, volume: NDArray[Any], slices: range, values: NDArray[Any], outside: float) -> None:
        """Write the values (voxel,) of some slices (z) into a volume (z, y, x), `outside` elsewhere in these slices."""
        low, high = self.bounds(slices)
        if values.shape != (high - low,):
            raise ValueError(f"values have shape {values.shape}, {high - low} voxels are inside")
        if volume.shape != self.mask.shape:
            raise ValueError(f"volume has shape {volume.shape}, the mask {self.mask.shape}")
        elsewhere = volume.dtype.type(outside)

        def put(z: int, low_z: int, high_z: int) -> None:
            _put(self.mask[z], values[low_z - low : high_z - low], elsewhere, volume[z])

        self._by_slice(slices, put)

    def bounds(self, slices: range) -> tuple[int, int]:
        """Return the first voxel of some slices (z), and the one after the last."""
        return int(self._starts[slices.start]), int(self._starts[slices.stop])

    def parts(self, most: int) -> list[range]:
        """Divide the slices into ranges of about `most` voxels, at least one slice each."""
        marks = np.searchsorted(self._starts, np.arange(most, self.count, most))
        ends = np.unique([0, *marks, len(self.mask)]).tolist()
        return [range(*pair) for pair in itertools.pairwise(ends)]

    def _by_slice(self, slices: range, work: Callable[[int, int, int], None]) -> None:
        run_tasks(lambda z: work(z, int(self._starts[z]), int(self._starts[z + 1])), slices, self._threads)


@njit(nogil=True, cache=True, error_model="numpy")
def _take(mask: Any, plane: Any, out: Any) -> None:
    k = 0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                out[k] = plane[y, x]
                k += 1


@njit(nogil=True, cache=True, error_model="numpy")
def _put(mask: Any, values: Any, outside: Any, plane: Any) -> None:
    k = 0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                plane[y, x] = values[k]
                k += 1
            else:
                plane[y, x] = outside
