"""The double-crystal monochromator: Bragg angle, gap, pitch and photon energy."""

import math

from ophyd import Component as Cpt
from ophyd import Device, EpicsSignal, EpicsSignalRO

from devices.errors import LimitError
from devices.motors import Motor

__all__ = ["HC_EV_ANGSTROM", "Monochromator"]

HC_EV_ANGSTROM = 12398.419843320026  # h c in eV Å, exact in the SI of 2019


class Monochromator(Device):
    """A double-crystal monochromator.

    Conventions: the Bragg angle is the angle between the beam and the diffracting planes in degrees;
    E = h c / (2 d sin(angle + offset)). The exit beam stays where it is when the crystals are
    exit offset / (2 cos(angle + offset)) apart. The pitch of the second crystal (µrad) is tuned, not calculated.
    """

    bragg = Cpt(Motor, "bragg")  # deg
    gap = Cpt(Motor, "gap")  # mm between the crystals
    pitch = Cpt(Motor, "pitch")  # µrad of the second crystal against the first
    energy = Cpt(EpicsSignalRO, "EnergyRBV", kind="hinted", auto_monitor=True)
    d_spacing = Cpt(EpicsSignal, "DSpacing", kind="config", auto_monitor=True)  # Å
    bragg_offset = Cpt(EpicsSignal, "BraggOffset", kind="config", auto_monitor=True)  # deg
    exit_offset = Cpt(EpicsSignalRO, "ExitOffset", kind="config", auto_monitor=True)  # mm

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

    def fixed_exit_gap(self, bragg: float) -> float:
        """Gap (mm) that keeps the exit beam in place at a Bragg motor position (degrees)."""
        return float(self.exit_offset.get()) / (2 * math.cos(math.radians(bragg + float(self.bragg_offset.get()))))

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest photon energy (eV) within the soft limits of the Bragg motor."""
        low, high = self.bragg.limits
        if not low < high:
            return 0.0, math.inf
        return self.photon_energy(high), self.photon_energy(low)
