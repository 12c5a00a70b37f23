"""Where voxels fall on the detector: one checked description for all reconstructions of a tomogram."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.angles import checked_angles
from analysis.numbers import real_array, whole_number
from analysis.resampling import Taps, cubic_taps


@dataclass(frozen=True, slots=True)
class ProjectionGeometry:
    """Parallel-beam geometry. A voxel (x, y, z), in um from the rotation axis and the middle row, is seen at

    ``column = axis + dx + (x cos(angle) + y sin(angle)) / pixel_size``, ``row = middle + dy + z / pixel_size``.

    Attributes
    ----------
    angles : float64 (angle,), degrees
    rows, columns : of a projection
    axis : column of the rotation axis
    shifts : float64 (angle, 2), pixels (dy, dx) by which a projection is displaced
    pixel_size, voxel_size : um
    size, n_slices : voxels along x and y, and along z
    """

    angles: NDArray[np.float64]
    rows: int
    columns: int
    axis: float
    shifts: NDArray[np.float64]
    pixel_size: float
    voxel_size: float
    size: int
    n_slices: int

    @classmethod
    def checked(
        cls,
        angles: ArrayLike,
        shape: tuple[int, int],
        *,
        axis: float,
        pixel_size: float = 1.0,
        voxel_size: float | None = None,
        shifts: ArrayLike | None = None,
        size: int | None = None,
        n_slices: int | None = None,
    ) -> ProjectionGeometry:
        """Geometry from what a caller gives; ValueError names what cannot be."""
        degrees = checked_angles(angles)
        if len(shape) != 2:
            raise ValueError(f"shape {tuple(shape)} of a projection is not (rows, columns)")
        rows, columns = whole_number("rows", shape[0]), whole_number("columns", shape[1], least=2)
        if not -0.5 <= axis <= columns - 0.5:
            raise ValueError(f"axis {axis} is outside columns -0.5..{columns - 0.5}")
        pixel = _positive("pixel_size", pixel_size)
        return cls(
            angles=degrees,
            rows=rows,
            columns=columns,
            axis=float(axis),
            shifts=_checked_shifts(shifts, len(degrees), columns),
            pixel_size=pixel,
            voxel_size=pixel if voxel_size is None else _positive("voxel_size", voxel_size),
            size=columns if size is None else whole_number("size", size),
            n_slices=rows if n_slices is None else whole_number("n_slices", n_slices),
        )

    @property
    def step(self) -> float:
        """Voxel size over pixel size."""
        return self.voxel_size / self.pixel_size

    @property
    def reach(self) -> int:
        """Whole pixels from the axis to the inscribed circle of the grid."""
        return math.ceil(0.5 * (self.size - 1) * self.step)

    @property
    def samples(self) -> int:
        """Columns that the inscribed circle needs on each projection."""
        return 2 * self.reach + 2

    @property
    def first_columns(self) -> NDArray[np.int64]:
        """First of these columns (angle,); it may lie off the detector."""
        return np.floor(self.axis + self.shifts[:, 1]).astype(np.int64) - self.reach

    @property
    def centres(self) -> NDArray[np.float32]:
        """Place of the axis (angle,), counted from `first_columns`."""
        return (self.axis + self.shifts[:, 1] - self.first_columns).astype(np.float32)

    def row_taps(self, slices: slice = slice(None)) -> dict[float, Taps | None]:
        """For each vertical shift, the weights that make `slices` of rows; None where a slice is a row."""
        heights = (np.arange(self.n_slices)[slices] - 0.5 * (self.n_slices - 1)) * self.step
        plain = self.step == 1.0 and self.n_slices == self.rows
        return {
            dy: None
            if plain and dy == 0.0
            else cubic_taps(0.5 * (self.rows - 1) + dy + heights, self.rows, step=self.step)
            for dy in np.unique(self.shifts[:, 0]).tolist()
        }

    def field_radius(self, used: NDArray[np.bool_] | None = None) -> float:
        """Radius (um) about the axis that every projection, or every one in `used`, has seen."""
        dx = self.shifts[:, 1] if used is None else self.shifts[used, 1]
        left = self.axis + float(np.min(dx)) + 0.5
        right = self.columns - 0.5 - self.axis - float(np.max(dx))
        return max(min(left, right), 0.0) * self.pixel_size


def _checked_shifts(shifts: ArrayLike | None, count: int, columns: int) -> NDArray[np.float64]:
    """Shifts as (angle, 2), finite, that leave something of the object on the detector."""
    pairs = real_array("shifts", (0.0, 0.0) if shifts is None else shifts, np.float64)
    if pairs.shape not in ((2,), (count, 2)):
        raise ValueError(f"shifts have shape {pairs.shape}, expected (2,) or ({count}, 2): dy, dx")
    if not np.isfinite(pairs).all():
        raise ValueError("shifts hold values that are not finite: leave out the projections that have none")
    far = float(pairs[..., 1].flat[np.abs(pairs[..., 1]).argmax()])
    if abs(far) >= columns:
        raise ValueError(f"shift dx {far} px is outside -{columns}..{columns}, the columns of the detector")
    return np.broadcast_to(pairs, (count, 2)).copy()


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} {value} um is not above 0")
    return float(value)
