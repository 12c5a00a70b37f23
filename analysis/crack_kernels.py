"""Compiled kernel for the direction of cracks: how the crack voxels around a voxel are spread."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, nogil=True)
def neighbour_spread(
    mask: NDArray[np.bool_],
    centres: NDArray[np.integer],
    radius: int,
    spread: NDArray[np.floating],
    count: NDArray[np.integer],
) -> None:
    """Covariance [n, 3, 3] of the positions of crack voxels within `radius` of each centre, and their number."""
    nz, ny, nx = mask.shape
    for c in range(centres.shape[0]):
        z, y, x = centres[c]
        number = 0
        first = np.zeros(3)
        second = np.zeros((3, 3))
        for dz in range(-radius, radius + 1):
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    inside = dz * dz + dy * dy + dx * dx <= radius * radius
                    inside = inside and 0 <= z + dz < nz and 0 <= y + dy < ny and 0 <= x + dx < nx
                    if not inside or not mask[z + dz, y + dy, x + dx]:
                        continue
                    number += 1
                    lag = (dz, dy, dx)
                    for i in range(3):
                        first[i] += lag[i]
                        for j in range(3):
                            second[i, j] += lag[i] * lag[j]
        count[c] = number
        for i in range(3):
            for j in range(3):
                spread[c, i, j] = second[i, j] / number - first[i] * first[j] / number**2
