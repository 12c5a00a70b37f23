"""The photon energy as one axis: everything that must move together, done only when the read-back agrees."""

import math
import threading
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device
from ophyd import FormattedComponent as FCpt
from ophyd.status import DeviceStatus, StatusBase

from devices.errors import LimitError, MotionError
from devices.monochromator import Monochromator
from devices.motors import Motor
from devices.setting import Setting
from devices.status import fail, fail_after, fail_on_disconnect, finish, put_if_connected

__all__ = ["Energy"]

MAJOR = 2  # EPICS alarm severity


class Energy(Device):
    """Photon energy in eV, of a station without a lens.

    Setting it moves the Bragg angle and, with `gap_follows`, the gap for a fixed exit. The status ends with success
    only when all motors have arrived and the energy read-back lies within `tolerance` of the target; otherwise it
    fails `settling_time` seconds after the motors arrived, or as soon as a motor fails, and then stops the others.

    Reads `<name>` (read-back, eV) and `<name>_setpoint` (planned, eV).

    Parameters
    ----------
    monochromator : str
        Its PV prefix.
    gap_follows : bool
        Whether the gap moves with the energy.
    tolerance : float
        eV between read-back and target that count as arrived.
    settling_time : float
        Seconds the read-back may take to agree after the motors have arrived.
    """

    monochromator = FCpt(Monochromator, "{_monochromator}")
    setpoint = Cpt(Setting, value=math.nan, units="eV", kind="normal")
    tolerance = Cpt(Setting, value=0.2, units="eV", kind="config")
    settling_time = Cpt(Setting, value=5.0, units="s", kind="config")

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        monochromator: str,
        gap_follows: bool = True,
        tolerance: float = 0.2,
        settling_time: float = 5.0,
        **kwargs: Any,
    ) -> None:
        self._monochromator = monochromator
        self.gap_follows = gap_follows
        self._latest: StatusBase | None = None
        super().__init__(prefix, name=name, **kwargs)
        self.readback.name = name
        self.tolerance.put(float(tolerance))
        self.settling_time.put(float(settling_time))

    @property
    def readback(self) -> Any:
        """The energy read-back signal (eV)."""
        return self.monochromator.energy

    @property
    def position(self) -> float:
        """Energy read-back (eV)."""
        return float(self.readback.get())

    @property
    def hints(self) -> dict[str, list[str]]:
        """The read-back is what a table or a plot shows."""
        return {"fields": [self.name]}

    @property
    def egu(self) -> str:
        """Unit of the axis."""
        return "eV"

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest energy (eV) that every motor of the axis allows."""
        low, high = self.monochromator.limits
        return float(low), float(high)

    def targets(self, value: float) -> dict[Motor, float]:
        """Where each motor of the axis stands at the energy `value` (eV)."""
        bragg = self.monochromator.bragg_angle(value)
        motors: dict[Motor, float] = {self.monochromator.bragg: bragg}
        if self.gap_follows:
            motors[self.monochromator.gap] = self.monochromator.fixed_exit_gap(bragg)
        return motors

    def check_value(self, value: float) -> None:
        """Refuse an energy (eV) that is not finite, outside `limits`, or beyond a motor's own limits."""
        low, high = self.limits
        if not math.isfinite(value) or not low <= value <= high:
            raise LimitError(f"energy {value} eV is outside {low:.1f}..{high:.1f} eV of {self.name}")
        for motor, target in self.targets(value).items():
            motor.check_value(target)

    def set(self, value: float) -> StatusBase:
        """Move to the energy `value` (eV); the status ends as the class describes."""
        value = float(value)
        self.check_value(value)
        self.setpoint.put(value)
        self._latest = status = DeviceStatus(self)
        fail_on_disconnect(status, self.readback)
        moves = {motor: motor.set(target) for motor, target in self.targets(value).items()}
        waiting = threading.Semaphore(len(moves) - 1)

        def arrived(move: StatusBase) -> None:
            if (reason := move.exception()) is not None:
                fail(status, reason)
                self._stop_others(status, moves)
            elif not waiting.acquire(blocking=False):  # the last one
                self._wait_for_readback(status, value)

        for move in moves.values():
            move.add_callback(arrived)
        return status

    def _stop_others(self, status: StatusBase, moves: dict[Motor, StatusBase]) -> None:
        """Stop what still moves after a failure, unless the axis is on its way to another energy already."""
        if self._latest is status:
            for motor, move in moves.items():
                if not move.done:
                    put_if_connected(motor.motor_stop, 1)

    def _wait_for_readback(self, status: StatusBase, target: float) -> None:
        tolerance, limit = float(self.tolerance.get()), float(self.settling_time.get())

        def in_alarm() -> bool:
            return int(self.readback.alarm_severity or 0) >= MAJOR

        def on_readback(value: Any = None, **_: Any) -> None:
            if value is not None and abs(float(value) - target) <= tolerance and not in_alarm():
                finish(status)

        def not_settled() -> MotionError:
            where = f"{self.name} read-back {self.position:.3f} eV is"
            if in_alarm():
                return MotionError(f"{where} in alarm (severity {int(self.readback.alarm_severity)})")
            return MotionError(
                f"{where} {abs(self.position - target):.3f} eV from {target:.3f} eV (tolerance {tolerance} eV)"
                f" {limit} s after the motors arrived"
            )

        fail_after(status, limit, not_settled)
        token = self.readback.subscribe(on_readback, run=True)
        status.add_callback(lambda _: self.readback.unsubscribe(token))

    def stop(self, *, success: bool = False) -> None:
        """Stop every motor of the axis; `success` as for a motor."""
        if success and self._latest is not None:
            finish(self._latest)
        if not self.connected:
            return
        for motor in self.targets(self.position):
            motor.stop(success=success)
