"""Text exports of EC-Lab potentiostats (.mpt): header, columns of any technique, and their clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.charge_counter import charge_passed
from analysis.clocks import parse_clock
from analysis.text_tables import FileFormatError, decode, numbers

Array = NDArray[np.float64]

__all__ = ["EclabFile", "read_eclab_file"]

_HEADER_COUNT = re.compile(r"^Nb header lines\s*:\s*(\d+)", re.IGNORECASE)
_STARTED = re.compile(r"^\s*Acquisition started on\s*:\s*(.+?)\s*$", re.IGNORECASE)
_MASS = re.compile(r"^\s*Mass of active material\s*:\s*([0-9.,]+)\s*(\S+)", re.IGNORECASE)
_MILLIGRAMS = {"kg": 1e6, "g": 1e3, "mg": 1.0, "µg": 1e-3, "μg": 1e-3, "ug": 1e-3}
_EXPONENT = re.compile(r"[eE][+-]\d+$")
# What a column may be called, best first, with the factor to V, mA, mAh or s.
_NAMES: dict[str, dict[str, float]] = {
    "potential": dict.fromkeys(("Ewe/V", "<Ewe>/V", "<Ewe/V>", "Ewe-Ece/V", "Ecell/V", "<Ecell>/V", "<Ecell/V>"), 1.0),
    "current": {"<I>/mA": 1.0, "I/mA": 1.0, "<I>/A": 1e3, "I/A": 1e3, "<I>/µA": 1e-3, "I/µA": 1e-3},
    "charge": {"(Q-Qo)/mA.h": 1.0, "(Q-Qo)/C": 1 / 3.6, "Q-Qo/mA.h": 1.0, "(Q-Qo)/A.h": 1e3},
    "charge_step": {"dq/mA.h": 1.0, "dQ/mA.h": 1.0, "dQ/C": 1 / 3.6, "dq/A.h": 1e3},
    "sequence": {"Ns": 1.0},
}


@dataclass(frozen=True, slots=True)
class EclabFile:
    """One exported file, as it stands.

    Attributes
    ----------
    source : str
        Path of the file.
    technique : str
        What EC-Lab calls the technique; empty when the header lacks it.
    started : datetime
        Start of the acquisition in local time, **without a zone**: EC-Lab writes none.
    elapsed : ndarray, shape (n,)
        Seconds since ``started``, never decreasing.
    potential, current, charge : ndarray, shape (n,)
        Potential in V, current in mA (positive while charging) and charge in mAh counted by this file, from
        its own zero. The charge is integrated from the current when no column has it; the current is zero
        when the technique (open circuit) records none.
    sequence : ndarray of int, shape (n,)
        Number of the technique's sequence (Ns), 0 when there is none.
    mass_mg : float or None
        Mass of active material in the header, in mg, unchecked.
    notes : tuple of str
        What had to be assumed or left out.
    """

    source: str
    technique: str
    started: datetime
    elapsed: Array
    potential: Array
    current: Array
    charge: Array
    sequence: NDArray[np.int64]
    mass_mg: float | None
    notes: tuple[str, ...]


def read_eclab_file(
    path: Path | str,
    *,
    started: datetime | None = None,
    day_first: bool = False,
    incomplete_last_line: str = "refuse",
) -> EclabFile:
    """Read one .mpt file with decimal commas or points, in Latin-1 or UTF-8, of any technique with a
    potential.

    Parameters
    ----------
    path : Path or str
        The file.
    started : datetime, optional
        Local start without zone, for exports without the line "Acquisition started on".
    day_first : bool
        Read 03/04/2022 as 3 April; EC-Lab writes the month first whatever the language of Windows. A first
        number above 12 is always a day, one above 31 a year.
    incomplete_last_line : {"refuse", "drop"}
        What to do with half a line at the end, as of a file still being written or cut by a full disk.

    Raises
    ------
    FileFormatError
        When the header, a column or a value is not what it must be; names file, line and value.
    """
    if incomplete_last_line not in {"refuse", "drop"}:
        raise ValueError(f"incomplete_last_line {incomplete_last_line!r} is not refuse or drop")
    source = str(path)
    raw = Path(path).read_bytes()
    if raw.startswith(b"BIO-LOGIC MODULAR FILE"):
        raise FileFormatError(f"{source} is a binary file of EC-Lab (.mpr): export it there as text (.mpt)")
    text = decode(raw, source=source)
    lines = text.splitlines()
    first = _column_line(lines, source)
    names = [name.strip().replace("\u03bc", "\u00b5") for name in lines[first].rstrip("\t ").split("\t")]
    header = lines[:first]
    begun = started or _start(header, source, day_first) or _first_clock(lines, first, names, source, day_first)
    table, notes = _rows(lines, first + 1, names, source, begun, day_first, incomplete_last_line)
    if text[-1] not in "\r\n" and _looks_cut(lines, first + 1):
        table, notes = _cut_off(table, notes, source, len(lines), incomplete_last_line)
    elapsed = _elapsed(table, names, source, first + 2)
    current = _quantity(table, names, source, first + 2, "current")
    if current is None:
        notes = (*notes, f"{source}: no current column, taken as open circuit")
        current = np.zeros(elapsed.size)
    charge, restarts = charge_passed(
        _quantity(table, names, source, first + 2, "charge"),
        _quantity(table, names, source, first + 2, "charge_step"),
        elapsed,
        current,
    )
    if restarts.size:
        notes = (
            *notes,
            f"{source}: charge counted anew {restarts.size} times, first at row {restarts[0] + 1}; continued",
        )
    potential = _quantity(table, names, source, first + 2, "potential")
    if potential is None:
        raise FileFormatError(f"{source}: no potential among columns {names}")
    sequence = _quantity(table, names, source, first + 2, "sequence")
    return EclabFile(
        source=source,
        technique=next((line.strip() for line in header[2:6] if line.strip()), ""),
        started=begun,
        elapsed=elapsed,
        potential=potential,
        current=current,
        charge=charge,
        sequence=(np.zeros(elapsed.size) if sequence is None else sequence).astype(np.int64),
        mass_mg=_mass(header, source),
        notes=notes,
    )


def _column_line(lines: list[str], source: str) -> int:
    """Index of the line with the column names."""
    if len(lines) > 1 and lines[0].startswith(("EC-Lab ASCII FILE", "BT-Lab ASCII FILE")):
        match = _HEADER_COUNT.match(lines[1])
        if match is None:
            raise FileFormatError(f"{source} line 2: no 'Nb header lines' but {lines[1][:40]!r}")
        count = int(match.group(1))
        if not 2 < count <= len(lines):
            raise FileFormatError(f"{source} ends at line {len(lines)}, within its header of {count} lines")
        return count - 1
    first = next(i for i, line in enumerate(lines) if line.strip())
    if "time/s" in lines[first].split("\t"):
        return first
    raise FileFormatError(
        f"{source} line {first + 1}: neither an EC-Lab header nor its columns: {lines[first].strip()[:40]!r}"
    )


def _start(header: list[str], source: str, day_first: bool) -> datetime | None:
    for number, line in enumerate(header, start=1):
        if match := _STARTED.match(line):
            found = parse_clock(match.group(1), day_first=day_first)
            if found is None:
                raise FileFormatError(f"{source} line {number}: {match.group(1)!r} is not a date and time")
            return found
    return None


def _first_clock(lines: list[str], first: int, names: list[str], source: str, day_first: bool) -> datetime:
    """The time of the first row where rows hold dates and times."""
    row = lines[first + 1].split("\t") if first + 1 < len(lines) else []
    found = parse_clock(row[names.index("time/s")], day_first=day_first) if len(row) >= len(names) else None
    if found is None:
        raise FileFormatError(f"{source} does not say when it was started: give started=datetime(...) in local time")
    return found


def _mass(header: list[str], source: str) -> float | None:
    for number, line in enumerate(header, start=1):
        if match := _MASS.match(line):
            unit = match.group(2)
            if unit not in _MILLIGRAMS:
                raise FileFormatError(f"{source} line {number}: mass in {unit!r}, not in {list(_MILLIGRAMS)}")
            value = numbers([match.group(1).replace(",", ".")], source=source, line=number)[0]
            return value * _MILLIGRAMS[unit]
    return None


def _rows(
    lines: list[str],
    first: int,
    names: list[str],
    source: str,
    started: datetime,
    day_first: bool,
    incomplete: str,
) -> tuple[Array, tuple[str, ...]]:
    if "time/s" not in names:
        raise FileFormatError(f"{source} line {first}: no column time/s among {names}")
    clock = names.index("time/s")
    rows: list[list[float]] = []
    last = max((i for i, line in enumerate(lines) if line.strip()), default=0)
    for index in range(first, last + 1):
        fields = lines[index].rstrip(" ").split("\t")
        if len(fields) == len(names) + 1 and not fields[-1]:
            del fields[-1]
        if len(fields) != len(names):
            problem = f"{source} line {index + 1}: {len(fields)} of {len(names)} columns"
            if index == last and incomplete == "drop":
                return _table(rows, source), (f"{problem}; half a last line, left out",)
            hint = "; half a last line, incomplete_last_line='drop' leaves it out" if index == last else ""
            raise FileFormatError(problem + hint)
        if (absolute := parse_clock(fields[clock], day_first=day_first)) is not None:
            fields[clock] = repr((absolute - started).total_seconds())
        rows.append(numbers([field.replace(",", ".") or "nan" for field in fields], source=source, line=index + 1))
    return _table(rows, source), ()


def _table(rows: list[list[float]], source: str) -> Array:
    if not rows:
        raise FileFormatError(f"{source} holds no measured row")
    return np.array(rows)


def _looks_cut(lines: list[str], first: int) -> bool:
    """Whether the last of equally long numbers is short: a number cut in the middle is still a number."""
    if len(lines) < first + 2:
        return False
    before, last = (line.rstrip("\t").split("\t")[-1].lstrip("+-") for line in lines[-2:])
    whole, end = _EXPONENT.search(before), _EXPONENT.search(last)
    return whole is not None and (end is None or len(end.group()) < len(whole.group()))


def _cut_off(
    table: Array, notes: tuple[str, ...], source: str, line: int, incomplete: str
) -> tuple[Array, tuple[str, ...]]:
    if notes:
        return table, notes
    problem = f"{source} line {line}: the last number is cut"
    if incomplete == "refuse":
        raise FileFormatError(f"{problem}; read with incomplete_last_line='drop' to leave the line out")
    return _table(list(table[:-1]), source), (f"{problem}; line left out",)


def _elapsed(table: Array, names: list[str], source: str, first_line: int) -> Array:
    elapsed = table[:, names.index("time/s")]
    wrong = np.flatnonzero(~np.isfinite(elapsed))
    if wrong.size:
        value = elapsed[wrong[0]]
        raise FileFormatError(f"{source} line {first_line + wrong[0]}: time {value} is not finite")
    back = np.flatnonzero(np.diff(elapsed) < 0)
    if back.size:
        i = int(back[0]) + 1
        raise FileFormatError(
            f"{source} line {first_line + i}: time goes back from {elapsed[i - 1]:.3f} to {elapsed[i]:.3f} s"
        )
    return elapsed


def _quantity(table: Array, names: list[str], source: str, first_line: int, quantity: str) -> Array | None:
    """A quantity in its unit here, None when no column has it."""
    for name, factor in _NAMES[quantity].items():
        if name in names:
            values = table[:, names.index(name)]
            wrong = np.flatnonzero(~np.isfinite(values))
            if wrong.size:
                line = first_line + int(wrong[0])
                raise FileFormatError(f"{source} line {line}: {name} {values[wrong[0]]} is not finite")
            return np.asarray(values * factor)
    return None
