"""The double-crystal monochromator: Bragg angle and photon energy."""

import math

from ophyd import Component as Cpt
from ophyd import Device, EpicsSignalRO

from devices.errors import LimitError
from devices.motors import Motor

__all__ = ["HC_EV_ANGSTROM", "Monochromator"]

HC_EV_ANGSTROM = 12398.419843320026  # h c in eV Å, exact in the SI of 2019


class Monochromator(Device):
    """A double-crystal monochromator.

    Conventions: the Bragg angle is the angle between the beam and the diffracting planes in degrees;
    E = h c / (2 d sin(angle + offset)).
    """

    bragg = Cpt(Motor, "bragg")
    energy = Cpt(EpicsSignalRO, "EnergyRBV", kind="hinted", auto_monitor=True)
    d_spacing = Cpt(EpicsSignalRO, "DSpacing", kind="config", auto_monitor=True)
    bragg_offset = Cpt(EpicsSignalRO, "BraggOffset", kind="config", auto_monitor=True)

    def bragg_angle(self, energy: float) -> float:
        """Bragg motor position (degrees) for a photon `energy` (eV)."""
        lowest = HC_EV_ANGSTROM / (2 * float(self.d_spacing.get()))
        if not math.isfinite(energy) or energy <= lowest:
            raise LimitError(f"energy {energy} eV is not above {lowest:.1f} eV, the lowest of {self.name}")
        return math.degrees(math.asin(lowest / energy)) - float(self.bragg_offset.get())

    def photon_energy(self, bragg: float) -> float:
        """Photon energy (eV) at a Bragg motor position (degrees)."""
        sine = math.sin(math.radians(bragg + float(self.bragg_offset.get())))
        return HC_EV_ANGSTROM / (2 * float(self.d_spacing.get()) * sine)

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest photon energy (eV) within the soft limits of the Bragg motor."""
        low, high = self.bragg.limits
        if not low < high:
            return 0.0, math.inf
        return self.photon_energy(high), self.photon_energy(low)
