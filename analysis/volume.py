"""A reconstructed volume with what is needed to judge its voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Volume:
    """Reconstructed linear attenuation.

    Attributes
    ----------
    values : float32 (z, y, x), 1/um when the pixel size was given in um; slices that the detector did not see at
        every angle are NaN
    voxel_size : um
    noise_gain : standard deviation of a voxel per unit standard deviation of a projection's pixels (white noise),
        1/um
    angles_used : number of projections in the volume
    field_radius : um; radius about the axis that every projection has seen. An object that reaches beyond it lowers all
        voxels by a smooth amount (to half, in the middle of one 1.3 times as wide): differences between neighbours
        are right, the attenuation itself is not
    measured : bool (z,); the slice lies on the detector in every projection
    """

    values: NDArray[np.float32]
    voxel_size: float
    noise_gain: float
    angles_used: int
    field_radius: float
    measured: NDArray[np.bool_]
