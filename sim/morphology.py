"""Shapes of particles: core and shells, several in a field, radial cracks, and valence against depth."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Profile = tuple[tuple[float, float], ...]
DEFAULT_PROFILE: Profile = ((0.0, 2.15), (0.4, 2.35), (1.2, 2.7), (2.5, 2.85), (5.0, 2.9))
OTHER_PROFILES: dict[str, Profile] = {
    "Mn": ((0.0, 3.7), (0.4, 3.85), (1.2, 3.97), (5.0, 4.0)),
    "Co": ((0.0, 2.6), (0.4, 2.85), (1.2, 3.2), (5.0, 3.4)),
    "Ni": DEFAULT_PROFILE,
}


@dataclass(frozen=True, slots=True)
class Morphology:
    """Slightly non-spherical core–multi-shell particles and the valence of their metal against depth.

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
    particles : sequence of (x, y, z, radius)
        Centres and radii, um; one particle of `radius` in the middle when empty.
    cracks : int
        Radial cracks per particle, through core and shells.
    crack_width : float
        um.
    """

    radius: float = 5.0
    voxel: float = 0.1
    flattening: float = 0.06
    shells: int = 4
    shell_thickness: float = 0.8
    density_dip: float = 0.25
    valence: Profile = DEFAULT_PROFILE
    particles: tuple[tuple[float, float, float, float], ...] = ()
    cracks: int = 0
    crack_width: float = 0.15

    def __post_init__(self) -> None:
        """Check the numbers; the message says name, value and limit."""
        for name in ("radius", "voxel", "shell_thickness", "crack_width"):
            if not getattr(self, name) > 0:
                raise ValueError(f"specimen {name} {getattr(self, name)} um must be positive")
        if not all(len(place) == 4 and place[3] > 0 for place in self.particles):
            raise ValueError(f"specimen particles {self.particles} are not (x, y, z, radius) with positive radii")
        if self.reach / self.voxel > 280:
            raise ValueError(f"specimen voxel {self.voxel} um is below reach / 280 = {self.reach / 280:.4f} um")
        check_profile(self.valence)

    @property
    def bodies(self) -> tuple[tuple[float, float, float, float], ...]:
        """The particles as (x, y, z, radius), um."""
        return self.particles or ((0.0, 0.0, 0.0, self.radius),)

    @property
    def reach(self) -> float:
        """Half the edge of a cube about the rotation axis that holds all particles, um."""
        grown = 1 + self.flattening
        extents = (max(np.hypot(x, y), abs(z)) + grown * r for x, y, z, r in self.bodies)
        return float(max(extents))

    def valence_at(self, depth: npt.ArrayLike) -> Array:
        """Return the valence at depths (um) below the surface.

        Examples
        --------
        >>> Morphology(valence=((0.0, 2.0), (1.0, 3.0))).valence_at([0.5, 4.0])
        array([2.5, 3. ])
        """
        return profile_at(self.valence, depth)

    def density_at(self, depth: npt.ArrayLike) -> Array:
        """Return the relative density at depths (um): 1 in core and shells, dipping where two shells meet."""
        d = np.asarray(depth, float)
        dip = np.zeros_like(d)
        for shell in range(1, self.shells + 1):
            dip += np.exp(-0.5 * ((d - shell * self.shell_thickness) / 0.08) ** 2)
        return np.asarray(1.0 - self.density_dip * np.minimum(dip, 1.0))

    def depth_on(self, z: Array, y: Array, x: Array) -> Array:
        """Return the depth below the nearest surface (um, negative outside) at coordinates (um)."""
        depth = np.full(np.broadcast_shapes(z.shape, y.shape, x.shape), -np.inf)
        for index, (cx, cy, cz, radius) in enumerate(self.bodies):
            dz, dy, dx = z - cz, y - cy, x - cx
            r = np.sqrt(dx**2 + dy**2 + dz**2)
            bumps = _bumps(dz, dy, dx, np.maximum(r, self.voxel)) * (-1) ** index
            depth = np.maximum(depth, radius * (1 + self.flattening * bumps) - r)
        return depth

    def crack_factor(self, z: Array, y: Array, x: Array) -> Array:
        """Return what cracks leave of the density: half planes through the centres, 0 in their middle, 1 beside."""
        left = np.ones(np.broadcast_shapes(z.shape, y.shape, x.shape))
        rng = np.random.default_rng(20)
        for cx, cy, cz, radius in self.bodies:
            for _ in range(self.cracks):
                normal, along = _perpendicular(rng)
                place = [z - cz, y - cy, x - cx]
                across = sum(n * p for n, p in zip(normal, place, strict=True))
                forward = sum(n * p for n, p in zip(along, place, strict=True))
                beside = np.clip((np.abs(across) - self.crack_width / 2) / self.voxel + 0.5, 0, 1)
                near = sum(p**2 for p in place) < (1.5 * radius) ** 2
                left = np.minimum(left, np.where((forward > -0.3 * radius) & near, beside, 1.0))
        return left


def check_profile(profile: Profile) -> None:
    """Raise ValueError unless the depths of a profile are at least two, increasing."""
    depths = [depth for depth, _ in profile]
    if len(depths) < 2 or any(b <= a for a, b in pairwise(depths)):
        raise ValueError(f"specimen valence depths {depths} are not at least two, increasing")


def profile_at(profile: Profile, depth: npt.ArrayLike) -> Array:
    """Return a profile at depths (um): linear between its points, constant beyond them."""
    depths, values = np.transpose(profile)
    return np.asarray(np.interp(np.asarray(depth, float), depths, values))


def _perpendicular(rng: np.random.Generator) -> tuple[Array, Array]:
    """Return two random unit vectors at right angles."""
    normal = rng.standard_normal(3)
    normal /= np.linalg.norm(normal)
    along = np.cross(normal, rng.standard_normal(3))
    return normal, along / np.linalg.norm(along)


def _bumps(z: Array, y: Array, x: Array, r: Array) -> Array:
    """Return a smooth function of the direction, within -1..1, low orders only."""
    cz, cy, cx = z / r, y / r, x / r
    return np.asarray((cx * cy + 0.8 * cx * cz - 0.6 * cy * (5 * cz**2 - 1) / 2 + 0.5 * (cx**2 - cy**2)) / 1.2)
