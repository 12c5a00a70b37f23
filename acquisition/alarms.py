"""A reading in alarm is no measurement: refused at each point of every plan, in this one place.

EPICS gives every value a severity. MINOR is a remark and is recorded; MAJOR and INVALID end the scan with
`ReadingInAlarm` before the event is saved.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from bluesky import RunEngine
from bluesky.utils import Msg

from acquisition.beam_guard import BeamGuard
from acquisition.errors import ReadingInAlarm

__all__ = ["SEVERITIES", "refuse_alarms", "signals_in_alarm"]

SEVERITIES = ("no", "MINOR", "MAJOR", "INVALID")
REFUSED = 2  # and above


def signals_in_alarm(device: Any, reading: dict[str, Any]) -> Iterator[tuple[Any, int]]:
    """Yield the signals of `device` that took part in its `reading` and are in MAJOR or INVALID alarm."""
    walk = getattr(device, "walk_signals", None)
    signals = [device] if walk is None else [found.item for found in walk()]
    for signal in signals:
        severity = int(getattr(signal, "alarm_severity", None) or 0)
        if severity >= REFUSED and signal.name in reading:
            yield signal, severity


def refuse_alarms(engine: RunEngine) -> None:
    """Let no plan of `engine` go on with a reading in MAJOR or INVALID alarm, not even a repeated point.

    A ring current too low is left to the beam guard, which waits and takes the point again.
    """
    take: Callable[[Msg], Awaitable[Any]] = engine._read

    async def read(message: Msg) -> Any:
        reading = await take(message)
        for signal, severity in signals_in_alarm(message.obj, reading):
            if not _waited_for(engine, signal):
                raise ReadingInAlarm(
                    f"{signal.name} ({getattr(signal, 'pvname', 'no process variable')}) reads"
                    f" {reading[signal.name]['value']} in {SEVERITIES[min(severity, 3)]} alarm: not recorded"
                )
        return reading

    engine.register_command("read", read)


def _waited_for(engine: RunEngine, signal: Any) -> bool:
    guards = [guard for guard in engine.suspenders if isinstance(guard, BeamGuard)]
    return any(guard.signal is signal and guard.is_dark() for guard in guards)
