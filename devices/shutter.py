"""The shutters: the fast one before the sample, and the photon shutter of the beamline."""

from collections.abc import Mapping
from typing import ClassVar

from ophyd import Component as Cpt

from devices.errors import ShutterError
from devices.setting import Setting
from devices.status import put_if_connected
from devices.switch import Switch

__all__ = ["PhotonShutter", "Shutter"]


class Shutter(Switch):
    """The fast shutter, set to ``"open"`` or ``"closed"``; fails with `ShutterError`."""

    positions: ClassVar[Mapping[str, tuple[str, str]]] = {"open": ("Open", "Open"), "closed": ("Close", "Closed")}
    failure = ShutterError

    def pause(self) -> None:
        """Close: the RunEngine calls this when a plan pauses. The plan opens it again from its last checkpoint on."""
        put_if_connected(self.command, self.positions["closed"][0])


class PhotonShutter(Switch):
    """The shutter between ring and optics: slow, and often in the hands of the ring. It stays open during a pause."""

    positions = Shutter.positions
    failure = ShutterError

    timeout = Cpt(Setting, value=15.0, units="s", kind="config")
