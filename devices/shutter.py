"""The shutters: the fast one before the sample, and the photon shutter of the beamline."""

from collections.abc import Mapping
from typing import ClassVar

from ophyd import Component as Cpt
from ophyd.status import StatusBase

from devices.errors import ShutterError
from devices.setting import Setting
from devices.status import put_if_connected
from devices.switch import Switch

__all__ = ["PhotonShutter", "Shutter"]


class Shutter(Switch):
    """The fast shutter, set to ``"open"`` or ``"closed"``; fails with `ShutterError`."""

    positions: ClassVar[Mapping[str, tuple[str, str]]] = {"open": ("Open", "Open"), "closed": ("Close", "Closed")}
    failure = ShutterError

    _open_again = False  # when a plan that is paused goes on

    def set(self, value: str) -> StatusBase:
        """Open or close it; what a pause has interrupted is forgotten."""
        self._open_again = False
        return super().set(value)

    def close_now(self) -> None:
        """Close without waiting, where nobody can wait any more."""
        put_if_connected(self.command, self.positions["closed"][0])

    def pause(self) -> None:
        """Close: the RunEngine calls this when a plan pauses or waits for the beam."""
        self._open_again = self._open_again or self.state == "open"
        self.close_now()

    def resume(self) -> None:
        """Open again what a pause has closed, before the plan goes on from its last checkpoint."""
        if self._open_again:
            self.set("open").wait()  # has a limit of its own


class PhotonShutter(Switch):
    """The shutter between ring and optics: slow, and often in the hands of the ring. It stays open during a pause."""

    positions = Shutter.positions
    failure = ShutterError

    timeout = Cpt(Setting, value=15.0, units="s", kind="config")
