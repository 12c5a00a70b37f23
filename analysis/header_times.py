"""When a spectrum was taken, by the header of its file: the clocks of several beamlines and programs."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta

from analysis.clocks import parse_clock
from analysis.electrochemistry import posix_time
from analysis.text_tables import FileFormatError, TextTable

__all__ = ["start_time"]

_STARTS = (
    re.compile(r"^Time at start\s*[=:]\s*(.+)$", re.IGNORECASE),  # SOLEIL, extranormal
    re.compile(r"^Scan\.start_time\s*:\s*(.+)$", re.IGNORECASE),  # XDI
    re.compile(r"^Start(?:ed)?(?: time)?\s*[=:]\s*(.+)$", re.IGNORECASE),  # NSLS-II
    re.compile(r"^D\s+(\w{3} \w{3} +\d.+)$"),  # SPEC
    re.compile(r"created\b.*?\bon (\w{3} \w{3} +\d.+)$"),  # MRCAT
)
_ELAPSED = re.compile(r"^Time from start \(seconds\)\s*[=:]\s*(\S+)", re.IGNORECASE)
_UNIX = re.compile(r"^\w{3} (\w{3} +\d+ \d+:\d+:\d+ \d{4})")


def start_time(table: TextTable, zone: str | None) -> float:
    """POSIX seconds of a spectrum: its start, and the mean elapsed time where the header gives it.

    Parameters
    ----------
    table : TextTable
    zone : str or None
        Zone of the clock where the header names none; without one it is read as if it were UTC.

    Raises
    ------
    FileFormatError
        When the header holds no start, or one that is no date and time.
    """
    found = next((m.group(1).strip() for line in table.header for form in _STARTS if (m := form.search(line))), None)
    if found is None:
        raise FileFormatError(
            f"{table.source}: no 'Time at start' or 'Scan.start_time' in its header; give times= for all files"
        )
    begun = _clock(found)
    if begun is None:
        raise FileFormatError(f"{table.source}: the start {found!r} is not a date and time")
    moment = begun + timedelta(seconds=_elapsed(table))
    return moment.timestamp() if moment.tzinfo is not None else posix_time(moment, zone)


def _clock(text: str) -> datetime | None:
    """Date and time in ISO, with the month first as in America, or as Unix prints it."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    if match := _UNIX.match(text):
        return datetime.strptime(match.group(1), "%b %d %H:%M:%S %Y")
    return parse_clock(text)


def _elapsed(table: TextTable) -> float:
    match = next((m for line in table.header if (m := _ELAPSED.match(line))), None)
    if match is None:
        return 0.0
    try:
        seconds = float(match.group(1))
    except ValueError:
        raise FileFormatError(f"{table.source}: {match.group(1)!r} elapsed seconds are not a number") from None
    return seconds if math.isfinite(seconds) else 0.0
