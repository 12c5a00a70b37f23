"""The optics that a scan seldom moves: condenser, order-sorting aperture, and the camera along the beam."""

from ophyd import Component as Cpt
from ophyd import Device

from devices.motors import Motor

__all__ = ["CameraStage", "Condenser", "OrderSortingAperture"]


class Condenser(Device):
    """The condenser on its motor along the beam, `z` (mm)."""

    z = Cpt(Motor, "z")


class OrderSortingAperture(Device):
    """The pinhole that stops the other orders of the zone plate, `x` and `y` (mm) across the beam."""

    x = Cpt(Motor, "x")
    y = Cpt(Motor, "y")


class CameraStage(Device):
    """The camera on its motor along the beam, `z` (mm)."""

    z = Cpt(Motor, "z")
