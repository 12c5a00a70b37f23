"""From the tomograms of a series, as they arrive, to a valence map that sharpens with every energy.

The first tomogram fixes the voxel grid, the rotation axis and the particle; every later one is scaled to that grid,
registered against the first across the change of contrast, reconstructed, and reduced to the voxels inside the
particle before the next is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from analysis.boxes import Box, box_around
from analysis.depth_profile import DepthProfile, depth_profile
from analysis.edge import Code
from analysis.incremental import RunningEdges
from analysis.inside import Inside
from analysis.live.densities import Densities, densities
from analysis.live.series import Tomogram
from analysis.live.valence_map import EnergyQuality, MapSettings, ValenceMap
from analysis.morphology import MorphologyError, particle_mask
from analysis.morphology import depth as depth_below_surface
from analysis.noise_correlation import noise_correlation, shell_factors
from analysis.registration import Shift, find_stack_shift, spread
from analysis.rotation_axis import RotationAxis, find_axis
from analysis.shells import ShellProfile, shell_profile
from analysis.tomography import FilteredBackProjection, Volume
from analysis.valence import Calibration, CalibrationError, calibration_from_references

__all__ = ["EnergyQuality", "MapSettings", "RegistrationError", "ValenceMap", "ValenceMapper"]

Float32Array = NDArray[np.float32]
_VOLUMES = "valence", "valence_sigma", "edge", "edge_sigma", "jump", "jump_sigma"  # of a map, in this order
_PART = 1 << 22  # voxels mapped together
_NO_SHIFT = Shift(dy=0.0, dx=0.0, sigma=0.0, quality=1.0, trusted=True, reason="")


class RegistrationError(ValueError):
    """The images of one energy cannot be brought onto those of the first."""


@dataclass(slots=True)
class _Frame:
    """What the first tomogram has fixed; voxels inside, depth and attenuation in the box around the particle."""

    reference: Float32Array
    projections_shape: tuple[int, ...]
    pixel_size: float
    axis: RotationAxis
    box: Box
    field_shape: tuple[int, int, int]
    inside: Inside
    depth: Float32Array
    attenuation: Float32Array
    shell_edges: NDArray[np.float64]
    factors: NDArray[np.float64]
    noise_factor: float
    running: RunningEdges
    shells: dict[int, ShellProfile] = field(default_factory=dict)
    quality: dict[int, EnergyQuality] = field(default_factory=dict)


class ValenceMapper:
    """Call `add` with each tomogram of a series, `result` for the map so far.

    Parameters
    ----------
    settings
        What the documents do not say.
    planned
        Energies of the plan in eV, in the order of the plan.
    tolerance
        Largest distance (eV) of a read-back from the plan. The fit uses read-backs, so the windows are widened by it:
        an energy planned on a border belongs to its window.
    threads
        None uses all processors of this process.
    """

    def __init__(
        self, settings: MapSettings, planned: Sequence[float], *, tolerance: float = 0.3, threads: int | None = None
    ) -> None:
        self.settings, self.planned, self._threads = settings, [float(energy) for energy in planned], threads
        pre, post = settings.normalisation.pre, settings.normalisation.post
        self.normalisation = replace(
            settings.normalisation,
            pre=(pre[0] - tolerance, pre[1] + tolerance),
            post=(post[0] - tolerance, post[1] + tolerance),
        )
        self._frame: _Frame | None = None
        self._builder: FilteredBackProjection | None = None  # its memory is handed on from energy to energy
        self._values: Float32Array | None = None
        self._projections: Float32Array | None = None

    def add(self, tomogram: Tomogram) -> EnergyQuality:
        """Take one energy; an energy that was taken before is replaced. After an error the map is as it was.

        Raises
        ------
        BlockError
            When its frames cannot be read.
        RegistrationError
            When it cannot be brought onto the first energy.
        ValueError
            When it is not part of the plan, or its frames show nothing that can be mapped.
        """
        if tomogram.planned not in self.planned:
            raise ValueError(f"{tomogram.planned} eV is not among the {len(self.planned)} energies of the series")
        index = self.planned.index(tomogram.planned)
        density = densities(tomogram, self.settings, threads=self._threads, out=self._projections)
        if self._frame is None:
            shift, volume = _NO_SHIFT, self._begin(tomogram, density)
        else:
            shift, volume = self._follow(self._frame, tomogram, density)
        self._projections = density.values  # written over by the next energy
        frame = self._frame
        assert frame is not None
        # What the projections' noise makes of a voxel, on the scale measured in the first tomogram.
        voxel_sigma = frame.noise_factor * volume.noise_gain * density.sigma
        shells = shell_profile(
            volume.values,
            np.float32(voxel_sigma),
            frame.depth,
            frame.shell_edges,
            correlation=frame.factors,
            threads=self._threads,
        )
        frame.running.add(index, frame.inside.values(volume.values), voxel_sigma, energy=tomogram.energy, replace=True)
        frame.shells[index] = shells
        quality = EnergyQuality(tomogram.energy, shift, voxel_sigma, density.invalid, density.photons)
        frame.quality[index] = quality
        return quality

    @property
    def ready(self) -> bool:
        """Whether the energies so far allow a map."""
        return self._frame is not None and self._frame.running.ready

    def result(self) -> ValenceMap:
        """The map of the energies so far; raises `ValueError` while `ready` is false."""
        frame = self._frame
        if frame is None or not frame.running.ready:
            raise ValueError("too few energies so far: a map needs one before, one in and one after the edge")
        calibration, inside = self._calibrate(frame), frame.inside
        shape = inside.mask.shape
        volumes = {name: np.empty(shape, np.float32) for name in _VOLUMES}
        code, rank = np.empty(shape, np.uint8), 0
        parts = inside.parts(_PART)
        for slices, edges in zip(parts, frame.running.parts([inside.bounds(part) for part in parts]), strict=True):
            estimate = calibration.valence(edges.energy, edges.sigma, code=edges.code, threads=self._threads)
            found = estimate.valence, estimate.sigma, edges.energy, edges.sigma, edges.jump, edges.jump_sigma
            for volume, values in zip(volumes.values(), found, strict=True):
                inside.fill(volume, slices, values, np.nan)
            inside.fill(code, slices, estimate.code, Code.NOT_MEASURED)
            rank = edges.rank
        z, y, x = (part.start for part in frame.box)
        return ValenceMap(
            **volumes,
            code=code,
            mask=inside.mask,
            depth=frame.depth,
            attenuation=frame.attenuation,
            voxel_size=frame.pixel_size,
            offset=(z, y, x),
            field_shape=frame.field_shape,
            energies=np.sort(np.array([q.energy for q in frame.quality.values()])),
            shells=self._depth_profile(frame, calibration),
            calibration=calibration,
            axis=frame.axis,
            quality=tuple(frame.quality[index] for index in sorted(frame.quality)),
            rank=rank,
            normalisation=self.normalisation,
            settings=self.settings,
        )

    def close(self) -> None:
        """Give memory and temporary files back."""
        if self._frame is not None:
            self._frame.running.close()
        self._frame = self._builder = self._values = self._projections = None

    def _begin(self, tomogram: Tomogram, density: Densities) -> Volume:
        """Fix grid, axis and particle by the first tomogram."""
        axis = find_axis(density.values, density.angles)
        count = len(density.angles)
        even, odd = (
            self._back_projected(tomogram, density, range(first, count, 2), axis.column).values for first in (0, 1)
        )
        volume = self._back_projected(tomogram, density, range(count), axis.column)
        found = particle_mask(np.nan_to_num(volume.values))
        if not found.any():
            raise MorphologyError(f"{tomogram.planned} eV: no particle was found in the first reconstruction")
        depth = depth_below_surface(found, voxel_size=volume.voxel_size, threads=self._threads)
        box = box_around(found)
        inside, depth = Inside(found[box], threads=self._threads), np.ascontiguousarray(depth[box])
        correlation = noise_correlation(0.5 * (even[box] - odd[box]), inside.mask)
        shells = int(np.ceil(depth.max() / self.settings.shell_thickness))
        shell_edges = self.settings.shell_thickness * np.arange(shells + 1, dtype=np.float64)
        nz, ny, nx = found.shape
        self._frame = _Frame(
            reference=density.values[spread(count)],
            projections_shape=density.values.shape,
            pixel_size=tomogram.pixel_size,
            axis=axis,
            box=box,
            field_shape=(nz, ny, nx),
            inside=inside,
            depth=depth,
            attenuation=volume.values[box].copy(),
            shell_edges=shell_edges,
            factors=shell_factors(correlation, depth, shell_edges),
            noise_factor=correlation.sigma / (volume.noise_gain * density.sigma),
            running=RunningEdges(
                self.planned,
                inside.count,
                normalisation=self.normalisation,
                threads=self._threads,
                white_line=False,
            ),
        )
        return replace(volume, values=self._frame.attenuation, measured=volume.measured[box[0]])

    def _follow(self, frame: _Frame, tomogram: Tomogram, density: Densities) -> tuple[Shift, Volume]:
        """Register a later tomogram against the first and reconstruct the box around the particle on the same grid."""
        if density.values.shape != frame.projections_shape:
            raise RegistrationError(
                f"{tomogram.planned} eV: projections have shape {density.values.shape}, those of the first energy"
                f" {frame.projections_shape}"
            )
        shift = find_stack_shift(
            frame.reference,
            density.values[spread(len(density.angles))],
            magnification=frame.pixel_size / tomogram.pixel_size,
            centre=((density.values.shape[1] - 1) / 2, frame.axis.column),
        )
        if not shift.trusted:
            raise RegistrationError(f"{tomogram.planned} eV: {shift.reason}")
        everything = range(len(density.angles))
        volume = self._back_projected(
            tomogram, density, everything, frame.axis.column, voxel_size=frame.pixel_size, shift=(shift.dy, shift.dx),
            box=frame.box, out=self._values,
        )  # fmt: skip
        self._values = volume.values  # written over by the next energy
        return shift, volume

    def _back_projected(
        self,
        tomogram: Tomogram,
        density: Densities,
        chosen: range,
        axis: float,
        *,
        voxel_size: float | None = None,
        shift: tuple[float, float] = (0.0, 0.0),
        box: Box | None = None,
        out: Float32Array | None = None,
    ) -> Volume:
        builder = FilteredBackProjection(
            density.angles[chosen],
            density.values.shape[1:],
            axis=axis,
            pixel_size=tomogram.pixel_size,
            voxel_size=voxel_size,
            shifts=shift,
            box=box,
            threads=self._threads,
            reuse=self._builder,
        )
        self._builder = builder
        stack = density.values if len(chosen) == len(density.angles) else density.values[chosen]
        builder.add(stack, range(len(chosen)))
        return builder.volume(out=out)

    def _depth_profile(self, frame: _Frame, calibration: Calibration) -> DepthProfile:
        indices = sorted(frame.shells)
        shells = [frame.shells[index] for index in indices]
        return depth_profile(
            np.array([frame.quality[index].energy for index in indices]),
            np.array([shell.mean for shell in shells]).T,
            np.array([shell.sigma for shell in shells]).T,
            self.normalisation,
            calibration,
            self.settings.references,
            depth_edges=frame.shell_edges,
            depth=shells[0].depth,
            voxels=shells[0].count,
        )

    def _calibrate(self, frame: _Frame) -> Calibration:
        energies = [q.energy for q in frame.quality.values()]
        try:
            return calibration_from_references(self.settings.references, energies, self.normalisation)
        except CalibrationError as reason:
            raise CalibrationError(f"references cannot calibrate the energies measured so far: {reason}") from reason
