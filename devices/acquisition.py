"""Counting frames into the file: the only proof that an acquisition has succeeded."""

import threading
from typing import Any

from ophyd.signal import EpicsSignalBase
from ophyd.status import DeviceStatus

from devices.errors import DetectorError
from devices.status import fail, fail_on_disconnect, finish

__all__ = ["FrameCount"]

FAILED_STATES = ("Error", "Disconnected")


class FrameCount:
    """Ends a status when the camera is idle and the file holds the expected number of frames.

    Parameters
    ----------
    acquire, captured, state
        The camera's acquire read-back, the file writer's frame counter and the detector state.
    grace : float
        Seconds after the camera went idle in which the last frames may still be on their way to the file.
    """

    def __init__(
        self,
        acquire: EpicsSignalBase,
        captured: EpicsSignalBase,
        state: EpicsSignalBase,
        *,
        grace: float = 5.0,
    ) -> None:
        self._acquire, self._captured, self._state, self._grace = acquire, captured, state, grace
        self._lock = threading.RLock()
        self._status: DeviceStatus | None = None
        self._wanted, self._started, self._who = 0, False, ""
        self._timer: threading.Timer | None = None
        self._tokens = [(signal, signal.subscribe(self._look, run=False)) for signal in (acquire, captured, state)]

    def expect(self, frames: int, status: DeviceStatus, who: str) -> None:
        """End `status` when `frames` frames in all are in the file of device `who`."""
        self.release()
        with self._lock:
            self._wanted, self._status, self._started, self._who = frames, status, False, who
        fail_on_disconnect(status, self._acquire, self._captured)
        status.add_callback(self._forget)

    def release(self) -> None:
        """End what nobody waits for any more, so that its limit does not stop the camera in a later acquisition."""
        with self._lock:
            status, self._status = self._status, None
            self._cancel()
        if status is not None:
            finish(status)

    def close(self) -> None:
        """Stop watching."""
        self.release()
        for signal, token in self._tokens:
            signal.unsubscribe(token)

    def _look(self, obj: EpicsSignalBase | None = None, **_: Any) -> None:
        with self._lock:
            status = self._status
            if status is None or status.done or not self._connected:
                return
            idle = not self._acquire.get()
            # The state of an earlier acquisition may still stand when this one starts.
            if ((idle and self._started) or obj is self._state) and str(self._state.get()) in FAILED_STATES:
                fail(status, DetectorError(f"{self._who}: the detector state is {self._state.get()}"))
                return
            self._started = self._started or not idle
            if not idle:
                return
            if int(self._captured.get()) >= self._wanted:
                finish(status)
            elif self._started and self._timer is None:
                self._timer = threading.Timer(self._grace, self._give_up, (status,))
                self._timer.daemon = True
                self._timer.start()

    @property
    def _connected(self) -> bool:
        """Whether there is anything to look at; a lost connection ends the status by itself, and asking would wait."""
        return all(signal.connected for signal, _ in self._tokens)

    def _give_up(self, status: DeviceStatus) -> None:
        if not self._connected:
            return
        taken = int(self._captured.get())
        fail(status, DetectorError(f"{self._who}: {taken} of {self._wanted} frames reached the file"))

    def _forget(self, status: DeviceStatus) -> None:
        with self._lock:
            if self._status is status:
                self._status = None
            self._cancel()

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
