"""Filtered back-projection of parallel-beam projections as they arrive: batches, any order of angles, exact gain.

The rotation axis is vertical: a detector row sees one slice. Angles are in degrees and grow counter-clockwise seen
from above. A point at (x, y) from the axis, x along the detector columns and y along the beam at angle 0, is seen
at column ``axis + x cos(angle) + y sin(angle)``. Volumes have axes (z, y, x) with z = detector row; a slice drawn
with its first row on top is the view from above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from analysis import backprojection as kernels
from analysis.angles import angle_weights
from analysis.boxes import Box, checked_box, rows_of_alike_work
from analysis.numbers import not_finite, real_array
from analysis.projection_geometry import ProjectionGeometry
from analysis.ramp_filter import fast_even_length, interpolated_noise_gain, ramp_response
from analysis.resampling import resample_rows
from analysis.threads import available_threads, run_tasks
from analysis.volume import Volume

__all__ = ["FilteredBackProjection", "Volume", "angle_weights", "reconstruct"]

_PENDING = 32
_SAMPLES_AT_ONCE = 2**17


class FilteredBackProjection:
    """Volume that grows as projections are added, in any order and in batches of any size.

    Parameters
    ----------
    angles : degrees (angle,); of all projections that will be added, in the order of their index
    shape : (rows, columns) of a projection
    axis : column of the rotation axis; column 0 is the centre of the first one
    pixel_size : um per detector pixel, at the sample
    voxel_size : um; None takes `pixel_size`. Where it differs, the object is scaled about the optical axis (middle
        row, rotation axis), so that tomograms at different magnifications fall on one grid
    shifts : pixels (dy, dx), one pair or one per angle: how far a projection is displaced from where it should be, as
        `analysis.registration.find_shift` gives it. Along the row it is undone in the back-projection, without cost
        and without a second interpolation
    size : voxels along x and y; None takes the number of columns. The inscribed circle is reconstructed
    n_slices : voxels along z, about the middle row; None takes the number of rows
    box : part (z, y, x) of these voxels that is reconstructed, in time and memory that go with its size; None: all
    outside : value of voxels beyond the inscribed circle
    threads : None uses all processors of this process
    reuse : a finished one, whose memory is taken over as far as it fits; it cannot be used any more

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
        box: Box | None = None,
        outside: float = 0.0,
        threads: int | None = None,
        reuse: FilteredBackProjection | None = None,
    ) -> None:
        self.geometry = ProjectionGeometry.checked(
            angles,
            shape,
            axis=axis,
            pixel_size=pixel_size,
            voxel_size=voxel_size,
            shifts=shifts,
            size=size,
            n_slices=n_slices,
        )
        self.threads = available_threads(threads)
        self._box = checked_box(box, (self.geometry.n_slices, self.geometry.size, self.geometry.size))
        self._window = self._box[1].start, self._box[2].start, self.shape[2]  # first row, first column, columns
        self._outside = np.float32(outside)
        self._weights = angle_weights(self.geometry.angles)
        self._used = np.zeros(len(self._weights), dtype=np.bool_)
        self._slots: list[int] = []
        self._first_columns, self._centres = self.geometry.first_columns, self.geometry.centres
        self._taps = self.geometry.row_taps(self._box[0])
        self._plan_filter()
        self._allocate(reuse)

    def _plan_filter(self) -> None:
        geometry = self.geometry
        first, last = int(self._first_columns.min()), int(self._first_columns.max()) + geometry.samples - 1
        self._length = fast_even_length(max(2 * max(geometry.columns - 1 - first, last), geometry.samples))
        slabs_at_once = max(_SAMPLES_AT_ONCE // self._length // kernels.LANES, 1)
        self._rows_at_once = slabs_at_once * kernels.LANES
        response = ramp_response(self._length, step=geometry.step)
        self._response = np.concatenate([response, response[-2:0:-1]]).astype(np.float32)  # of all frequencies
        self._filter_gain = interpolated_noise_gain(response)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (z, y, x) that are reconstructed."""
        z, y, x = (part.stop - part.start for part in self._box)
        return z, y, x

    def _allocate(self, reuse: FilteredBackProjection | None) -> None:
        self._slabs = -(-self.shape[0] // kernels.LANES)
        pending = (self._slabs, _PENDING, self.geometry.samples, kernels.LANES)
        image = (self._slabs, *self.shape[1:], kernels.LANES)
        old = (None, None) if reuse is None else reuse._give_up()
        self._pending = kernels.zeros_of_shape(pending, old[0])
        self._image = kernels.zeros_of_shape(image, old[1])

    def _give_up(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Hand over the memory and be of no further use."""
        memory = self._pending, self._image
        self._pending = self._image = np.empty(0, dtype=np.float32)
        self._used = np.zeros(0, dtype=np.bool_)
        return memory

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
        stack = real_array("projections", projections)
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
        if indices.dtype.kind not in "iu" or indices.ndim != 1:
            raise ValueError(f"index has type {indices.dtype}, shape {indices.shape}; whole numbers are needed")
        expected = (len(indices), self.geometry.rows, self.geometry.columns)
        if stack.shape != expected:
            raise ValueError(f"projections have shape {stack.shape}, expected {expected}")
        bad = indices[(indices < 0) | (indices >= len(self._used))]
        if bad.size:
            raise ValueError(f"index {bad[0]} is outside 0..{len(self._used) - 1} of the angles")
        distinct, times = np.unique(indices, return_counts=True)
        twice = distinct[self._used[distinct] | (times > 1)]
        if twice.size:
            raise ValueError(f"projection {twice[0]} was added before")

    def _filter(self, stack: NDArray[np.generic], indices: NDArray[np.integer]) -> None:
        first = len(self._slots)
        group = max(1, min(self._rows_at_once // self.shape[0], -(-len(indices) // self.threads)))
        starts = range(0, len(indices), group)
        parts = [(stack[k : k + group], indices[k : k + group], first + k) for k in starts]
        run_tasks(lambda part: self._filter_part(*part), parts, self.threads)
        self._slots.extend(int(index) for index in indices)
        self._used[indices] = True

    def _filter_part(self, stack: NDArray[np.generic], indices: NDArray[np.integer], slot: int) -> None:
        """Filter a few projections: enough rows at a time to be fast, and few enough to stay in the cache."""
        slices = self._slices(stack, indices)
        for first in range(0, self.shape[0], self._rows_at_once):
            block = slices[:, first : first + self._rows_at_once]
            pairs = scipy.fft.fft(kernels.paired(block, self._length), axis=2, overwrite_x=True)
            if not np.isfinite(pairs[:, :, 0]).all():
                raise not_finite("projection", stack, indices)
            pairs *= self._response
            pairs = scipy.fft.ifft(pairs, axis=2, overwrite_x=True)
            for k, index in enumerate(indices):
                weight = np.float32(self._weights[index] / self.geometry.pixel_size)
                for lanes in range(0, block.shape[1], kernels.LANES):
                    kernels.interleave(
                        pairs[k, lanes // 2 : (lanes + kernels.LANES) // 2],
                        int(self._first_columns[index]),
                        weight,
                        self._pending[(first + lanes) // kernels.LANES, slot + k],
                    )

    def _slices(self, stack: NDArray[np.generic], indices: NDArray[np.integer]) -> NDArray[np.float32]:
        """Rows of projections on the heights of the slices."""
        rows = np.ascontiguousarray(stack, dtype=np.float32)
        taps = [self._taps[dy] for dy in self.geometry.shifts[indices, 0].tolist()]
        if all(weights is None for weights in taps):
            return rows[:, self._box[0]]
        out = np.empty((len(rows), self.shape[0], self.geometry.columns), dtype=np.float32)
        for projection, weights, target in zip(rows, taps, out, strict=True):
            if weights is None:
                target[:] = projection[self._box[0]]
            else:
                resample_rows(projection, weights.first, weights.weights, target)
        return out

    def _flush(self) -> None:
        """Back-project what has been filtered."""
        if not self._slots:
            return
        group, geometry = kernels.ANGLES_PER_PASS, self.geometry
        count = -(-len(self._slots) // group) * group
        self._pending[:, len(self._slots) : count] = 0.0
        slots = np.resize(self._slots, count)
        radians = np.deg2rad(geometry.angles[slots])
        cosines = (geometry.step * np.cos(radians)).astype(np.float32)
        sines = (geometry.step * np.sin(radians)).astype(np.float32)
        centres, window = self._centres[slots], self._window

        def back_project(piece: tuple[int, int, int]) -> None:
            slab, start, stop = piece
            sinogram = self._pending[slab, :count].reshape(-1)
            image = self._image[slab].reshape(-1)
            where = geometry.size, window, start, stop
            kernels.back_project(sinogram, geometry.samples, cosines, sines, centres, image, *where)

        run_tasks(back_project, self._pieces(), self.threads)
        self._slots.clear()

    def _pieces(self) -> list[tuple[int, int, int]]:
        """(slab, first row, last row): pieces of alike work, enough of them to keep every thread busy."""
        count = 1 if self.threads == 1 else math.ceil(4 * self.threads / self._slabs)
        cuts = rows_of_alike_work(self.geometry.size, self._box, count)
        return [(slab, *ends) for slab in range(self._slabs) for ends in cuts]

    def volume(self, *, out: NDArray[np.float32] | None = None) -> Volume:
        """Volume of the projections added so far; more may be added afterwards.

        With a part of the planned projections, all are scaled up to the weight of the plan: good for an even choice
        of angles (golden-angle or interleaved order), a sketch otherwise.

        Parameters
        ----------
        out : float32 (z, y, x), C-contiguous; written and returned as the values, where a new array would cost time

        Raises
        ------
        ValueError
            when there is no projection yet, or `out` does not fit
        """
        if not self._used.any():
            raise ValueError("no projection has been added: there is no volume yet")
        self._flush()
        shape, grid = self.shape, (self.geometry.size, self._window)
        values = np.empty(shape, dtype=np.float32) if out is None else out
        if values.shape != shape or values.dtype != np.float32 or not values.flags.c_contiguous:
            raise ValueError(f"out is {values.dtype} {values.shape}, expected contiguous float32 {shape}")
        scale = np.float32(np.sum(self._weights) / np.sum(self._weights[self._used]))

        def unfold(piece: tuple[int, int, int]) -> None:
            slab, start, stop = piece
            part = values[slab * kernels.LANES : (slab + 1) * kernels.LANES]
            kernels.deinterleave(self._image[slab], scale, self._outside, part, *grid, start, stop)

        run_tasks(unfold, self._pieces(), self.threads)
        measured = self._measured_slices()
        if not measured.all():
            values[~measured] = np.nan
        return Volume(
            values=values,
            voxel_size=self.geometry.voxel_size,
            noise_gain=float(scale) * self._noise_gain(),
            angles_used=int(np.count_nonzero(self._used)),
            field_radius=self.geometry.field_radius(self._used),
            measured=measured,
        )

    def _measured_slices(self) -> NDArray[np.bool_]:
        measured = np.ones(self.shape[0], dtype=np.bool_)
        for dy in np.unique(self.geometry.shifts[self._used, 0]).tolist():
            taps = self._taps[dy]
            if taps is not None:
                measured &= taps.inside
        return measured

    def _noise_gain(self) -> float:
        along_rows = {dy: 1.0 if taps is None else taps.noise_gain for dy, taps in self._taps.items()}
        down_columns = np.array([along_rows[dy] for dy in self.geometry.shifts[self._used, 0].tolist()])
        total = float(np.linalg.norm(self._weights[self._used] * down_columns))
        return total * self._filter_gain / self.geometry.pixel_size


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
    box: Box | None = None,
    outside: float = 0.0,
    threads: int | None = None,
) -> Volume:
    """Filtered back-projection of a complete set of projections.

    Parameters
    ----------
    projections : (angle, row, column), optical density (`analysis.flatfield.optical_density`, its `filled()`)
    angles : degrees (angle,), any order
    axis : column of the rotation axis (`analysis.rotation_axis.find_axis`)
    pixel_size, voxel_size, shifts, size, n_slices, box, outside, threads : as of `FilteredBackProjection`

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
    stack = real_array("projections", projections)
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
        box=box,
        outside=outside,
        threads=threads,
    )
    sink.add(stack, np.arange(len(stack)))
    return sink.volume()
