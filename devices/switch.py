"""Something with a few named states: it has moved when its status says so, not when the command was sent."""

import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from ophyd import Component as Cpt
from ophyd import Device, EpicsSignal, EpicsSignalRO
from ophyd.status import DeviceStatus, StatusBase

from devices.errors import DeviceError, LimitError
from devices.setting import Setting
from devices.status import fail_after, fail_on_disconnect, finish

__all__ = ["Switch"]


class Switch(Device):
    """A device that is set to one of a few states by ``Cmd`` and says in ``Sts`` where it is.

    A class of switches says in `positions` what its states are called: state: (command, status); one whose hardware
    has names of its own overrides `states`.
    """

    positions: ClassVar[Mapping[str, tuple[str, str]]] = {}
    failure: ClassVar[type[DeviceError]] = DeviceError

    command = Cpt(EpicsSignal, "Cmd", string=True, kind="omitted")
    status = Cpt(EpicsSignalRO, "Sts", string=True, kind="normal", auto_monitor=True)
    timeout = Cpt(Setting, value=5.0, units="s", kind="config")

    def states(self) -> Mapping[str, tuple[str, str]]:
        """What the states are called, and the command and status of each."""
        return self.positions

    _latest: StatusBase | None = None

    def check_value(self, value: str) -> None:
        """Refuse a word that is no state."""
        if value not in self.states():
            raise LimitError(f"{self.name} {value!r} is not one of {sorted(self.states())}")

    @property
    def state(self) -> str:
        """The state it is in by its status, or the status itself when that is none of `positions`."""
        now = str(self.status.get())
        return next((state for state, (_, shown) in self.states().items() if shown == now), now)

    def set(self, value: str) -> StatusBase:
        """Bring it to a state; fails with `failure` when the status does not follow within `timeout` seconds.

        The command must have been processed, too: the status may still be on its way from an earlier one.
        """
        self.check_value(value)
        command, wanted = self.states()[value]
        limit = float(self.timeout.get())
        self._latest = status = DeviceStatus(self)
        fail_on_disconnect(status, self.status)
        processed = threading.Event()

        def look(value: Any = None, **_: Any) -> None:
            if processed.is_set() and str(value) == wanted:
                finish(status)

        def on_processed(**_: Any) -> None:
            processed.set()
            look(value=self.status.get())

        def did_not_follow() -> DeviceError:
            return self.failure(f"{self.name} did not become {wanted} within {limit} s; it is {self.status.get()}")

        fail_after(status, limit, did_not_follow)
        token = self.status.subscribe(look, run=False)
        status.add_callback(lambda _: self.status.unsubscribe(token))
        self.command.put(command, wait=False, use_complete=True, callback=on_processed)
        return status

    def stop(self, *, success: bool = False) -> None:
        """Wait no longer; `success` says that this is intended, as when a plan pauses."""
        if success and self._latest is not None:
            finish(self._latest)
