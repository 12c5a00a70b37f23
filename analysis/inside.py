"""Values of the voxels inside a mask as one row, and such rows as volumes again."""

from __future__ import annotations

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
        self._ends = np.cumsum(np.count_nonzero(self.mask, axis=(1, 2)))

    @property
    def count(self) -> int:
        """Number of voxels."""
        return int(self._ends[-1])

    def values(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Return the values (voxel,) of a volume (z, y, x)."""
        if volume.shape != self.mask.shape:
            raise ValueError(f"volume has shape {volume.shape}, the mask {self.mask.shape}")
        out = np.empty(self.count, volume.dtype)
        self._by_slice(lambda z, part: _take(self.mask[z], volume[z], out[part]))
        return out

    def volume(self, values: NDArray[Any], outside: float) -> NDArray[Any]:
        """Return a volume (z, y, x) of values (voxel,), `outside` elsewhere."""
        if values.shape != (self.count,):
            raise ValueError(f"values have shape {values.shape}, {self.count} voxels are inside")
        out, elsewhere = np.empty(self.mask.shape, values.dtype), values.dtype.type(outside)
        self._by_slice(lambda z, part: _put(self.mask[z], values[part], elsewhere, out[z]))
        return out

    def _by_slice(self, work: Any) -> None:
        starts = np.concatenate([[0], self._ends[:-1]])
        run_tasks(lambda z: work(z, slice(starts[z], self._ends[z])), range(len(self.mask)), self._threads)


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
