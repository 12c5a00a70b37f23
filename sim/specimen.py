"""A particle with core and shells: where it is, how dense, and which valence lies how deep."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
DEFAULT_PROFILE = ((0.0, 2.15), (0.4, 2.35), (1.2, 2.7), (2.5, 2.85), (5.0, 2.9))


@dataclass(frozen=True, slots=True)
class Morphology:
    """A slightly non-spherical core–multi-shell particle and the valence of its metal against depth.

    Attributes
    ----------
    radius : float
        Mean radius, um.
    voxel : float
        Edge of a voxel of the simulated volume, um.
    flattening : float
        Relative deviation from a sphere.
    shells : int
        Number of shells around the core; between two of them the density dips by `density_dip` (relative).
    shell_thickness, density_dip
        um; relative.
    valence : sequence of (depth um, valence)
        Linear between the points, constant beyond them.
    """

    radius: float = 5.0
    voxel: float = 0.1
    flattening: float = 0.06
    shells: int = 4
    shell_thickness: float = 0.8
    density_dip: float = 0.25
    valence: tuple[tuple[float, float], ...] = DEFAULT_PROFILE

    def __post_init__(self) -> None:
        """Check the numbers; the message says name, value and limit."""
        for name in ("radius", "voxel", "shell_thickness"):
            if not getattr(self, name) > 0:
                raise ValueError(f"specimen {name} {getattr(self, name)} um must be positive")
        if self.radius / self.voxel > 256:
            raise ValueError(f"specimen voxel {self.voxel} um is below radius / 256 = {self.radius / 256:.4f} um")
        depths = [depth for depth, _ in self.valence]
        if len(depths) < 2 or any(b <= a for a, b in pairwise(depths)):
            raise ValueError(f"specimen valence depths {depths} are not at least two, increasing")

    def valence_at(self, depth: npt.ArrayLike) -> Array:
        """Return the valence at depths (um) below the surface.

        Examples
        --------
        >>> Morphology(valence=((0.0, 2.0), (1.0, 3.0))).valence_at([0.5, 4.0])
        array([2.5, 3. ])
        """
        depths, values = np.transpose(self.valence)
        return np.asarray(np.interp(np.asarray(depth, float), depths, values))

    def density_at(self, depth: npt.ArrayLike) -> Array:
        """Return the relative density at depths (um): 1 in core and shells, dipping where two shells meet."""
        d = np.asarray(depth, float)
        dip = np.zeros_like(d)
        for shell in range(1, self.shells + 1):
            dip += np.exp(-0.5 * ((d - shell * self.shell_thickness) / 0.08) ** 2)
        return np.asarray(1.0 - self.density_dip * np.minimum(dip, 1.0))


@dataclass(frozen=True, slots=True)
class Specimen:
    """Volumes of a particle, axes (z, y, x), z along the rotation axis.

    Attributes
    ----------
    density : array, float32
        Relative to the full density, 0 outside.
    valence : array, float32
        Valence of the metal; NaN outside.
    depth : array, float32
        Below the surface, um; negative outside.
    voxel : float
        um.
    morphology : Morphology
        What it was made from.
    """

    density: npt.NDArray[np.float32]
    valence: npt.NDArray[np.float32]
    depth: npt.NDArray[np.float32]
    voxel: float
    morphology: Morphology


def particle(morphology: Morphology | None = None) -> Specimen:
    """Return the volumes of a particle; the surface is anti-aliased over one voxel."""
    m = morphology or Morphology()
    n = 2 * int(np.ceil(m.radius * (1 + m.flattening) / m.voxel + 1.5)) + 1
    axis = (np.arange(n) - n // 2) * m.voxel
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    r = np.sqrt(x**2 + y**2 + z**2)
    depth = m.radius * (1 + m.flattening * _bumps(z, y, x, np.maximum(r, m.voxel))) - r
    inside = np.clip(depth / m.voxel + 0.5, 0.0, 1.0)
    density = inside * m.density_at(depth)
    valence = np.where(inside > 0, m.valence_at(depth), np.nan)
    single = np.float32
    return Specimen(density.astype(single), valence.astype(single), depth.astype(single), m.voxel, m)


def _bumps(z: Array, y: Array, x: Array, r: Array) -> Array:
    """Return a smooth function of the direction, within -1..1, low orders only."""
    cz, cy, cx = z / r, y / r, x / r
    return np.asarray((cx * cy + 0.8 * cx * cz - 0.6 * cy * (5 * cz**2 - 1) / 2 + 0.5 * (cx**2 - cy**2)) / 1.2)


def mixing_weights(valence: npt.NDArray[np.float32], references: Sequence[float]) -> npt.NDArray[np.float32]:
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
    ValueError
        When a valence lies outside the references.
    """
    grid = np.asarray(references, np.float32)
    known = np.nan_to_num(valence, nan=float(grid[0]))
    low, high = float(known.min()), float(known.max())
    if low < grid[0] - 1e-6 or high > grid[-1] + 1e-6:
        raise ValueError(f"valence {low:.3f}..{high:.3f} is outside {grid[0]:g}..{grid[-1]:g} of the references")
    unit = np.eye(len(grid))
    return np.stack([np.interp(known, grid, unit[k]).astype(np.float32) for k in range(len(grid))])


def depth_profile(specimen: Specimen, edges: npt.ArrayLike) -> tuple[Array, Array]:
    """Return (mean valence, volume um^3) of shells of depth, weighted by density.

    Parameters
    ----------
    specimen : Specimen
        The particle.
    edges : array, (shell + 1,)
        Depths, um, increasing.
    """
    bounds = np.asarray(edges, float)
    inside = specimen.depth > 0
    depth, value, weight = specimen.depth[inside], specimen.valence[inside], specimen.density[inside]
    total, _ = np.histogram(depth, bounds, weights=weight)
    mean = np.histogram(depth, bounds, weights=weight * value)[0] / np.where(total > 0, total, np.nan)
    return mean, total * specimen.voxel**3
