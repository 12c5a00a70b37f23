"""The potentiostat that cycles the cell: what it does, and what the cell shows."""

import math
import time
from collections.abc import Mapping
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, EpicsSignal, EpicsSignalRO
from ophyd.status import AndStatus, DeviceStatus, StatusBase

from devices.errors import CellError, LimitError
from devices.setting import Setting
from devices.status import fail, fail_after, fail_on_disconnect, finish, put_if_connected

__all__ = ["Potentiostat"]

_STEPS = {  # step: (command, status)
    "stop": ("Stop", "Idle"),
    "charge": ("Charge", "Charging"),
    "discharge": ("Discharge", "Discharging"),
    "hold": ("Hold", "Holding"),
}
TRIPPED = "Fault"  # the cycler has switched the cell off by itself


class Potentiostat(Device):
    """A potentiostat / cycler with one cell.

    A charge or discharge is under way when the cycler says so and at least half of the current flows. A tripped cycler
    has stopped.

    ``prepare`` sets currents and voltage limits, ``set`` starts a step ("charge", "discharge", "hold", "stop"); both
    end by read-back. A charge ends at ``upper_voltage``; with an ``end_current`` that voltage is held until the current
    has fallen below it (CC-CV). ``read`` refuses the values of a cycler that has been silent for `stale_after` seconds
    or has tripped: they are not the state of the cell.
    """

    voltage = Cpt(EpicsSignalRO, "Voltage", kind="hinted")  # V
    current = Cpt(EpicsSignalRO, "Current", kind="normal", auto_monitor=True)  # mA, positive while charging
    charge = Cpt(EpicsSignalRO, "Charge", kind="normal")  # mAh
    state_of_charge = Cpt(EpicsSignalRO, "StateOfCharge", kind="normal")
    status = Cpt(EpicsSignalRO, "Status", string=True, kind="normal", auto_monitor=True)
    command = Cpt(EpicsSignal, "Cmd", string=True, kind="omitted")
    current_set = Cpt(EpicsSignal, "CurrentSet", kind="config")  # mA
    end_current = Cpt(EpicsSignal, "EndCurrent", kind="config")  # mA; 0: a step ends at its voltage, none is held
    upper_voltage = Cpt(EpicsSignal, "UpperVoltage", kind="config")  # V that ends a step
    lower_voltage = Cpt(EpicsSignal, "LowerVoltage", kind="config")  # V that ends a step
    mass = Cpt(EpicsSignalRO, "Mass", kind="config")  # mg of active material
    stale_after = Cpt(Setting, value=10.0, units="s", kind="config")

    timeout = 5.0  # s for a command or a setting to be followed

    def prepare(self, value: dict[str, float]) -> StatusBase:
        """Set what the next step uses, before it starts.

        Parameters
        ----------
        value : dict
            Any of ``current`` (mA), ``end_current`` (mA), ``upper_voltage`` (V), ``lower_voltage`` (V).
        """
        self.check_value(value)
        signals = self._settings
        statuses: list[StatusBase] = [signals[key].set(float(v), timeout=self.timeout) for key, v in value.items()]
        status = statuses[0]
        for other in statuses[1:]:
            status = AndStatus(status, other)
        return status

    @property
    def _settings(self) -> dict[str, EpicsSignal]:
        return {
            "current": self.current_set, "end_current": self.end_current,
            "upper_voltage": self.upper_voltage, "lower_voltage": self.lower_voltage,
        }  # fmt: skip

    def check_value(self, value: str | Mapping[str, float]) -> None:
        """Refuse a word that is no step, and settings of a step (see `prepare`) that the cycler does not take."""
        if isinstance(value, str):
            if value not in _STEPS:
                raise LimitError(f"{self.name} {value!r} is not one of {sorted(_STEPS)}")
            return
        signals = self._settings
        if not value:
            raise LimitError(f"{self.name} was prepared with nothing; give any of {', '.join(signals)}")
        for key, number in value.items():
            if key not in signals:
                raise LimitError(f"{self.name} has no setting {key!r}; it has {', '.join(signals)}")
            _check(signals[key], number)

    def set(self, value: str) -> StatusBase:
        """Start a step; fails with `CellError` when the status does not follow within `timeout` seconds."""
        self.check_value(value)
        command, wanted = _STEPS[value]
        status = DeviceStatus(self)
        fail_on_disconnect(status, self.status)

        least = 0.5 * abs(float(self.current_set.get())) if value in ("charge", "discharge") else 0.0

        def look(**_: Any) -> None:
            now = str(self.status.get())
            if (now == wanted and abs(float(self.current.get())) >= least) or (now == TRIPPED and value == "stop"):
                finish(status)
            elif now == TRIPPED:
                fail(status, CellError(f"{self.name}: the cycler has tripped; stop it first"))

        def did_not_follow() -> CellError:
            return CellError(
                f"{self.name} did not become {wanted} within {self.timeout} s; it is {self.status.get()} at"
                f" {float(self.current.get()):.4g} mA"
            )

        fail_after(status, self.timeout, did_not_follow)
        self.command.put(command, wait=False)
        for signal in (self.status, self.current):
            token = signal.subscribe(look, run=True)
            status.add_callback(lambda _, signal=signal, token=token: signal.unsubscribe(token))
        return status

    def stop_now(self) -> None:
        """Stop without waiting, where nobody can wait any more."""
        put_if_connected(self.command, _STEPS["stop"][0])

    def check(self) -> None:
        """Raise `CellError` when the cycler is silent or has tripped."""
        voltage = float(self.voltage.get())
        age, limit = time.time() - float(self.voltage.timestamp), float(self.stale_after.get())
        if age > limit:
            raise CellError(f"{self.name}: the cycler has been silent for {age:.1f} s (limit {limit:g} s)")
        if self.status.get(use_monitor=False) == TRIPPED:
            raise CellError(f"{self.name}: the cycler has tripped at {voltage:.3f} V")

    def read(self) -> dict[str, Any]:
        """State of the cell; refuses values that are not its present state."""
        self.check()
        return dict(super().read())


def _check(signal: EpicsSignal, value: float) -> None:
    low, high = signal.limits
    unit = signal.metadata.get("units") or ""
    if not math.isfinite(value) or (low < high and not low <= value <= high):
        raise LimitError(f"{signal.name} {value} {unit} is outside {low}..{high} {unit}")
