"""The sample stage: three translations and the tomographic rotation."""

from ophyd import Component as Cpt
from ophyd import Device

from devices.motors import Motor

__all__ = ["SampleStage"]


class SampleStage(Device):
    """Sample x, y, z (mm) and rotation (degrees, about the vertical axis y)."""

    x = Cpt(Motor, "x")
    y = Cpt(Motor, "y")
    z = Cpt(Motor, "z")
    rotation = Cpt(Motor, "rot")
