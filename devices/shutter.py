"""The fast shutter: it has moved when its status says so, not when the command was sent."""

from typing import Any, Literal

from ophyd import Component as Cpt
from ophyd import Device, EpicsSignal, EpicsSignalRO, Signal
from ophyd.status import DeviceStatus, StatusBase

from devices.errors import LimitError, ShutterError
from devices.status import fail_after, fail_on_disconnect, finish

__all__ = ["Shutter"]

_COMMANDS = {"open": ("Open", "Open"), "closed": ("Close", "Closed")}  # state: (command, status)


class Shutter(Device):
    """A two-state shutter, set to ``"open"`` or ``"closed"``."""

    command = Cpt(EpicsSignal, "Cmd", string=True, kind="omitted")
    status = Cpt(EpicsSignalRO, "Sts", string=True, kind="normal", auto_monitor=True)
    timeout = Cpt(Signal, value=5.0, kind="config")

    def set(self, value: Literal["open", "closed"]) -> StatusBase:
        """Open or close; fails with `ShutterError` when the status does not follow within `timeout` seconds."""
        if value not in _COMMANDS:
            raise LimitError(f"{self.name} {value!r} is not one of {sorted(_COMMANDS)}")
        command, wanted = _COMMANDS[value]
        limit = float(self.timeout.get())
        status = DeviceStatus(self)
        fail_on_disconnect(status, self.status)

        def on_status(value: Any = None, **_: Any) -> None:
            if str(value) == wanted:
                finish(status)

        def did_not_follow() -> ShutterError:
            return ShutterError(f"{self.name} did not become {wanted} within {limit} s; it is {self.status.get()}")

        fail_after(status, limit, did_not_follow)
        self.command.put(command, wait=False)
        token = self.status.subscribe(on_status, run=True)
        status.add_callback(lambda _: self.status.unsubscribe(token))
        return status
