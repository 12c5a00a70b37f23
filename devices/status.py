"""Statuses that cannot hang and cannot be finished twice."""

import threading
from collections.abc import Callable
from typing import Any

from ophyd.signal import EpicsSignalBase
from ophyd.status import StatusBase
from ophyd.utils import DisconnectedError, InvalidState, StatusTimeoutError, WaitTimeoutError

from devices.errors import DeviceError

__all__ = ["fail", "fail_after", "fail_on_disconnect", "finish", "put_if_connected", "run_beside"]


def finish(status: StatusBase) -> None:
    """Finish `status` with success unless it has ended already (a time-out may come first)."""
    _end(status, status.set_finished)


def fail(status: StatusBase, reason: Exception) -> None:
    """Finish `status` with `reason` unless it has ended already."""
    if type(reason) in (StatusTimeoutError, WaitTimeoutError):  # ophyd keeps these two for itself
        reason = DeviceError(f"no answer in time: {reason}")
    _end(status, lambda: status.set_exception(reason))


def fail_after(
    status: StatusBase, seconds: float, reason: Callable[[], Exception], *, then: Callable[[], None] | None = None
) -> None:
    """Fail `status` with `reason()` when it has not ended in `seconds`, and `then` do what makes the hardware safe.

    The reason is asked for, and given, before `then` runs: stopping a motor would otherwise look like an arrival.
    """

    def give_up() -> None:
        if status.done:
            return
        fail(status, reason())
        if then is not None:
            then()

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    status.add_callback(lambda _: timer.cancel())


def fail_on_disconnect(status: StatusBase, *signals: EpicsSignalBase) -> None:
    """Fail `status` at once when one of `signals` loses its process variable.

    ophyd by itself waits for ever, or reports success when the server comes back in another state.
    """

    def on_metadata(connected: bool | None = None, obj: EpicsSignalBase | None = None, **_: Any) -> None:
        if connected is False and obj is not None:
            fail(
                status,
                DisconnectedError(f"{obj.name} ({obj.pvname}) lost its connection during the operation"),
            )

    tokens = [(s, s.subscribe(on_metadata, event_type=s.SUB_META, run=True)) for s in signals]

    def unsubscribe(_: StatusBase) -> None:
        for signal, token in tokens:
            signal.unsubscribe(token)

    status.add_callback(unsubscribe)


def put_if_connected(signal: EpicsSignalBase, value: object) -> None:
    """Put without waiting, to make safe what answers; what is gone is not waited for, five seconds each time."""
    if signal.connected:
        signal.put(value, wait=False)


def run_beside(work: Callable[[], None], status: StatusBase, name: str) -> None:
    """Run `work` in a thread beside the RunEngine; its end, or what it raises, ends `status`."""

    def run() -> None:
        try:
            work()
        except Exception as reason:  # noqa: BLE001 - handed over to whoever waits for the status
            fail(status, reason)
        else:
            finish(status)

    threading.Thread(target=run, name=name, daemon=True).start()


def _end(status: StatusBase, how: Callable[[], None]) -> None:
    if status.done:
        return
    try:
        how()
    except InvalidState:
        return  # ended between the question and the answer: the first reason stands
