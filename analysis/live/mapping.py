"""From the tomograms of a series, as they arrive, to a valence map that sharpens with every energy.

The first tomogram fixes the voxel grid, the rotation axis and the particle; every later one is scaled to that grid,
registered against the first across the change of contrast, reconstructed, and reduced to the voxels inside the
particle before the next is looked at.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from analysis.depth_profile import DepthProfile, depth_profile
from analysis.edge import Code, EdgeMap
from analysis.flatfield import optical_density
from analysis.incremental import RunningEdges
from analysis.live.series import Tomogram
from analysis.morphology import depth as depth_below_surface
from analysis.morphology import particle_mask
from analysis.noise_correlation import NoiseCorrelation, noise_correlation
from analysis.registration import Shift, find_stack_shift
from analysis.rotation_axis import RotationAxis, find_axis
from analysis.shells import ShellProfile, shell_profile
from analysis.spectra import Normalisation, Spectrum
from analysis.tomography import FilteredBackProjection, Volume
from analysis.valence import Calibration, CalibrationError, calibration_from_references

__all__ = ["EnergyQuality", "MapSettings", "RegistrationError", "ValenceMap", "ValenceMapper"]

Float32Array = NDArray[np.float32]


class RegistrationError(ValueError):
    """The images of one energy cannot be brought onto those of the first."""


@dataclass(frozen=True, slots=True)
class MapSettings:
    """Every choice of the analysis that is not in the documents; stored with the result.

    Attributes
    ----------
    element : str
        Whose edge is crossed.
    normalisation : Normalisation
        Windows and orders.
    references : tuple of (Spectrum, float)
        Reference spectra with their valence, on the energy scale of the measurement.
    shell_thickness : float
        Micrometres of one depth shell.
    air_columns : int
        Outermost columns on either side that see only air, whose optical density is set to zero in every
        projection; 0 leaves the projections as they are.
    smoothing : float
        Standard deviation, in pixels, of a Gaussian applied to the projections: less noise per voxel for less
        resolution (full width at half maximum 2.4 times as large); 0 leaves them as they are.
    flux : str or None
        Reading that scales the flat to the flux at the time of the projections, e.g. ``flux_rate``.
    """

    element: str
    normalisation: Normalisation
    references: tuple[tuple[Spectrum, float], ...]
    shell_thickness: float
    air_columns: int = 0
    smoothing: float = 0.0
    flux: str | None = None


@dataclass(frozen=True, slots=True)
class EnergyQuality:
    """What happened to one energy on its way into the map.

    Attributes
    ----------
    energy : float, eV
    shift : Shift
        Against the first energy, in pixels of this one.
    voxel_sigma : float
        Noise of one voxel, 1/µm.
    invalid_pixels : int
        Pixels of the projections that carried no information and were interpolated.
    photons : float
        Mean photons per pixel and frame in the flat, above the dark.
    """

    energy: float
    shift: Shift
    voxel_sigma: float
    invalid_pixels: int
    photons: float


@dataclass(frozen=True, slots=True, eq=False)
class ValenceMap:
    """A valence map after some of the energies of a series.

    Volumes have axes (z, y, x); NaN where nothing is reported, with the reason in `code`.

    Attributes
    ----------
    valence, valence_sigma : float32 (z, y, x)
    edge, edge_sigma : float32 (z, y, x), eV
    jump, jump_sigma : float32 (z, y, x), 1/µm
    code : uint8 (z, y, x), of `analysis.edge.Code`
    mask : bool (z, y, x), inside the particle
    depth : float32 (z, y, x), µm below the surface
    attenuation : float32 (z, y, x), 1/µm at the first energy
    voxel_size : float, µm
    energies : float64 (energy,), eV, read-back, increasing
    shells : DepthProfile
        Edge and valence by depth, from the mean spectrum of each shell.
    calibration : Calibration
    axis : RotationAxis
    quality : tuple of EnergyQuality
    rank, normalisation
        Of the edge fit.
    """

    valence: Float32Array
    valence_sigma: Float32Array
    edge: Float32Array
    edge_sigma: Float32Array
    jump: Float32Array
    jump_sigma: Float32Array
    code: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    depth: Float32Array
    attenuation: Float32Array
    voxel_size: float
    energies: NDArray[np.float64]
    shells: DepthProfile
    calibration: Calibration
    axis: RotationAxis
    quality: tuple[EnergyQuality, ...]
    rank: int
    normalisation: Normalisation


@dataclass(slots=True)
class _Frame:
    """What the first tomogram has fixed."""

    reference: Float32Array
    pixel_size: float
    axis: RotationAxis
    volume: Volume
    mask: NDArray[np.bool_]
    depth: Float32Array
    shell_edges: NDArray[np.float64]
    correlation: NoiseCorrelation
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
    threads
        None uses all processors of this process.
    """

    def __init__(self, settings: MapSettings, planned: list[float], *, threads: int | None = None) -> None:
        self.settings, self.planned, self._threads = settings, list(planned), threads
        self._frame: _Frame | None = None

    def add(self, tomogram: Tomogram) -> EnergyQuality:
        """Take one energy; an energy that was taken before is replaced.

        Raises
        ------
        BlockError
            When its frames cannot be read.
        RegistrationError
            When it cannot be brought onto the first energy.
        """
        index = self.planned.index(tomogram.planned)
        density, sigma, invalid, photons = self._density(tomogram)
        if self._frame is None:
            shift = Shift(dy=0.0, dx=0.0, sigma=0.0, quality=1.0, trusted=True, reason="")
            volume = self._begin(tomogram, density, sigma)
        else:
            shift = self._register(tomogram, density)
            volume = self._reconstruct(tomogram, density, shift)
        frame = self._frame
        assert frame is not None
        values = volume.values[frame.mask]
        # What the projections' noise makes of a voxel, on the scale measured in the first tomogram.
        voxel_sigma = frame.noise_factor * volume.noise_gain * sigma
        frame.running.add(index, values, voxel_sigma)
        frame.shells[index] = shell_profile(
            volume.values,
            np.float32(voxel_sigma),
            frame.depth,
            frame.shell_edges,
            correlation=frame.correlation,
            threads=self._threads,
        )
        quality = EnergyQuality(tomogram.energy, shift, voxel_sigma, invalid, photons)
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
        edges = frame.running.result()
        calibration = self._calibrate(frame)
        estimate = calibration.valence(edges.energy, edges.sigma)
        return ValenceMap(
            valence=self._fill(frame, estimate.valence),
            valence_sigma=self._fill(frame, estimate.sigma),
            edge=self._fill(frame, edges.energy),
            edge_sigma=self._fill(frame, edges.sigma),
            jump=self._fill(frame, edges.jump),
            jump_sigma=self._fill(frame, edges.jump_sigma),
            code=self._codes(frame, edges),
            mask=frame.mask,
            depth=frame.depth,
            attenuation=frame.volume.values,
            voxel_size=frame.volume.voxel_size,
            energies=np.sort(np.array([q.energy for q in frame.quality.values()])),
            shells=self._depth_profile(frame, calibration),
            calibration=calibration,
            axis=frame.axis,
            quality=tuple(frame.quality[index] for index in sorted(frame.quality)),
            rank=edges.rank,
            normalisation=self.settings.normalisation,
        )

    def close(self) -> None:
        """Give memory and temporary files back."""
        if self._frame is not None:
            self._frame.running.close()

    def _density(self, tomogram: Tomogram) -> tuple[Float32Array, float, int, float]:
        """Optical density of the projections, its typical noise, invalid pixels, counts in the flat."""
        dark, flat = tomogram.dark.read(), tomogram.flat.read()
        ratio = tomogram.projections.exposure / tomogram.flat.exposure
        if self.settings.flux is not None:
            ratio *= tomogram.projections.readings[self.settings.flux] / tomogram.flat.readings[self.settings.flux]
        density = optical_density(
            tomogram.projections.read(),
            flat,
            dark,
            electrons_per_count=tomogram.photons_per_count,
            exposure_ratio=ratio,
            threads=self._threads,
        )
        values = density.filled() if density.invalid_count else density.values
        if air := self.settings.air_columns:
            border = np.concatenate([values[:, :, :air], values[:, :, -air:]], axis=2)
            values = values - np.median(border, axis=(1, 2), keepdims=True)
        sigma = float(np.sqrt(np.nanmean(density.sigma.astype(np.float64) ** 2)))
        if self.settings.smoothing:
            values = gaussian_filter(values, (0.0, self.settings.smoothing, self.settings.smoothing))
        return values, sigma, density.invalid_count, float(flat.mean() - dark.mean()) * tomogram.photons_per_count

    def _begin(self, tomogram: Tomogram, density: Float32Array, sigma: float) -> Volume:
        angles = tomogram.projections.read_angles()
        axis = find_axis(density, angles)
        halves = [
            self._back_projected(tomogram, density, angles, range(first, len(angles), 2), axis.column)
            for first in (0, 1)
        ]
        volume = self._back_projected(tomogram, density, angles, range(len(angles)), axis.column)
        mask = particle_mask(np.nan_to_num(volume.values))
        depth = depth_below_surface(mask, voxel_size=volume.voxel_size, threads=self._threads)
        thickness = self.settings.shell_thickness
        correlation = noise_correlation(0.5 * (halves[0].values - halves[1].values), mask)
        self._frame = _Frame(
            reference=density,
            pixel_size=tomogram.pixel_size,
            axis=axis,
            volume=volume,
            mask=mask,
            depth=depth,
            shell_edges=thickness * np.arange(int(np.ceil(depth.max() / thickness)) + 1),
            correlation=correlation,
            noise_factor=correlation.sigma / (volume.noise_gain * sigma),
            running=RunningEdges(
                self.planned, int(mask.sum()), normalisation=self.settings.normalisation, threads=self._threads
            ),
        )
        return volume

    def _register(self, tomogram: Tomogram, density: Float32Array) -> Shift:
        frame = self._frame
        assert frame is not None
        if density.shape != frame.reference.shape:
            raise RegistrationError(
                f"{tomogram.planned} eV: projections have shape {density.shape}, those of the first energy"
                f" {frame.reference.shape}"
            )
        centre = ((density.shape[1] - 1) / 2, frame.axis.column)
        shift = find_stack_shift(
            frame.reference, density, magnification=frame.pixel_size / tomogram.pixel_size, centre=centre
        )
        if not shift.trusted:
            raise RegistrationError(f"{tomogram.planned} eV: {shift.reason}")
        return shift

    def _reconstruct(self, tomogram: Tomogram, density: Float32Array, shift: Shift) -> Volume:
        frame = self._frame
        assert frame is not None
        angles = tomogram.projections.read_angles()
        return self._back_projected(
            tomogram,
            density,
            angles,
            range(len(angles)),
            frame.axis.column,
            voxel_size=frame.pixel_size,
            shift=(shift.dy, shift.dx),
        )

    def _back_projected(
        self,
        tomogram: Tomogram,
        density: Float32Array,
        angles: NDArray[np.float64],
        chosen: range,
        axis: float,
        *,
        voxel_size: float | None = None,
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> Volume:
        builder = FilteredBackProjection(
            angles[chosen],
            density.shape[1:],
            axis=axis,
            pixel_size=tomogram.pixel_size,
            voxel_size=voxel_size,
            shifts=shift,
            threads=self._threads,
        )
        builder.add(density[chosen], range(len(chosen)))
        return builder.volume()

    def _depth_profile(self, frame: _Frame, calibration: Calibration) -> DepthProfile:
        indices = sorted(frame.shells)
        shells = [frame.shells[index] for index in indices]
        return depth_profile(
            np.array([frame.quality[index].energy for index in indices]),
            np.array([shell.mean for shell in shells]).T,
            np.array([shell.sigma for shell in shells]).T,
            self.settings.normalisation,
            calibration,
            self.settings.references,
            depth_edges=frame.shell_edges,
            depth=shells[0].depth,
            voxels=shells[0].count,
        )

    def _calibrate(self, frame: _Frame) -> Calibration:
        energies = [q.energy for q in frame.quality.values()]
        try:
            return calibration_from_references(self.settings.references, energies, self.settings.normalisation)
        except CalibrationError as reason:
            raise CalibrationError(f"references cannot calibrate the energies measured so far: {reason}") from reason

    @staticmethod
    def _fill(frame: _Frame, values: Any) -> Float32Array:
        out = np.full(frame.mask.shape, np.nan, np.float32)
        out[frame.mask] = values
        return out

    @staticmethod
    def _codes(frame: _Frame, edges: EdgeMap) -> NDArray[np.uint8]:
        out = np.full(frame.mask.shape, Code.NOT_MEASURED, np.uint8)
        out[frame.mask] = edges.code
        return out
