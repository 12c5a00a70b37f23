"""Bragg's law, the zone-plate lens, and the condenser and the aperture around it."""

import math
from dataclasses import dataclass

HC = 12398.419843320026  # eV Angstrom, exact in the SI of 2019
SILICON_111 = 3.1356  # Angstrom
SILICON_111_BANDWIDTH = 1.3e-4  # dE/E, full width at half maximum
FWHM = 2 * math.sqrt(2 * math.log(2))


def bragg_energy(angle: float, spacing: float = SILICON_111) -> float:
    """Return the energy (eV) that a crystal of a lattice spacing (Angstrom) reflects at a Bragg angle (deg).

    Raises
    ------
    ValueError
        When the angle is not within 0..90 deg (exclusive of 0).
    """
    if not 0 < angle <= 90:
        raise ValueError(f"Bragg angle {angle} deg is outside 0..90 deg")
    return HC / (2 * spacing * math.sin(math.radians(angle)))


def bragg_angle(energy: float, spacing: float = SILICON_111) -> float:
    """Return the Bragg angle (deg) for an energy (eV).

    Examples
    --------
    >>> round(bragg_energy(bragg_angle(8333.0)), 9)
    8333.0
    """
    sine = HC / (2 * spacing * energy)
    if not 0 < sine <= 1:
        raise ValueError(f"energy {energy} eV is below the {HC / 2 / spacing:.1f} eV of spacing {spacing} A")
    return math.degrees(math.asin(sine))


@dataclass(frozen=True, slots=True)
class ZonePlate:
    """A zone plate that images the sample on a camera, as a thin lens.

    The focal length is D dr / lambda; 200 um and 31.55 nm give 5.09 um per eV. Along the beam the lens follows its
    focal length; that its distance from the sample is a little more, f (1 + 1 / M), is left to the reference position.

    Attributes
    ----------
    diameter : float
        um.
    outer_zone_width : float
        nm.
    reference_energy : float
        Energy (eV) at which the zone plate is in focus at `reference_z`.
    reference_z : float
        mm.
    reference_magnification : float
        In focus at the reference energy with the camera's motor at 0; says how far behind the lens the camera is.
    """

    diameter: float = 200.0
    outer_zone_width: float = 31.55
    reference_energy: float = 8333.0
    reference_z: float = 0.0
    reference_magnification: float = 41.0

    def focal_length(self, energy: float) -> float:
        """Return the focal length in mm at an energy in eV."""
        wavelength = HC / energy * 1e-10
        return self.diameter * 1e-6 * self.outer_zone_width * 1e-9 / wavelength * 1e3

    def focus(self, energy: float) -> float:
        """Return the position (mm) at which the zone plate is in focus at an energy (eV).

        Examples
        --------
        >>> round((ZonePlate().focus(8433.0) - ZonePlate().focus(8333.0)) * 10, 2)  # um per eV
        5.09
        """
        return self.reference_z + self.focal_length(energy) - self.focal_length(self.reference_energy)

    def numerical_aperture(self, energy: float) -> float:
        """Return lambda / (2 dr)."""
        return HC / energy * 0.1 / (2 * self.outer_zone_width)

    def blur(self, energy: float, z: float) -> float:
        """Return the standard deviation (um, at the sample) of a point's image with the zone plate at z (mm).

        In focus it is 0.42 of the outer zone width x 1.22; out of focus the disk of confusion of the aperture,
        whose standard deviation along one axis is half its radius, is added in quadrature.
        """
        in_focus = 0.42 * 1.22 * self.outer_zone_width * 1e-3
        radius = abs(z - self.focus(energy)) * 1e3 * self.numerical_aperture(energy)
        return math.hypot(in_focus, radius / 2)

    def magnification(self, energy: float, *, camera: float = 0.0, defocus: float = 0.0) -> float:
        """Return the magnification: the camera's distance from the lens over the sample's.

        In focus this is (q - f) / f. As the energy rises the lens moves away from the sample and towards the camera.

        Parameters
        ----------
        energy : float
            eV.
        camera : float
            Position of the camera's motor, mm, growing away from the lens.
        defocus : float
            Distance of the lens from focus, mm, growing away from the sample.
        """
        f, f_reference = self.focal_length(energy), self.focal_length(self.reference_energy)
        in_focus = f_reference * (self.reference_magnification + 1) + camera - (f - f_reference)
        return (in_focus - defocus) / (f * in_focus / (in_focus - f) + defocus)

    def pixel_ratio(self, energy: float, *, camera: float = 0.0, defocus: float = 0.0) -> float:
        """Return the pixel size at the sample relative to that at the reference energy, camera at 0, in focus."""
        return self.reference_magnification / self.magnification(energy, camera=camera, defocus=defocus)


@dataclass(frozen=True, slots=True)
class Condenser:
    """A capillary that focuses the beam on the sample: achromatic, its cone as wide as the zone plate's.

    Attributes
    ----------
    numerical_aperture : float
    """

    numerical_aperture: float = 2.4e-3

    def spread(self, z: float, radius: float) -> float:
        """Return how many times wider the spot of a radius (um, in focus) is with the condenser at z (mm), >= 1."""
        return math.hypot(1.0, z * 1e3 * self.numerical_aperture / radius)


@dataclass(frozen=True, slots=True)
class OrderSortingAperture:
    """A pinhole that passes the cone of the first order and stops the zeroth order, a ring around it.

    Attributes
    ----------
    hole, first_order : float
        Radii of the pinhole and of the first order in its plane, um.
    inner, outer : float
        Radii of the ring of the zeroth order, um.
    undiffracted : float
        Light of the whole zeroth order relative to that of the first.
    """

    hole: float = 50.0
    first_order: float = 30.0
    inner: float = 80.0
    outer: float = 150.0
    undiffracted: float = 5.0

    def passed(self, x: float, y: float) -> tuple[float, float]:
        """Return the parts (first order, zeroth order) that pass with the pinhole at (x, y), um, off the axis.

        Examples
        --------
        >>> OrderSortingAperture().passed(0.0, 0.0)
        (1.0, 0.0)
        """
        distance = math.hypot(x, y)
        first = _common_area(self.hole, self.first_order, distance) / (math.pi * self.first_order**2)
        ring = _common_area(self.hole, self.outer, distance) - _common_area(self.hole, self.inner, distance)
        return first, self.undiffracted * ring / (math.pi * (self.outer**2 - self.inner**2))


def _common_area(a: float, b: float, distance: float) -> float:
    """Return the area that two disks of radii a and b have in common."""
    if distance >= a + b:
        return 0.0
    if distance <= abs(a - b):
        return math.pi * min(a, b) ** 2
    toward_a = (distance**2 + a**2 - b**2) / (2 * distance)
    sectors = a**2 * math.acos(toward_a / a) + b**2 * math.acos((distance - toward_a) / b)
    return sectors - distance * math.sqrt(max(a**2 - toward_a**2, 0.0))
