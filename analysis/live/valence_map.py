"""What a valence map is made with, and what it consists of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.depth_profile import DepthProfile
from analysis.registration import Shift
from analysis.rotation_axis import RotationAxis
from analysis.spectra import Normalisation, Spectrum
from analysis.valence import Calibration

__all__ = ["EnergyQuality", "MapSettings", "ValenceMap"]

Float32Array = NDArray[np.float32]


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

    Volumes have axes (z, y, x) and cover the box around the particle; NaN where nothing is reported, with the reason
    in `code`.

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
    offset : tuple of int
        First voxel (z, y, x) of the box in the reconstructed field.
    field_shape : tuple of int
        Voxels (z, y, x) of the reconstructed field.
    energies : float64 (energy,), eV, read-back, increasing
    shells : DepthProfile
        Edge and valence by depth, from the mean spectrum of each shell.
    calibration : Calibration
    axis : RotationAxis
    quality : tuple of EnergyQuality
    rank, normalisation
        Of the edge fit; the windows are those of the settings, widened by the tolerance of the read-backs.
    settings : MapSettings
        What it was made with.
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
    offset: tuple[int, int, int]
    field_shape: tuple[int, int, int]
    energies: NDArray[np.float64]
    shells: DepthProfile
    calibration: Calibration
    axis: RotationAxis
    quality: tuple[EnergyQuality, ...]
    rank: int
    normalisation: Normalisation
    settings: MapSettings
