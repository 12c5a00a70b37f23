"""The volumes of what stands on the sample stage: density, depth, and the valence of each metal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from sim.morphology import Morphology, Profile, profile_at

Array = npt.NDArray[np.float64]
Volume = npt.NDArray[np.float32]


class SpecimenError(ValueError):
    """Volumes that cannot be used; the message says file, name and value."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """Volumes of a specimen, axes (z, y, x), z along the rotation axis, which runs through the middle.

    Attributes
    ----------
    density : array, float32
        Relative to the full density, 0 outside.
    valences : mapping of str to array, float32
        Valence of each metal; NaN outside.
    depth : array, float32
        Below the surface, um; negative outside.
    voxel : float
        um.
    """

    density: Volume
    valences: Mapping[str, Volume]
    depth: Volume
    voxel: float

    def valence(self, element: str) -> Volume:
        """Return the valence of a metal."""
        if element not in self.valences:
            raise SpecimenError(f"specimen has no valence of {element}; it has {', '.join(self.valences)}")
        return self.valences[element]


def particle(morphology: Morphology | None = None, profiles: Mapping[str, Profile] | None = None) -> Specimen:
    """Return the volumes of one or more particles; surfaces are anti-aliased over one voxel.

    Parameters
    ----------
    morphology : Morphology
        Shapes.
    profiles : mapping of str to profile
        Valence against depth per metal; nickel with the morphology's own profile when None.
    """
    m = morphology or Morphology()
    n = 2 * int(np.ceil(m.reach / m.voxel + 1.5)) + 1
    axis = (np.arange(n) - n // 2) * m.voxel
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    depth = m.depth_on(z, y, x)
    inside = np.clip(depth / m.voxel + 0.5, 0.0, 1.0)
    density = inside * m.density_at(depth)
    if m.cracks:
        density *= m.crack_factor(z, y, x)
    chosen = profiles or {"Ni": m.valence}
    valences = {
        element: np.where(inside > 0, profile_at(profile, depth), np.nan).astype(np.float32)
        for element, profile in chosen.items()
    }
    return Specimen(density.astype(np.float32), valences, depth.astype(np.float32), m.voxel)


def from_file(path: Path, elements: Sequence[str]) -> Specimen:
    """Read volumes given by the user.

    Parameters
    ----------
    path : Path
        HDF5 with ``density`` (z, y, x), ``valence_Ni`` (one per element; ``valence`` stands for the first), optionally
        ``depth`` (um), and the attribute ``voxel_um``.
    elements : sequence of str
        Whose valence is needed.

    Raises
    ------
    SpecimenError
        When the file cannot be read or something is missing or has another shape.
    """
    try:
        with h5py.File(path) as file:
            if "voxel_um" not in file.attrs:
                raise SpecimenError(f"{path}: attribute voxel_um is missing")
            voxel = float(file.attrs["voxel_um"])
            density = _volume(file, "density")
            names = {e: f"valence_{e}" if f"valence_{e}" in file or i else "valence" for i, e in enumerate(elements)}
            valences = {element: _volume(file, name) for element, name in names.items()}
            depth = _volume(file, "depth") if "depth" in file else np.where(density > 0, np.nan, -1).astype(np.float32)
    except OSError as error:
        raise SpecimenError(f"{path}: {error}") from error
    shapes = {v.shape for v in (density, depth, *valences.values())}
    if len(shapes) > 1 or len(set(density.shape)) > 1 or voxel <= 0:
        raise SpecimenError(f"{path}: volumes {sorted(shapes)} with voxel {voxel} um are not cubes of one shape")
    return Specimen(density, valences, depth, voxel)


def _volume(file: h5py.File, name: str) -> Volume:
    if name not in file or file[name].ndim != 3:
        raise SpecimenError(f"{file.filename}: no volume {name!r}")
    return np.asarray(file[name][()], np.float32)


def mixing_weights(valence: Volume, references: Sequence[float]) -> Volume:
    """Return the fractions of neighbouring references that make a valence.

    Parameters
    ----------
    valence : array, (...)
        Valences; NaN counts as the first reference.
    references : sequence of float
        Valences of the references, increasing.

    Returns
    -------
    array, (reference, ...)
        Weights that add up to 1.

    Raises
    ------
    SpecimenError
        When a valence lies outside the references.
    """
    grid = np.asarray(references, np.float32)
    known = np.nan_to_num(valence, nan=float(grid[0]))
    low, high = float(known.min()), float(known.max())
    if low < grid[0] - 1e-4 or high > grid[-1] + 1e-4:
        raise SpecimenError(f"valence {low:.3f}..{high:.3f} is outside {grid[0]:g}..{grid[-1]:g} of the references")
    unit = np.eye(len(grid))
    return np.stack([np.interp(known, grid, unit[k]).astype(np.float32) for k in range(len(grid))])


def depth_profile(specimen: Specimen, element: str, edges: npt.ArrayLike) -> tuple[Array, Array]:
    """Return (mean valence, volume um^3) of shells of depth, weighted by density.

    Parameters
    ----------
    specimen : Specimen
        The particle.
    element : str
        Whose valence.
    edges : array, (shell + 1,)
        Depths, um, increasing.
    """
    bounds = np.asarray(edges, float)
    inside = specimen.depth > 0
    depth, weight = specimen.depth[inside], specimen.density[inside]
    value = specimen.valence(element)[inside]
    total, _ = np.histogram(depth, bounds, weights=weight)
    mean = np.histogram(depth, bounds, weights=weight * value)[0] / np.where(total > 0, total, np.nan)
    return mean, total * specimen.voxel**3
