"""A motor record whose move ends, one way or the other: in position, or with the reason.

Stock ophyd waits for ever for a motor that is stuck or whose server died, and reports success for one that
stalled, was stopped by somebody else or refused the position.
"""

import functools
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from ophyd import Component as Cpt
from ophyd import EpicsMotor, EpicsSignalRO
from ophyd.status import MoveStatus
from ophyd.status import wait as wait_for_status
from ophyd.utils import DisconnectedError

from devices.errors import LimitError, MotionError
from devices.status import fail, fail_after, fail_on_disconnect, finish, put_if_connected

__all__ = ["Motor"]


class Motor(EpicsMotor):
    """An EPICS motor record.

    A move succeeds when the record reports done *and* the read-back lies within `tolerance` of the target; it
    fails with `MotionError` when it stops elsewhere or has not ended `margin` seconds after the time the motion
    needs by its velocity and acceleration, and with `DisconnectedError` when the record is lost.
    """

    limit_violation = Cpt(EpicsSignalRO, ".LVIO", kind="omitted", auto_monitor=True)
    retry_deadband = Cpt(EpicsSignalRO, ".RDBD", kind="config", auto_monitor=True)

    margin = 5.0  # s beyond the motion
    monitor_lag = 0.2  # s in which the monitors of a finished move arrive

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._move_lock = threading.Lock()
        self._move_status: MoveStatus | None = None
        super().__init__(*args, **kwargs)

    @property
    def position(self) -> float:
        """Read-back; asked for where the first monitor has not come yet."""
        position = super().position
        return float(self.user_readback.get() if position is None else position)

    @property
    def tolerance(self) -> float:
        """Largest distance between target and read-back that counts as arrived (engineering units)."""
        resolution = 10.0 ** -(self.precision or 4)
        return max(2 * float(self.retry_deadband.get()), resolution)

    def travel_time(self, position: float) -> float:
        """Time in seconds the motion from here to `position` needs at most."""
        velocity = float(self.velocity.get())
        if velocity <= 0:
            raise MotionError(f"{self.name} velocity {velocity} {self.egu}/s is not above 0")
        return float(abs(position - self.position) / velocity + 2 * float(self.acceleration.get()))

    def check_value(self, pos: float) -> None:
        """Refuse a position that is not finite or lies outside the soft limits; (0, 0) means no limits."""
        if not self.connected:
            raise DisconnectedError(f"{self.name} ({self.prefix}) is not connected")
        low, high = self.limits
        if not math.isfinite(pos):
            raise LimitError(f"{self.name} {pos} {self.egu} is not a finite position")
        if low < high and not low <= pos <= high:
            raise LimitError(f"{self.name} {pos} {self.egu} is outside {low}..{high} {self.egu}")

    def move(
        self,
        position: float,
        wait: bool = True,
        moved_cb: Callable[..., None] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> MoveStatus:
        """Move to `position`; the returned status ends as the class describes."""
        self.check_value(position)
        limit = timeout or self.timeout or self.travel_time(position) + self.margin
        # A superseded move fails without stopping the motor, which is on its way to the new target.
        status = MoveStatus(self, position, settle_time=self._settle_time, call_stop_on_failure=False)
        if moved_cb is not None:
            status.add_callback(functools.partial(moved_cb, obj=self))
        with self._move_lock:  # before the put: done may be reported before put() returns
            superseded, self._move_status = self._move_status, status
        if superseded is not None:
            fail(superseded, MotionError(f"{self.name}: superseded by a move to {position} {self.egu}"))
        self._started_moving = False
        fail_on_disconnect(status, self.motor_done_move, self.user_readback)
        fail_after(status, limit, lambda: self._not_done(position, limit), then=self._stop_record)
        self.user_setpoint.put(
            position, wait=False, use_complete=True, callback=functools.partial(self._put_processed, status)
        )
        if wait:
            wait_for_status(status)
        return status

    def stop(self, *, success: bool = False) -> None:
        """Stop; `success` says that this is intended, as when a plan pauses: the move then ends without an error."""
        status = None
        if success:
            with self._move_lock:
                status, self._move_status = self._move_status, None
        put_if_connected(self.motor_stop, 1)
        if status is not None:
            finish(status)

    def _put_processed(self, status: Any, **_: Any) -> None:
        """The record is through with the move; whether it arrived is judged when its monitors must have come in."""
        timer = threading.Timer(self.monitor_lag, self._judge, (status,))
        timer.daemon = True
        status.add_callback(lambda _: timer.cancel())
        timer.start()

    def _judge(self, status: MoveStatus) -> None:
        """Ask the record itself; its monitors may be later than the end of the put where a machine is busy."""
        try:
            done = self.motor_done_move.get(use_monitor=False)
            position = float(self.user_readback.get(use_monitor=False))
        except (TimeoutError, DisconnectedError) as reason:
            fail(status, reason)
            return
        if self._move_status is status and done:
            alarm = int(self.user_readback.alarm_severity)
            self._done_moving(success=alarm <= int(self.tolerated_alarm), final=True, position=position)

    def _done_moving(
        self,
        success: bool = True,
        timestamp: float | None = None,
        value: Any = None,
        final: bool = False,
        position: float | None = None,
        **_: Any,
    ) -> None:
        """Called when DMOV turns 1, which may still be the end of an earlier move: only `final` is failure."""
        position = self.position if position is None else position
        with self._move_lock:
            status = self._move_status
            reason = None if status is None else self._reason_not_arrived(position, float(status.target), success)
            if reason is not None and not final:
                return
            self._move_status = None
        if status is not None and not status.done:
            if reason is None:
                finish(status)
            else:
                success = False
                fail(status, MotionError(reason))
        if success:
            self._run_subs(sub_type=self.SUB_DONE, timestamp=timestamp, value=value)
        self._run_request_done(success, timestamp or time.time())

    def _run_request_done(self, success: bool, timestamp: float) -> None:
        """Run the one-shot subscriptions of home() once.

        ophyd runs them and resets them afterwards; the next move may have subscribed in between and would be
        cleared too, never to end. Here they are taken out first.
        """
        callbacks = list(self._callbacks[self._SUB_REQ_DONE].values())
        self._reset_sub(self._SUB_REQ_DONE)
        for callback in callbacks:
            callback(obj=self, sub_type=self._SUB_REQ_DONE, success=success, timestamp=timestamp)

    def _not_done(self, target: float, limit: float) -> MotionError:
        return MotionError(
            f"{self.name}: at {self.position:.6g} {self.egu}, sent to {target:.6g} {self.egu}, not done after"
            f" {limit:.1f} s; it is told to stop"
        )

    def _stop_record(self) -> None:
        put_if_connected(self.motor_stop, 1)

    def _reason_not_arrived(self, position: float, target: float, success: bool) -> str | None:
        where = f"{self.name}: at {position:.6g} {self.egu}, sent to {target:.6g} {self.egu}"
        if self.limit_violation.get():
            return f"{where}: the record refuses it as beyond its soft limits {self.limits}"
        for switch, label in ((self.high_limit_switch, "high"), (self.low_limit_switch, "low")):
            if switch.get():
                return f"{where}: {label} limit switch"
        if not success:
            return f"{where}: stopped, or in alarm (severity {int(self.user_readback.alarm_severity)})"
        if abs(position - target) > self.tolerance:
            return f"{where}: stopped {abs(position - target):.3g} {self.egu} away (tolerance {self.tolerance:.3g})"
        return None
