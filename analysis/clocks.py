"""Dates and times as instruments write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

__all__ = ["parse_clock"]

_DATE = re.compile(r"^(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})[ T]+(\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d+))?$")


def parse_clock(text: str, *, day_first: bool = False) -> datetime | None:
    """Date and time as EC-Lab writes them (07/26/2022 22:38:30.190); None when the text is no such time."""
    match = _DATE.match(text.strip())
    if match is None:
        return None
    a, b, c, hour, minute, second = (int(group) for group in match.groups()[:6])
    if a > 31:
        year, month, day = a, b, c
    elif a > 12 or (day_first and b <= 12):
        year, month, day = c, b, a
    else:
        year, month, day = c, a, b
    fraction = float(f"0.{match.group(7) or 0}")
    try:
        return datetime(year, month, day, hour, minute, second) + timedelta(seconds=fraction)
    except ValueError:
        return None
