"""The reference foil of the bulk absorption station."""

from collections.abc import Mapping
from typing import ClassVar

from ophyd import Component as Cpt
from ophyd import EpicsSignalRO

from devices.errors import FoilError
from devices.switch import Switch

__all__ = ["Foil"]


class Foil(Switch):
    """A metal foil between the last two ion chambers, set to ``"in"`` or ``"out"``; fails with `FoilError`.

    Whether a metal is there at all only a spectrum of the last chamber can tell.
    """

    positions: ClassVar[Mapping[str, tuple[str, str]]] = {"in": ("In", "In"), "out": ("Out", "Out")}
    failure = FoilError

    element = Cpt(EpicsSignalRO, "Element", string=True, kind="config", auto_monitor=True)
