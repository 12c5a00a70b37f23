"""Filtered back-projection of parallel-beam projections as they arrive: batches, any order of angles, exact gain.

Geometry. The rotation axis is vertical: a detector row sees one slice. Angles are in
degrees and grow counter-clockwise seen from above. A point at (x, y) from the axis, x along the detector columns and y along
the beam at angle 0, is seen at column ``axis + x cos(angle) + y sin(angle)``. Volumes have axes (z, y, x) with z = detector row;
a slice drawn with its first row on top is the view from above.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from analysis import backprojection as kernels
from analysis.angles import angle_weights, checked_angles
from analysis.ramp_filter import (
    fast_even_length,
    interpolated_noise_gain,
    ramp_response,
)
from analysis.resampling import Taps, cubic_taps, resample_rows
from analysis.threads import available_threads, run_tasks

__all__ = ["FilteredBackProjection", "Volume", "angle_weights", "reconstruct"]

_PENDING = 32


@dataclass(frozen=True, slots=True)
class Volume:
    """Reconstructed linear attenuation.

    Attributes
    ----------
    values : float32 (z, y, x), 1/um when the pixel size was given in um; slices that the detector did not see at every
        angle are NaN
    voxel_size : um
    noise_gain : standard deviation of a voxel per unit standard deviation of a projection's pixels (white noise), 1/um
    angles_used : number of projections in the volume
    field_radius : um; radius around the axis that every projection has seen. Voxels beyond it are right only if there is
        nothing beyond it
    measured : bool (z,); the slice lies on the detector in every projection
    """

    values: NDArray[np.float32]
    voxel_size: float
    noise_gain: float
    angles_used: int
    field_radius: float
    measured: NDArray[np.bool_]


class FilteredBackProjection:
    """Volume that grows as projections are added, in any order and in batches of any size.

    Parameters
    ----------
    angles : degrees (angle,); of all projections that will be added, in the order of their index
    shape : (rows, columns) of a projection
    axis : column of the rotation axis; column 0 is the centre of the first one
    pixel_size : um per detector pixel, at the sample
    voxel_size : um; None takes `pixel_size`. Where it differs, the object is scaled about the optical axis (middle row,
        rotation axis), so that tomograms at different magnifications fall on one grid
    shifts : pixels (dy, dx), one pair or one per angle: how far a projection is displaced from where it should be (what
        `analysis.registration.find_shift` returns for it); undone in the back-projection, free of cost and of interpolation along the row
    size : voxels along x and y; None takes the number of columns. The inscribed circle is reconstructed
    n_slices : voxels along z, about the middle row; None takes the number of rows
    outside : value of voxels beyond the inscribed circle
    threads : None uses all processors of this process

    Raises
    ------
    ValueError
        for a size, an angle, a shift or an axis that cannot be, naming it
    """

    def __init__(
        self,
        angles: ArrayLike,
        shape: tuple[int, int],
        *,
        axis: float,
        pixel_size: float = 1.0,
        voxel_size: float | None = None,
        shifts: ArrayLike | None = None,
        size: int | None = None,
        n_slices: int | None = None,
        outside: float = 0.0,
        threads: int | None = None,
    ) -> None:
        self.angles = checked_angles(angles)
        self.rows, self.columns = _checked_shape(shape)
        self.pixel_size = _positive("pixel_size", pixel_size, "um")
        self.voxel_size = self.pixel_size if voxel_size is None else _positive("voxel_size", voxel_size, "um")
        self.size = self.columns if size is None else _count("size", size)
        self.n_slices = self.rows if n_slices is None else _count("n_slices", n_slices)
        self.threads = available_threads(threads)
        self._step = self.voxel_size / self.pixel_size
        self._axis = _axis_inside(axis, self.columns)
        self._shifts = _checked_shifts(shifts, len(self.angles))
        self._weights = angle_weights(self.angles)
        self._outside = float(outside)
        self._used = np.zeros(len(self.angles), dtype=np.bool_)
        self._plan_filter()
        self._taps = self._plan_rows()
        self._allocate()

    def _plan_filter(self) -> None:
        reach = math.ceil(0.5 * (self.size - 1) * self._step)
        self._samples = 2 * reach + 2
        on_axis = self._axis + self._shifts[:, 1]
        self._starts = np.floor(on_axis).astype(np.int64) - reach
        self._centres = (on_axis - self._starts).astype(np.float32)
        lag = max(self.columns - 1 - int(self._starts.min()), int(self._starts.max()) + self._samples - 1)
        self._length = fast_even_length(max(2 * lag, self._samples))
        self._response = ramp_response(self._length, step=self._step)

    def _plan_rows(self) -> dict[float, Taps | None]:
        """Row taps per vertical shift; None where a slice is a row."""
        heights = (np.arange(self.n_slices) - 0.5 * (self.n_slices - 1)) * self._step
        plain = self._step == 1.0 and self.n_slices == self.rows
        return {
            dy: None
            if plain and dy == 0.0
            else cubic_taps(0.5 * (self.rows - 1) + dy + heights, self.rows, step=self._step)
            for dy in np.unique(self._shifts[:, 0]).tolist()
        }

    def _allocate(self) -> None:
        self._slabs = -(-self.n_slices // kernels.LANES)
        per_angle = self._samples * kernels.LANES
        pending = kernels.aligned_zeros(self._slabs * _PENDING * per_angle)
        self._pending = pending.reshape(self._slabs, _PENDING, self._samples, kernels.LANES)
        image = kernels.aligned_zeros(self._slabs * self.size**2 * kernels.LANES)
        self._image = image.reshape(self._slabs, self.size, self.size, kernels.LANES)
        self._slots: list[int] = []

    def add(self, projections: ArrayLike, index: int | Sequence[int] | NDArray[np.integer]) -> None:
        """Filter and back-project optical densities.

        Parameters
        ----------
        projections : (rows, columns) or (projection, rows, columns), optical density
        index : position of each of them in `angles`

        Raises
        ------
        ValueError
            for a wrong shape, an index that does not exist or was added before, or values that are not finite
        """
        stack = np.asarray(projections)
        indices = np.atleast_1d(np.asarray(index))
        if stack.ndim == 2:
            stack = stack[None]
        self._check_batch(stack, indices)
        done = 0
        while done < len(indices):
            room = min(_PENDING - len(self._slots), len(indices) - done)
            self._filter(stack[done : done + room], indices[done : done + room])
            done += room
            if len(self._slots) == _PENDING:
                self._flush()

    def _check_batch(self, stack: NDArray[np.generic], indices: NDArray[np.integer]) -> None:
        expected = (len(indices), self.rows, self.columns)
        if stack.shape != expected:
            raise ValueError(f"projections have shape {stack.shape}, expected {expected}")
        bad = indices[(indices < 0) | (indices >= len(self.angles))]
        if bad.size:
            raise ValueError(f"index {bad[0]} is outside 0..{len(self.angles) - 1} of the angles")
        if self._used[indices].any() or len(np.unique(indices)) != len(indices):
            twice = indices[self._used[indices]] if self._used[indices].any() else indices
            raise ValueError(f"projection {twice[0]} was added before")

    def _filter(self, stack: NDArray[np.generic], indices: NDArray[np.integer]) -> None:
        first = len(self._slots)
        tasks = [(stack[k], int(index), first + k) for k, index in enumerate(indices)]
        run_tasks(lambda task: self._filter_one(*task), tasks, self.threads)
        self._slots.extend(int(index) for index in indices)
        self._used[indices] = True

    def _filter_one(self, projection: NDArray[np.generic], index: int, slot: int) -> None:
        rows = np.ascontiguousarray(projection, dtype=np.float32)
        if not math.isfinite(float(np.sum(rows, dtype=np.float64))):
            count = int(np.count_nonzero(~np.isfinite(rows)))
            raise ValueError(f"projection {index} has {count} values that are not finite; fill them first")
        taps = self._taps[float(self._shifts[index, 0])]
        if taps is not None:
            out = np.empty((self.n_slices, self.columns), dtype=np.float32)
            resample_rows(rows, taps.first, taps.weights, out)
            rows = out
        factor = (self._response * (self._weights[index] / self.pixel_size)).astype(np.float32)
        for slab in range(self._slabs):
            part = rows[slab * kernels.LANES : (slab + 1) * kernels.LANES]
            spectrum = scipy.fft.rfft(part, n=self._length, axis=1)
            spectrum *= factor
            filtered = scipy.fft.irfft(spectrum, n=self._length, axis=1, overwrite_x=True)
            kernels.interleave(filtered, int(self._starts[index]), self._pending[slab, slot])

    def _flush(self) -> None:
        if not self._slots:
            return
        group = kernels.ANGLES_PER_PASS
        count = -(-len(self._slots) // group) * group
        self._pending[:, len(self._slots) : count] = 0.0
        slots = np.resize(self._slots, count)
        radians = np.deg2rad(self.angles[slots])
        centres = self._centres[slots]
        cosines = (self._step * np.cos(radians)).astype(np.float32)
        sines = (self._step * np.sin(radians)).astype(np.float32)

        def back_project(task: tuple[int, int, int]) -> None:
            slab, start, stop = task
            sinogram = self._pending[slab, :count].reshape(-1)
            image = self._image[slab].reshape(-1)
            kernels.back_project(
                sinogram,
                self._samples,
                cosines,
                sines,
                centres,
                image,
                self.size,
                start,
                stop,
            )

        run_tasks(back_project, self._strips(), self.threads)
        self._slots.clear()

    def _strips(self) -> list[tuple[int, int, int]]:
        """(slab, first row, last row) pieces of work: enough of them to keep every thread busy."""
        pieces = 1 if self.threads == 1 else max(1, math.ceil(4 * self.threads / self._slabs))
        bounds = np.linspace(0, self.size, pieces + 1).astype(int)
        return [(slab, int(a), int(b)) for slab in range(self._slabs) for a, b in itertools.pairwise(bounds)]

    def volume(self) -> Volume:
        """Volume of the projections added so far; more may be added afterwards.

        With a part of the planned projections, all are scaled up to the weight of the plan: good for an even choice of angles
        (golden-angle or interleaved order), a sketch otherwise.

        Raises
        ------
        ValueError
            when there is no projection yet
        """
        if not self._used.any():
            raise ValueError("no projection has been added: there is no volume yet")
        self._flush()
        scale = float(np.sum(self._weights) / np.sum(self._weights[self._used]))
        values = np.empty((self.n_slices, self.size, self.size), dtype=np.float32)
        fill = np.float32(self._outside)

        def unfold(slab: int) -> None:
            part = values[slab * kernels.LANES : (slab + 1) * kernels.LANES]
            kernels.deinterleave(self._image[slab], np.float32(scale), fill, part)

        run_tasks(unfold, range(self._slabs), self.threads)
        measured = self._measured_slices()
        values[~measured] = np.nan
        return Volume(
            values=values,
            voxel_size=self.voxel_size,
            noise_gain=scale * self._noise_gain(),
            angles_used=int(np.count_nonzero(self._used)),
            field_radius=self._field_radius(),
            measured=measured,
        )

    def _measured_slices(self) -> NDArray[np.bool_]:
        measured = np.ones(self.n_slices, dtype=np.bool_)
        for dy in np.unique(self._shifts[self._used, 0]).tolist():
            taps = self._taps[dy]
            if taps is not None:
                measured &= taps.inside
        return measured

    def _noise_gain(self) -> float:
        rows = [
            1.0 if taps is None else taps.noise_gain
            for taps in (self._taps[dy] for dy in self._shifts[self._used, 0].tolist())
        ]
        total = math.sqrt(float(np.sum((self._weights[self._used] * np.asarray(rows)) ** 2)))
        return total * interpolated_noise_gain(self._response) / self.pixel_size

    def _field_radius(self) -> float:
        dx = self._shifts[self._used, 1]
        left = self._axis + float(np.min(dx)) + 0.5
        right = self.columns - 0.5 - self._axis - float(np.max(dx))
        return max(min(left, right), 0.0) * self.pixel_size


def reconstruct(
    projections: ArrayLike,
    angles: ArrayLike,
    *,
    axis: float,
    pixel_size: float = 1.0,
    voxel_size: float | None = None,
    shifts: ArrayLike | None = None,
    size: int | None = None,
    n_slices: int | None = None,
    outside: float = 0.0,
    threads: int | None = None,
) -> Volume:
    """Filtered back-projection of a complete set of projections (angle, row, column); options of `FilteredBackProjection`.

    Examples
    --------
    A disc of attenuation 0.5 /um and radius 10 um, centred on the axis, looks the same from every side:

    >>> column = np.arange(64) - 31.5
    >>> chord = 2 * np.sqrt(np.maximum(10.0**2 - column**2, 0))
    >>> projections = np.tile(0.5 * chord, (90, 1, 1))
    >>> volume = reconstruct(projections, np.arange(90) * 2.0, axis=31.5, threads=1)
    >>> bool(abs(volume.values[0, 29:35, 29:35].mean() - 0.5) < 0.005)
    True
    """
    stack = np.asarray(projections)
    if stack.ndim != 3:
        raise ValueError(f"projections have shape {stack.shape}, expected (angle, row, column)")
    sink = FilteredBackProjection(
        angles,
        (stack.shape[1], stack.shape[2]),
        axis=axis,
        pixel_size=pixel_size,
        voxel_size=voxel_size,
        shifts=shifts,
        size=size,
        n_slices=n_slices,
        outside=outside,
        threads=threads,
    )
    sink.add(stack, np.arange(len(stack)))
    return sink.volume()


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    rows, columns = shape
    if rows < 1 or columns < 2:
        raise ValueError(f"shape {tuple(shape)} of a projection is below (1, 2)")
    return int(rows), int(columns)


def _checked_shifts(shifts: ArrayLike | None, count: int) -> NDArray[np.float64]:
    """Shifts as (angle, 2), finite."""
    pairs = np.asarray((0.0, 0.0) if shifts is None else shifts, dtype=np.float64)
    if pairs.shape not in ((2,), (count, 2)):
        raise ValueError(f"shifts have shape {pairs.shape}, expected (2,) or ({count}, 2): dy, dx")
    if not np.isfinite(pairs).all():
        raise ValueError("shifts hold values that are not finite: leave out the projections that have none")
    return np.broadcast_to(pairs, (count, 2)).copy()


def _axis_inside(axis: float, columns: int) -> float:
    if not -0.5 <= axis <= columns - 0.5:
        raise ValueError(f"axis {axis} is outside columns -0.5..{columns - 0.5}")
    return float(axis)


def _positive(name: str, value: float, unit: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} {value} {unit} is not above 0")
    return float(value)


def _count(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name} {value} is below 1")
    return int(value)
