"""From the frames of a tomogram to projections of optical density, corrected and ready to be reconstructed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from analysis.flatfield import optical_density
from analysis.live.series import BlockError, Tomogram
from analysis.live.valence_map import MapSettings
from analysis.threads import available_threads, run_tasks

__all__ = ["Densities", "densities"]

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Densities:
    """Projections of one tomogram.

    Attributes
    ----------
    values : float32 (angle, row, column), optical density
    angles : float64 (angle,), degrees
    sigma : float
        Root mean square noise of a pixel, before any smoothing.
    invalid : int
        Pixels that carried no information and were interpolated.
    photons : float
        Mean photons per pixel and frame in the flat, above the dark.
    """

    values: Float32Array
    angles: NDArray[np.float64]
    sigma: float
    invalid: int
    photons: float


def densities(
    tomogram: Tomogram, settings: MapSettings, *, threads: int | None = None, out: Float32Array | None = None
) -> Densities:
    """Read the frames of `tomogram` and correct them as `settings` say.

    The memory of `out` is used for the projections where it fits.

    Raises
    ------
    BlockError
        When frames, angles or readings are missing or cannot be read.
    ValueError
        When the frames are not an image of anything: no light in the flat, other shapes.
    """
    dark, flat, frames = tomogram.dark.read(), tomogram.flat.read(), tomogram.projections.read()
    density = optical_density(
        frames,
        flat,
        dark,
        electrons_per_count=tomogram.photons_per_count,
        exposure_ratio=_exposure_ratio(tomogram, settings.flux),
        with_sigma=False,
        out=out if out is not None and out.shape == frames.shape else None,
        threads=threads,
    )
    values = density.filled() if density.invalid_count else density.values
    if air := settings.air_columns:
        border = np.concatenate([values[:, :, :air], values[:, :, -air:]], axis=2)
        values -= np.median(border, axis=(1, 2), keepdims=True)
    return Densities(
        values=_smoothed(values, settings.smoothing, threads) if settings.smoothing else values,
        angles=tomogram.projections.read_angles(),
        sigma=density.rms_sigma,
        invalid=density.invalid_count,
        photons=float(flat.mean() - dark.mean()) * tomogram.photons_per_count,
    )


def _exposure_ratio(tomogram: Tomogram, flux: str | None) -> float:
    """How much more light the projections got than the flat."""
    ratio = tomogram.projections.exposure / tomogram.flat.exposure
    if flux is None:
        return ratio
    for block, what in ((tomogram.projections, "tomogram"), (tomogram.flat, "flat")):
        if flux not in block.readings:
            raise BlockError(
                f"{tomogram.planned} eV: the {what} has no reading {flux!r}; there are {', '.join(block.readings)}"
            )
        if not float(block.readings[flux]) > 0:
            raise BlockError(f"{tomogram.planned} eV: {flux} of the {what} is {block.readings[flux]}, not above 0")
    return ratio * float(tomogram.projections.readings[flux]) / float(tomogram.flat.readings[flux])


def _smoothed(values: Float32Array, width: float, threads: int | None) -> Float32Array:
    """Every projection by itself, in place."""

    def smooth(index: int) -> None:
        gaussian_filter(values[index], width, output=values[index])

    run_tasks(smooth, range(len(values)), available_threads(threads))
    return values
