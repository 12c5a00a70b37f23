"""The photon energy as one axis: everything that must move together, done only when the read-back agrees."""

import math
import threading
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, Signal
from ophyd import FormattedComponent as FCpt
from ophyd.status import DeviceStatus, StatusBase

from devices.errors import LimitError, MotionError
from devices.monochromator import Monochromator
from devices.motors import Motor
from devices.status import fail, fail_after, fail_on_disconnect, finish
from devices.zone_plate import ZonePlate

__all__ = ["Energy"]


class Energy(Device):
    """Photon energy in eV.

    Setting it moves the Bragg angle and the zone plate together. The status ends with success only when both
    motors have arrived and the energy read-back lies within `tolerance` of the target; otherwise it fails
    `settling_time` seconds after the motors arrived, or as soon as a motor fails.

    Reads `<name>` (read-back, eV) and `<name>_setpoint` (planned, eV).

    Parameters
    ----------
    monochromator, zone_plate : str
        PV prefixes of the two.
    tolerance : float
        eV between read-back and target that count as arrived.
    settling_time : float
        Seconds the read-back may take to agree after the motors have arrived.
    """

    monochromator = FCpt(Monochromator, "{_monochromator}")
    zone_plate = FCpt(ZonePlate, "{_zone_plate}")
    setpoint = Cpt(Signal, value=math.nan, kind="normal")
    tolerance = Cpt(Signal, value=0.2, kind="config")
    settling_time = Cpt(Signal, value=5.0, kind="config")

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        monochromator: str,
        zone_plate: str,
        tolerance: float = 0.2,
        settling_time: float = 5.0,
        **kwargs: Any,
    ) -> None:
        self._monochromator, self._zone_plate = monochromator, zone_plate
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
        z_low, z_high = self.zone_plate.z.limits
        if z_low < z_high:
            slope = self.zone_plate.focus(1.0) - self.zone_plate.focus(0.0)  # mm/eV, above 0
            at_zero = self.zone_plate.focus(0.0)
            low, high = max(low, (z_low - at_zero) / slope), min(high, (z_high - at_zero) / slope)
        return low, high

    def check_value(self, value: float) -> None:
        """Refuse an energy (eV) that is not finite or outside `limits`."""
        low, high = self.limits
        if not math.isfinite(value) or not low <= value <= high:
            raise LimitError(f"energy {value} eV is outside {low:.1f}..{high:.1f} eV of {self.name}")

    def set(self, value: float) -> StatusBase:
        """Move to the energy `value` (eV); the status ends as the class describes."""
        value = float(value)
        self.check_value(value)
        targets: dict[Motor, float] = {
            self.monochromator.bragg: self.monochromator.bragg_angle(value),
            self.zone_plate.z: self.zone_plate.focus(value),
        }
        for motor, target in targets.items():
            motor.check_value(target)
        self.setpoint.put(value)
        status = DeviceStatus(self)
        fail_on_disconnect(status, self.readback)
        moves = [motor.set(target) for motor, target in targets.items()]
        waiting = threading.Semaphore(len(moves) - 1)

        def arrived(move: StatusBase) -> None:
            if (reason := move.exception()) is not None:
                fail(status, reason)
            elif not waiting.acquire(blocking=False):  # the last one
                self._wait_for_readback(status, value)

        for move in moves:
            move.add_callback(arrived)
        return status

    def _wait_for_readback(self, status: StatusBase, target: float) -> None:
        tolerance, limit = float(self.tolerance.get()), float(self.settling_time.get())

        def on_readback(value: Any = None, **_: Any) -> None:
            if value is not None and abs(float(value) - target) <= tolerance:
                finish(status)

        def not_settled() -> MotionError:
            return MotionError(
                f"{self.name} read-back {self.position:.3f} eV is {abs(self.position - target):.3f} eV from"
                f" {target:.3f} eV (tolerance {tolerance} eV) {limit} s after the motors arrived"
            )

        fail_after(status, limit, not_settled)
        token = self.readback.subscribe(on_readback, run=True)
        status.add_callback(lambda _: self.readback.unsubscribe(token))

    def stop(self, *, success: bool = False) -> None:
        """Stop every motor of the axis."""
        self.monochromator.bragg.stop(success=success)
        self.zone_plate.z.stop(success=success)
