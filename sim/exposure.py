"""From beam, lens and particle to counts: one exposure of the camera, with every effect on its own switch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sim.absorption import Material
from sim.cell import METALS
from sim.effects import Amplitudes, Effects
from sim.illumination import Illumination
from sim.optics import SILICON_111_BANDWIDTH, OrderSortingAperture, ZonePlate
from sim.projection import Projector, imaging_matrix
from sim.references import EDGES
from sim.specimen import Specimen

Single = npt.NDArray[np.float32]
SATURATION = 65535
NORMAL_FROM = 1000.0  # photons above which a Poisson number is drawn as a rounded normal one


@dataclass(frozen=True, slots=True)
class State:
    """The beamline in the middle of an exposure: true values, not read-backs.

    Attributes
    ----------
    energy : float
        eV.
    angle : float
        Sample rotation in the middle of the exposure, deg.
    sweep : float
        Rotation during the exposure, deg: the image is the mean over it.
    sample, zone_plate : (x, y, z)
        um, um, mm: z along the beam.
    camera, condenser : float
        Positions along the beam, mm.
    aperture : (x, y)
        Order-sorting aperture, um off the axis.
    beam : float
        Ring current relative to its nominal value; 0 with the shutter closed.
    duration : float
        s.
    time : float
        Beamline time, s.
    binning : (rows, columns)
    gain : float
        Of the camera: signal, dark current and hot pixels are multiplied by it.
    oxidation : float
        Of the metals, 0 pristine to 1 as the specimen's valences say.
    effects : frozenset of str
        Switches that are on.
    """

    energy: float
    angle: float
    sample: tuple[float, float, float] = (0.0, 0.0, 0.0)
    zone_plate: tuple[float, float, float] = (0.0, 0.0, 0.0)
    camera: float = 0.0
    condenser: float = 0.0
    aperture: tuple[float, float] = (0.0, 0.0)
    beam: float = 1.0
    duration: float = 0.5
    time: float = 0.0
    binning: tuple[int, int] = (1, 1)
    gain: float = 1.0
    oxidation: float = 1.0
    sweep: float = 0.0
    effects: frozenset[str] = frozenset(Effects.names())


class Instrument:
    """Makes images of a particle; thread-safe as long as one thread calls `image`.

    Parameters
    ----------
    specimen, materials, lens
        What is looked at, of what (one material per element whose edge is followed), through what.
    shape : (rows, columns)
        Of the camera.
    pixel : float
        At the sample at the lens's reference energy with the camera at 0, um.
    photon_rate : float
        Photons per second and pixel in the unattenuated beam at nominal ring current.
    photons_per_count : float
        Of the camera at gain 1.
    """

    def __init__(
        self,
        specimen: Specimen,
        materials: Sequence[Material],
        lens: ZonePlate,
        *,
        shape: tuple[int, int],
        pixel: float,
        photon_rate: float,
        photons_per_count: float,
        amplitudes: Amplitudes,
        seed: int,
    ) -> None:
        self._specimen, self._materials = specimen, tuple(materials)
        self._projectors: dict[str, tuple[float, Projector]] = {}
        self._lens, self._shape = lens, shape
        self._pixel, self._aperture = pixel, OrderSortingAperture()
        self._rate, self._photons_per_count = photon_rate, photons_per_count
        self._amplitudes = amplitudes
        self._noise, fixed = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
        self._illumination = Illumination(shape, pixel, amplitudes, fixed)
        self._phases = fixed.uniform(0, 2 * np.pi, (2, 3))
        self._hot = (fixed.random(shape) < amplitudes.hot_pixels) * np.float32(4000.0)
        self._basis = lru_cache(maxsize=64)(Material.basis_nodes)
        self._matrix = lru_cache(maxsize=16)(imaging_matrix)
        for material in self._materials:
            self._projector(material, 1.0)  # refuses valences beyond the references before anything is served

    def pixel_size(self, energy: float, camera: float = 0.0, *, defocus: float = 0.0) -> float:
        """Return the pixel size at the sample (um) at an energy (eV) with the camera and the lens at places (mm)."""
        return self._pixel * self._lens.pixel_ratio(energy, camera=camera, defocus=defocus)

    def _defocus(self, state: State) -> float:
        """Return the distance of the zone plate from focus, mm."""
        if "defocus" not in state.effects:
            return 0.0
        return state.zone_plate[2] - state.sample[2] - self._lens.focus(state.energy)

    def displacement(self, state: State) -> tuple[float, float]:
        """Return where the rotation axis at mid height falls, (y, x) in um at the sample, from the frame's middle."""
        on, size = state.effects, self._amplitudes
        y = state.sample[1] + state.zone_plate[1]
        x = state.sample[0] + state.zone_plate[0]
        if "axis_offset" in on:
            x += size.axis_offset * self._pixel
        if "image_shift" in on:
            wander = self.image_shift(state.energy)
            y, x = y + wander[0], x + wander[1]
        if "drift" in on:
            hours = state.time / 3600
            y, x = y + 0.6 * size.drift * hours, x + 0.8 * size.drift * hours
        if "zone_plate_runout" in on:
            travel = state.zone_plate[2] - self._lens.reference_z
            y, x = y + 0.6 * size.zone_plate_runout * travel, x + 0.8 * size.zone_plate_runout * travel
        if "runout" in on:
            x += size.runout * np.cos(2 * np.radians(state.angle) + self._phases[0, 0])
            y += 0.3 * size.runout * np.sin(np.radians(state.angle) + self._phases[1, 0])
        return float(y), float(x)

    def image_shift(self, energy: float) -> tuple[float, float]:
        """Return the wander of the image at an energy (eV), (y, x) in um: three waves of 7..45 eV, seeded."""
        waves = np.sin(2 * np.pi * energy / np.array([45.0, 19.0, 7.3]) + self._phases)
        y, x = waves @ np.array([0.5, 0.3, 0.2]) * self._amplitudes.image_shift
        return float(y), float(x)

    def transmission(self, state: State) -> Single:
        """Return the transmitted fraction in the image, axes (row, column)."""
        bandwidth = SILICON_111_BANDWIDTH if "bandwidth" in state.effects else 0.0
        material = self._material(state.energy)
        basis, weights = self._basis(material, state.energy, bandwidth)
        projector = self._projector(material, state.oxidation)
        absorbed = np.zeros(projector.size**2, np.float32)
        angles = _angles(state)
        for angle in angles:
            flat = projector.at(angle).reshape(projector.count, -1)
            absorbed += (1 - weights @ np.exp(-(basis.T @ flat))) / np.float32(len(angles))
        rows, columns = self._shape
        y, x = self.displacement(state)
        defocus = self._defocus(state)
        pixel = self._pixel
        if "magnification" in state.effects:
            pixel = self.pixel_size(state.energy, state.camera, defocus=defocus)
        sigma = self._lens.blur(state.energy, self._lens.focus(state.energy) + defocus)
        size, voxel = projector.size, projector.voxel
        vertical = self._matrix(rows, pixel, size, voxel, round(y, 5), sigma)
        horizontal = self._matrix(columns, pixel, size, voxel, round(x, 5), sigma)
        return np.asarray(1 - vertical @ absorbed.reshape(size, size) @ horizontal.T, np.float32)

    def _material(self, energy: float) -> Material:
        """Return the material that knows the edge nearest to an energy."""
        return min(self._materials, key=lambda material: abs(EDGES[material.element] - energy))

    def _projector(self, material: Material, oxidation: float) -> Projector:
        """Return the projector of an element's valences at an oxidation, made anew when it changed by 0.5 %."""
        element = material.element
        known = self._projectors.get(element)
        if known is None or abs(known[0] - oxidation) > 0.005:
            pristine = METALS[element][0]
            valence = pristine + (self._specimen.valence(element) - pristine) * np.float32(oxidation)
            references = tuple(reference.valence for reference in material.references)
            projector = Projector(self._specimen.density, valence, self._specimen.voxel, references)
            known = self._projectors[element] = (oxidation, projector)
        return known[1]

    def image(self, state: State) -> npt.NDArray[np.uint16]:
        """Return the counts of one exposure, axes (row, column), binned."""
        dose = self._rate * state.duration * state.beam
        if "intensity_jitter" in state.effects:
            dose *= 1 + self._amplitudes.intensity_jitter * float(self._noise.standard_normal())
        photons = np.float32(dose) * self._arriving(state) if dose > 0 else np.zeros(self._shape, np.float32)
        photons = _binned(photons, state.binning)
        if "photon_noise" in state.effects:
            photons = self._counted(photons)
        return self._digitised(photons * np.float32(state.gain / self._photons_per_count), state)

    def _arriving(self, state: State) -> Single:
        """Return the light on the camera relative to the mean of the open beam; the zeroth order makes no image."""
        light = self._illumination.at(
            state.energy, state.time, condenser=state.condenser, effects=state.effects
        ) * self.transmission(state)
        if "order_sorting_aperture" not in state.effects:
            return light
        first, zeroth = self._aperture.passed(*state.aperture)
        return light if (first, zeroth) == (1.0, 0.0) else np.float32(first) * light + np.float32(zeroth)

    def _counted(self, photons: Single) -> Single:
        """Return Poisson numbers, drawn as normal ones where that differs by less than the rounding to counts."""
        if photons.size == 0 or photons.max() == 0:
            return photons
        if photons.min() < NORMAL_FROM:
            return self._noise.poisson(photons).astype(np.float32)
        noise = self._noise.standard_normal(photons.shape, dtype=np.float32)
        return np.asarray(photons + np.sqrt(photons) * noise, np.float32)

    def _digitised(self, counts: Single, state: State) -> npt.NDArray[np.uint16]:
        size = self._amplitudes
        if "dark_current" in state.effects:
            dark = size.dark_rate * state.duration * state.gain * np.prod(state.binning)
            level = np.float32(size.dark_offset + dark)
            noise = self._noise.standard_normal(counts.shape, dtype=np.float32)
            counts = counts + level + np.float32(size.read_noise) * noise
        if "hot_pixels" in state.effects:
            counts = counts + _binned(self._hot * np.float32(state.duration * state.gain), state.binning)
        if "zingers" in state.effects:
            hit = self._noise.random(counts.shape, dtype=np.float32) < size.zingers
            counts = np.where(hit, counts + np.float32(20000), counts)
        return np.clip(np.rint(counts), 0, SATURATION).astype(np.uint16)


def _angles(state: State) -> list[float]:
    """Return the angles (deg) that stand for an exposure: at most 0.3 deg apart, at most five."""
    count = min(5, 1 + int(abs(state.sweep) / 0.3))
    return [state.angle + state.sweep * ((i + 0.5) / count - 0.5) for i in range(count)]


def _binned(image: Single, binning: tuple[int, int]) -> Single:
    if binning == (1, 1):
        return image
    rows, columns = binning
    blocks = image.reshape(image.shape[0] // rows, rows, image.shape[1] // columns, columns)
    return np.asarray(blocks.sum(axis=(1, 3)))
