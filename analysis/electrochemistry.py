"""The cell beside the beam: one record of potential, current and charge, and its state at any time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.eclab import EclabFile, read_eclab_file
from analysis.numbers import real_array
from analysis.text_tables import FileFormatError

Array = NDArray[np.float64]

__all__ = [
    "CellRecord",
    "CellState",
    "CellWarning",
    "Step",
    "posix_time",
    "read_eclab",
    "steps",
]

LOCAL_CLOCK = "local clock without zone"
# What no electrode exceeds in mAh/g (silicon holds 4200), and the specific currents in mA/g of any
# test of a battery: from a thousandth of the capacity per hour to a hundred times it.
_LARGEST_CAPACITY = 5000.0
_PLAUSIBLE_CURRENT = (0.2, 5e4)


class CellWarning(UserWarning):
    """Something in a cell's file cannot be trusted; the record goes on without it."""


@dataclass(frozen=True, slots=True, eq=False)
class CellRecord:
    """What a cell did, over one or several files.

    Attributes
    ----------
    time : ndarray, shape (n,)
        POSIX seconds by ``clock``, never decreasing.
    potential : ndarray, shape (n,)
        Of the working electrode in V.
    current : ndarray, shape (n,)
        mA, positive on charge.
    charge : ndarray, shape (n,)
        mAh since the start of the first file, continuous over files.
    direction : ndarray of int8, shape (n,)
        1 on charge, -1 on discharge, 0 at rest.
    file : ndarray of int, shape (n,)
        Which of ``sources`` the row is from.
    clock : str
        Time zone of the clock, or that it is not known; times of two instruments can be joined on one clock
        only.
    mass_mg : float or None
        Mass of active material in mg; None when none is given or the header's is not credible.
    header_mass_mg : float or None
        What the header says, credible or not.
    sources, notes : tuple of str
        The files, and what was assumed or distrusted.
    """

    time: Array
    potential: Array
    current: Array
    charge: Array
    direction: NDArray[np.int8]
    file: NDArray[np.int64]
    clock: str
    mass_mg: float | None
    header_mass_mg: float | None
    sources: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def specific_charge(self) -> Array:
        """Charge in mAh per gram of active material."""
        if self.mass_mg is None:
            raise ValueError(f"no credible mass (header: {self.header_mass_mg} mg): read with mass_mg=")
        return np.asarray(self.charge / (self.mass_mg * 1e-3))

    def at(self, times: ArrayLike, *, longest_gap: float = 600.0) -> CellState:
        """Interpolate the state at given POSIX times.

        Parameters
        ----------
        times : array_like, shape (m,)
            POSIX seconds on the clock of this record.
        longest_gap : float
            Seconds between two rows over which may be interpolated. Where the record is older, later or
            more sparse, potential, current and charge are NaN and the direction is 0.
        """
        t = real_array("times", times, np.float64)
        after = np.clip(np.searchsorted(self.time, t, side="right"), 1, self.time.size - 1)
        gap = self.time[after] - self.time[after - 1]
        inside = (t >= self.time[0]) & (t <= self.time[-1])
        known = inside & ((gap <= longest_gap) | (t == self.time[after - 1]))
        values = [np.where(known, np.interp(t, self.time, column), np.nan) for column in (self.potential, self.charge)]
        # The current of a row is the mean since the row before, so it holds for the interval that
        # ends there.
        return CellState(
            time=t,
            potential=values[0],
            current=np.where(known, self.current[after], np.nan),
            charge=values[1],
            direction=np.where(known, self.direction[after], 0).astype(np.int8),
            known=known,
        )


@dataclass(frozen=True, slots=True, eq=False)
class CellState:
    """State of the cell at given times: potential (V), current (mA), charge (mAh), direction,
    whether known.

    All arrays have the shape of ``time`` (POSIX seconds); NaN and direction 0 where not known.
    """

    time: Array
    potential: Array
    current: Array
    charge: Array
    direction: NDArray[np.int8]
    known: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Step:
    """A charge, discharge or rest.

    Direction 1, -1 or 0; start and stop in POSIX seconds; charge (mAh) and potential (V) at both.
    """

    direction: int
    start: float
    stop: float
    charge: tuple[float, float]
    potential: tuple[float, float]


def read_eclab(
    *paths: Path | str,
    timezone: str | None = None,
    mass_mg: float | None = None,
    started: Sequence[datetime] | None = None,
    day_first: bool = False,
    incomplete_last_line: str = "refuse",
) -> CellRecord:
    """Read one or several EC-Lab text exports of one cell into one record.

    Files are put in order of their start. Each counts time and charge from its own zero; here the time is
    absolute and the charge continuous: what the cell did between two files is not known and counts as
    nothing.

    Parameters
    ----------
    *paths : Path or str
        The .mpt files.
    timezone : str, optional
        Zone of the computer's clock ("Europe/Paris"). EC-Lab writes local time without a zone; when not
        given the clock is read as if it were UTC and the record says so, which is right for joining with
        another instrument by the same wall clock and wrong for anything else.
    mass_mg : float, optional
        Mass of active material in mg, in place of the header's.
    started, day_first, incomplete_last_line
        As of ``read_eclab_file``; ``started`` has one entry per path.

    Raises
    ------
    FileFormatError
        When a file cannot be read, or two overlap in time.

    Warns
    -----
    CellWarning
        When the header's mass gives a capacity no electrode has. It is then not used.
    """
    if not paths:
        raise ValueError("no file given")
    if started is not None and len(started) != len(paths):
        raise ValueError(f"{len(started)} start times for {len(paths)} files")
    files = [
        read_eclab_file(
            path,
            started=None if started is None else started[i],
            day_first=day_first,
            incomplete_last_line=incomplete_last_line,
        )
        for i, path in enumerate(paths)
    ]
    files.sort(key=lambda file: posix_time(file.started, timezone) + file.elapsed[0])
    times = [posix_time(file.started, timezone) + file.elapsed for file in files]
    notes = [note for file in files for note in file.notes]
    notes += _gaps(files, times)
    time = np.concatenate(times)
    charge = np.concatenate(_continued([file.charge for file in files]))
    current = np.concatenate([file.current for file in files])
    header_mass = next((file.mass_mg for file in files if file.mass_mg), None)
    mass, distrust = _credible_mass(header_mass, charge, current) if mass_mg is None else (mass_mg, None)
    if distrust is not None:
        warnings.warn(f"{files[0].source}: {distrust}", CellWarning, stacklevel=2)
        notes.append(distrust)
    if timezone is None:
        notes.append("times are local without a zone; read as if UTC")
    return CellRecord(
        time=time,
        potential=np.concatenate([file.potential for file in files]),
        current=current,
        charge=charge,
        direction=_direction(current),
        file=np.repeat(np.arange(len(files)), [file.elapsed.size for file in files]),
        clock=timezone or LOCAL_CLOCK,
        mass_mg=mass,
        header_mass_mg=header_mass,
        sources=tuple(file.source for file in files),
        notes=tuple(notes),
    )


def steps(record: CellRecord, *, shortest: float = 60.0) -> tuple[Step, ...]:
    """Divide a record into charges, discharges and rests, leaving out any shorter than ``shortest``
    seconds.

    Two pieces of one direction with a short one (a current that dips, a change of file) between them are
    one step.
    """
    bounds = np.flatnonzero(np.diff(record.direction)) + 1
    pieces = [
        (int(record.direction[a]), int(max(a - 1, 0)), int(b - 1))
        for a, b in zip([0, *bounds], [*bounds, record.time.size], strict=True)
    ]
    merged: list[tuple[int, int, int]] = []
    for direction, first, last in pieces:
        if record.time[last] - record.time[first] < shortest:
            continue
        if merged and merged[-1][0] == direction:
            merged[-1] = (direction, merged[-1][1], last)
        else:
            merged.append((direction, first, last))
    return tuple(
        Step(
            direction=direction,
            start=float(record.time[first]),
            stop=float(record.time[last]),
            charge=(float(record.charge[first]), float(record.charge[last])),
            potential=(float(record.potential[first]), float(record.potential[last])),
        )
        for direction, first, last in merged
    )


def posix_time(local: datetime, zone: str | None) -> float:
    """POSIX seconds of a clock reading without zone; without a zone given it is read as if it were UTC."""
    if zone is None:
        return local.replace(tzinfo=UTC).timestamp()
    try:
        return local.replace(tzinfo=ZoneInfo(zone)).timestamp()
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"time zone {zone!r} is not known here; use a name such as 'Europe/Paris'") from None


def _gaps(files: Sequence[EclabFile], times: Sequence[Array]) -> list[str]:
    notes = []
    for i in range(1, len(files)):
        gap = float(times[i][0] - times[i - 1][-1])
        if gap < -1.0:
            raise FileFormatError(
                f"{files[i].source} starts {-gap:.1f} s before {files[i - 1].source} "
                "ends: not one cell, or one file twice"
            )
        notes.append(f"{files[i].source} follows {files[i - 1].source} after {gap:.1f} s, charge continued")
    return notes


def _continued(charges: Sequence[Array]) -> list[Array]:
    joined = [charges[0] - charges[0][0]]
    for charge in charges[1:]:
        joined.append(charge - charge[0] + joined[-1][-1])
    return joined


def _direction(current: Array) -> NDArray[np.int8]:
    flowing = np.abs(current[current != 0])
    limit = 0.01 * float(np.median(flowing)) if flowing.size else np.inf
    return np.where(np.abs(current) <= limit, 0, np.sign(current)).astype(np.int8)


def _credible_mass(mass: float | None, charge: Array, current: Array) -> tuple[float | None, str | None]:
    """The mass, or None and what is wrong with it: charge and current per gram must be possible.

    The current tells from the first row on; the charge of a cell that has just been started tells nothing.
    """
    flowing = np.abs(current[current != 0])
    if mass is None or mass == 0:
        return None, None
    if not flowing.size:
        return mass, None
    swing, typical = float(np.ptp(charge)), float(np.median(flowing))

    def possible(grams: float) -> bool:
        low, high = _PLAUSIBLE_CURRENT
        return low <= typical / grams <= high and swing / grams <= _LARGEST_CAPACITY

    if possible(mass * 1e-3):
        return mass, None
    text = (
        f"mass {mass:g} mg in the header makes {swing / mass * 1e3:.3g} mAh/g of the {swing:.3g} mAh passed, "
        f"at {typical / mass * 1e3:.2g} mA/g"
    )
    for other in (mass * 1e-3, mass * 1e3):
        if possible(other * 1e-3):
            text += f"; {other:g} mg would make {swing / other * 1e3:.3g} mAh/g (wrong by 1000?)"
    return None, text + "; not used, give mass_mg"
