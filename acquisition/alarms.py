"""A reading in alarm is no measurement: refused at each point of every plan, in this one place.

EPICS gives every value a severity. MINOR is a remark and is recorded; MAJOR and INVALID end the scan with
`ReadingInAlarm` before the event is saved, and so does, with ophyd's `DisconnectedError`, a value that is not there.
"""

from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Any

from bluesky import RunEngine
from bluesky.utils import Msg
from ophyd.signal import EpicsSignalBase
from ophyd.utils import DisconnectedError

from acquisition.beam_guard import BeamGuard
from acquisition.errors import ReadingInAlarm

__all__ = ["SEVERITIES", "read_signals", "refuse_alarms"]

SEVERITIES = ("no", "MINOR", "MAJOR", "INVALID")
REFUSED = 2  # and above


def read_signals(device: Any) -> list[EpicsSignalBase]:
    """The process variables that a reading of `device` asks for."""
    parts = [attrgetter(name)(device) for name in getattr(device, "read_attrs", [])]
    return [part for part in (device, *parts) if isinstance(part, EpicsSignalBase)]


def refuse_alarms(engine: RunEngine) -> None:
    """Let no plan of `engine` go on with a reading in MAJOR or INVALID alarm, not even a repeated point.

    A ring current too low is left to the beam guard, which waits and takes the point again.
    """
    take: Callable[[Msg], Awaitable[Any]] = engine._read

    async def read(message: Msg) -> Any:
        signals = read_signals(message.obj)
        for signal in signals:
            if not signal.connected:
                raise DisconnectedError(f"{signal.name} ({signal.pvname}) is not connected")
        reading = await take(message)
        for signal in signals:
            severity = int(signal.alarm_severity or 0)
            if severity >= REFUSED and signal.name in reading and not _waited_for(engine, signal):
                raise ReadingInAlarm(
                    f"{signal.name} ({signal.pvname}) reads {reading[signal.name]['value']} in {SEVERITIES[severity]}"
                    " alarm: not recorded"
                )
        return reading

    engine.register_command("read", read)


def _waited_for(engine: RunEngine, signal: EpicsSignalBase) -> bool:
    guards = [guard for guard in engine.suspenders if isinstance(guard, BeamGuard)]
    return any(guard.signal is signal and guard.is_dark() for guard in guards)
