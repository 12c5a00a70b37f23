"""Parts of a volume: boxes (z, y, x) of voxels, around what is wanted, and cut into pieces for several processors."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


def checked_box(box: Box | None, shape: tuple[int, int, int]) -> Box:
    """Return `box` with whole numbers for its bounds; None is all of `shape` (z, y, x).

    Raises
    ------
    ValueError
        when it is empty, has a step, or reaches beyond the volume

    Examples
    --------
    >>> checked_box((slice(None), slice(2, None), slice(0, 3)), (5, 5, 5))
    (slice(0, 5, None), slice(2, 5, None), slice(0, 3, None))
    """
    if box is None:
        return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])
    if len(box) != 3:
        raise ValueError(f"box {box} is not three slices (z, y, x)")
    parts = []
    for axis, part, length in zip("zyx", box, shape, strict=True):
        start, stop = 0 if part.start is None else part.start, length if part.stop is None else part.stop
        if part.step not in (None, 1) or not 0 <= start < stop <= length:
            raise ValueError(f"box takes {part} along {axis}; 0 <= start < stop <= {length}, without a step, is needed")
        parts.append(slice(start, stop))
    return parts[0], parts[1], parts[2]


def box_around(mask: NDArray[np.bool_]) -> Box:
    """Return the smallest box that holds all of a mask (z, y, x) which is not empty.

    Examples
    --------
    >>> mask = np.zeros((3, 4, 5), bool)
    >>> mask[1, 2:4, 3] = True
    >>> box_around(mask)
    (slice(1, 2, None), slice(2, 4, None), slice(3, 4, None))
    """
    spans = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        spans.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return spans[0], spans[1], spans[2]


def rows_of_alike_work(size: int, box: Box, count: int) -> list[tuple[int, int]]:
    """Cut the rows y of a box into `count` pieces that hold about as many voxels of the grid's inscribed circle.

    Parameters
    ----------
    size : voxels along x and y of the grid
    box : part of it
    count : number of pieces

    Examples
    --------
    >>> rows_of_alike_work(8, checked_box(None, (1, 8, 8)), 2)
    [(0, 4), (4, 8)]
    """
    _, rows, columns = box
    half = 0.5 * size
    middle = np.arange(rows.start, rows.stop) + 0.5 - half
    reach = np.sqrt(np.maximum(half**2 - middle**2, 0.0))
    width = np.minimum(reach, columns.stop - half) + np.minimum(reach, half - columns.start)
    work = np.cumsum(np.maximum(width, 0.0))
    inner = rows.start + np.searchsorted(work, work[-1] * np.arange(1, count) / count, side="right")
    return list(itertools.pairwise([rows.start, *(int(row) for row in inner), rows.stop]))
