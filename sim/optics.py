"""Bragg's law and the zone-plate lens: energy, focus, magnification, depth of field."""

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
    """A zone plate before a camera at a fixed distance.

    The focal length is D dr / lambda; 200 um and 31.55 nm give 5.09 um per eV.

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
    camera_distance : float
        From zone plate to camera, mm.
    """

    diameter: float = 200.0
    outer_zone_width: float = 31.55
    reference_energy: float = 8333.0
    reference_z: float = 0.0
    camera_distance: float = 903.0

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

    def magnification(self, energy: float) -> float:
        """Return the magnification of the thin lens, (q - f) / f, with the camera at a fixed distance q."""
        f = self.focal_length(energy)
        return (self.camera_distance - f) / f

    def pixel_ratio(self, energy: float) -> float:
        """Return the pixel size at the sample relative to that at the reference energy, camera fixed."""
        return self.magnification(self.reference_energy) / self.magnification(energy)
