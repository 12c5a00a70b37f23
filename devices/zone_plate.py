"""The zone plate: its focal length follows the photon energy, and so must its position."""

from ophyd import Component as Cpt
from ophyd import Device, EpicsSignalRO

from devices.monochromator import HC_EV_ANGSTROM
from devices.motors import Motor

__all__ = ["ZonePlate"]

_MM_PER_UM_NM_ANGSTROM = 1e-2  # 1 µm · 1 nm / 1 Å = 1e-5 m


class ZonePlate(Device):
    """A Fresnel zone plate on three motors.

    The focal length is f = D Δr / λ, D the diameter and Δr the outermost zone width (Attwood, *Soft X-Rays and
    Extreme Ultraviolet Radiation*, 1999, eq. 9.13). In focus the plate stands at
    ``reference_z + f(E) - f(reference_energy)``.
    """

    x = Cpt(Motor, "x")
    y = Cpt(Motor, "y")
    z = Cpt(Motor, "z")
    diameter = Cpt(EpicsSignalRO, "Diameter", kind="config", auto_monitor=True)
    outer_zone_width = Cpt(EpicsSignalRO, "OuterZoneWidth", kind="config", auto_monitor=True)
    reference_z = Cpt(EpicsSignalRO, "ReferenceZ", kind="config", auto_monitor=True)
    reference_energy = Cpt(EpicsSignalRO, "ReferenceEnergy", kind="config", auto_monitor=True)

    def focal_length(self, energy: float) -> float:
        """Focal length (mm) at a photon `energy` (eV)."""
        product = float(self.diameter.get()) * float(self.outer_zone_width.get())  # µm nm
        return product * energy / HC_EV_ANGSTROM * _MM_PER_UM_NM_ANGSTROM

    def focus(self, energy: float) -> float:
        """Position of `z` (mm) that is in focus at a photon `energy` (eV)."""
        reference = self.focal_length(float(self.reference_energy.get()))
        return float(self.reference_z.get()) + self.focal_length(energy) - reference
