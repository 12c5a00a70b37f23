"""The photon energy of a microscope: the zone plate follows, and where it can the camera too."""

from collections.abc import Callable
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

    As `Energy`, and the zone plate follows: along the beam by its focal length, and across it along a straight line
    in energy where its slides do not run quite along the beam. ::

        z = reference_z + f(E) - f(E0)      x = x_reference + x_slope (E - E0)      y likewise

    E0 is the reference energy of the zone plate. An axis with slope 0 is left where it is.

    Parameters
    ----------
    monochromator, zone_plate : str
        PV prefixes.
    x_slope, y_slope : float
        How far the zone plate moves across the beam, mm/eV.
    x_reference, y_reference : float
        Where it stands at its reference energy, mm.
    """

    zone_plate = FCpt(ZonePlate, "{_zone_plate}")
    x_slope = Cpt(Setting, value=0.0, units="mm/eV", kind="config")
    y_slope = Cpt(Setting, value=0.0, units="mm/eV", kind="config")
    x_reference = Cpt(Setting, value=0.0, units="mm", kind="config")
    y_reference = Cpt(Setting, value=0.0, units="mm", kind="config")

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        zone_plate: str,
        x_slope: float = 0.0,
        y_slope: float = 0.0,
        x_reference: float = 0.0,
        y_reference: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self._zone_plate = zone_plate
        super().__init__(prefix, name=name, **kwargs)
        self.x_slope.put(float(x_slope))
        self.y_slope.put(float(y_slope))
        self.x_reference.put(float(x_reference))
        self.y_reference.put(float(y_reference))

    def followers(self) -> dict[Motor, Callable[[float], float]]:
        """Each motor that follows the energy along a straight line, with its position (mm) at an energy (eV)."""
        found: dict[Motor, Callable[[float], float]] = {self.zone_plate.z: self.zone_plate.focus}
        if self.x_slope.get():
            found[self.zone_plate.x] = lambda energy: self._across(self.x_slope, self.x_reference, energy)
        if self.y_slope.get():
            found[self.zone_plate.y] = lambda energy: self._across(self.y_slope, self.y_reference, energy)
        return found

    def _across(self, slope: Setting, reference: Setting, energy: float) -> float:
        further = energy - float(self.zone_plate.reference_energy.get())
        return float(reference.get()) + float(slope.get()) * further

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest energy (eV) that every motor of the axis allows."""
        low, high = super().limits
        for motor, position in self.followers().items():
            if motor.limits[0] < motor.limits[1]:
                at_zero = position(0.0)
                slope = position(1.0) - at_zero  # mm/eV
                ends = sorted((limit - at_zero) / slope for limit in motor.limits)
                low, high = max(low, ends[0]), min(high, ends[1])
        return low, high

    def targets(self, value: float) -> dict[Motor, float]:
        """Where each motor of the axis stands at the energy `value` (eV)."""
        followed = {motor: position(value) for motor, position in self.followers().items()}
        return {**super().targets(value), **followed}


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

    def followers(self) -> dict[Motor, Callable[[float], float]]:
        """Each motor that follows the energy along a straight line, with its position (mm) at an energy (eV)."""
        return {**super().followers(), self.camera: self.camera_position}
