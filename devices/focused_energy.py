"""The photon energy of a microscope: the zone plate follows, and where it can the camera too."""

from typing import Any

from ophyd import Component as Cpt
from ophyd import FormattedComponent as FCpt

from devices.energy import Energy
from devices.motors import Motor
from devices.setting import Setting
from devices.zone_plate import ZonePlate

__all__ = ["FocusedEnergy", "FollowingEnergy"]


class FocusedEnergy(Energy):
    """Photon energy in eV of a microscope whose camera stands still: its pixel grows with the energy.

    As `Energy`, and the zone plate follows along the beam by its focal length.

    Parameters
    ----------
    monochromator, zone_plate : str
        PV prefixes.
    """

    zone_plate = FCpt(ZonePlate, "{_zone_plate}")

    def __init__(self, prefix: str = "", *, name: str, zone_plate: str, **kwargs: Any) -> None:
        self._zone_plate = zone_plate
        super().__init__(prefix, name=name, **kwargs)

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest energy (eV) that every motor of the axis allows."""
        low, high = super().limits
        z_low, z_high = self.zone_plate.z.limits
        if z_low < z_high:
            slope = self.zone_plate.focus(1.0) - self.zone_plate.focus(0.0)  # mm/eV, above 0
            at_zero = self.zone_plate.focus(0.0)
            low, high = max(low, (z_low - at_zero) / slope), min(high, (z_high - at_zero) / slope)
        return low, high

    def targets(self, value: float) -> dict[Motor, float]:
        """Where each motor of the axis stands at the energy `value` (eV)."""
        return {**super().targets(value), self.zone_plate.z: self.zone_plate.focus(value)}


class FollowingEnergy(FocusedEnergy):
    """Photon energy in eV of a microscope whose camera follows: its magnification, and so the pixel, stays.

    The camera stands f (M + 1)² / M behind the sample (thin lens of focal length f, magnification M). Its motor is
    at `camera_reference` at the reference energy of the zone plate.

    Parameters
    ----------
    monochromator, zone_plate, camera : str
        PV prefixes.
    magnification : float
        Of the zone plate.
    camera_reference : float
        Position of the camera (mm) at the reference energy.
    """

    camera = FCpt(Motor, "{_camera}")
    magnification = Cpt(Setting, value=1.0, kind="config")
    camera_reference = Cpt(Setting, value=0.0, units="mm", kind="config")

    def __init__(
        self, prefix: str = "", *, name: str, camera: str, magnification: float, camera_reference: float, **kwargs: Any
    ) -> None:
        self._camera = camera
        super().__init__(prefix, name=name, **kwargs)
        self.magnification.put(float(magnification))
        self.camera_reference.put(float(camera_reference))

    def camera_position(self, energy: float) -> float:
        """Position of the camera (mm) that keeps the magnification at a photon `energy` (eV)."""
        m = float(self.magnification.get())
        further = self.zone_plate.focus(energy) - float(self.zone_plate.reference_z.get())
        return float(self.camera_reference.get()) + float(further * (m + 1) ** 2 / m)

    def targets(self, value: float) -> dict[Motor, float]:
        """Where each motor of the axis stands at the energy `value` (eV)."""
        return {**super().targets(value), self.camera: self.camera_position(value)}

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest energy (eV) that every motor of the axis allows."""
        low, high = super().limits
        z_low, z_high = self.camera.limits
        if z_low < z_high:
            slope = self.camera_position(1.0) - self.camera_position(0.0)
            at_zero = self.camera_position(0.0)
            low, high = max(low, (z_low - at_zero) / slope), min(high, (z_high - at_zero) / slope)
        return low, high
