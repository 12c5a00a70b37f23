"""Folders of spectra measured one after another: text files with header times, read as one series
on one grid.

Made for the files of SOLEIL's extranormal (energy, normalised absorption, foil, its derivative, I0)
and tolerant of others of the kind: comment lines with ``key = value``, a last one that names the
columns, then numbers.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.electrochemistry import LOCAL_CLOCK, posix_time
from analysis.spectra import Normalisation
from analysis.text_tables import FileFormatError, TextTable, read_table

Array = NDArray[np.float64]

__all__ = ["SpectrumSeries", "read_spectra_folder"]

_SUFFIXES = (".txt", ".dat", ".xmu", ".nor", ".csv")
_TIME = re.compile(r"^Time at start\s*[=:]\s*(.+)$", re.IGNORECASE)
_ELAPSED = re.compile(r"^Time from start \(seconds\)\s*[=:]\s*(\S+)", re.IGNORECASE)
_RANGE = re.compile(
    r"^(pre|post)-edge "
    r"range\s*[:=]\s*\[\s*([0-9.eE+]+)\s*,\s*([0-9.eE+]+)\s*\]",
    re.IGNORECASE,
)
_PIVOT = re.compile(r"^E0_pivot\s*=\s*([0-9.]+)", re.IGNORECASE)
_JUMP = re.compile(r"^I jump at E0_pivot\s*=\s*(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class SpectrumSeries:
    """Spectra of one sample in the order of time.

    Attributes
    ----------
    time : ndarray, shape (n,)
        POSIX seconds by ``clock``: start of the scan plus the mean elapsed time of the spectrum.
    energy : ndarray, shape (E,)
        eV, strictly increasing, common to all.
    mu : ndarray, shape (n, E)
        Absorption; normalised to a unit edge jump when ``normalised``.
    foil : ndarray, shape (n, E), or None
        Absorption of the foil measured with each.
    jump : ndarray, shape (n,)
        Edge jump that the file says mu was divided by; NaN where it does not.
    normalised : bool
        Whether mu is normalised already.
    normalisation : Normalisation or None
        The windows the file says it was normalised with.
    clock : str
        Time zone, or that it is not known.
    names : tuple of str
        Names of the files, or uids of the runs.
    sigma : ndarray, shape (n, E), or None
        Standard deviation of mu; None when it is not known.
    """

    time: Array
    energy: Array
    mu: Array
    foil: Array | None
    jump: Array
    normalised: bool
    normalisation: Normalisation | None
    clock: str
    names: tuple[str, ...]
    sigma: Array | None = None


def read_spectra_folder(
    path: Path | str,
    *,
    pattern: str = "",
    timezone: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> SpectrumSeries:
    """Read all spectra of a folder, or of a tar archive (.tar, .tar.gz, .tar.xz), in the order of
    their times.

    Parameters
    ----------
    path : Path or str
        Folder or archive. Nothing is unpacked to disk.
    pattern : str
        Only files whose name contains this.
    timezone : str, optional
        Zone of the clock that wrote the times, as of ``electrochemistry.read_eclab``.
    columns : mapping, optional
        Names of the columns "energy", "mu" and "foil" when they are not those of extranormal.

    Raises
    ------
    FileFormatError
        When there are no spectra, one is damaged, one lacks a time, or they are not on one grid.
    """
    named = dict(columns or {})
    tables = [read_table(raw, source=name) for name, raw in _members(Path(path)) if pattern in name]
    if not tables:
        raise FileFormatError(f"{path} holds no spectrum ({', '.join(_SUFFIXES)}) with {pattern!r} in its name")
    times = np.array([_time(table, timezone) for table in tables])
    order = np.argsort(times, kind="stable")
    tables = [tables[i] for i in order]
    energy = _common_energy(tables, named.get("energy"))
    foil_name = named.get("foil", "reference")
    return SpectrumSeries(
        time=times[order],
        energy=energy,
        mu=np.stack([_column(table, named.get("mu"), 1) for table in tables]),
        foil=(
            np.stack([_column(table, foil_name, 2) for table in tables])
            if all(foil_name in _names(table) for table in tables)
            else None
        ),
        jump=np.array([_first_number(_JUMP, table) for table in tables]),
        normalised=all(_is_normalised(table, named.get("mu")) for table in tables),
        normalisation=_normalisation(tables[0]),
        clock=timezone or LOCAL_CLOCK,
        names=tuple(Path(table.source).name for table in tables),
    )


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the data files, in the order of their names."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix.lower() in _SUFFIXES:
                yield str(file), file.read_bytes()
        return
    if not path.exists():
        raise FileNotFoundError(f"{path} is neither a folder nor an archive")
    try:
        with tarfile.open(path) as archive:
            members = [m for m in archive.getmembers() if m.isfile() and m.name.lower().endswith(_SUFFIXES)]
            for member in sorted(members, key=lambda m: m.name):
                stream = archive.extractfile(member)
                if stream is not None:
                    yield member.name, stream.read()
    except (tarfile.TarError, EOFError) as error:
        raise FileFormatError(f"{path} is not a whole tar archive: {error}") from error


def _time(table: TextTable, zone: str | None) -> float:
    start = next((m.group(1).strip() for line in table.header if (m := _TIME.match(line))), None)
    if start is None:
        raise FileFormatError(f"{table.source}: no 'Time at start' in its header")
    try:
        begun = datetime.fromisoformat(start)
    except ValueError:
        raise FileFormatError(f"{table.source}: 'Time at start' {start!r} is not a date and time") from None
    elapsed = _first_number(_ELAPSED, table)
    moment = begun + timedelta(seconds=0.0 if np.isnan(elapsed) else elapsed)
    return moment.timestamp() if moment.tzinfo is not None else posix_time(moment, zone)


def _first_number(pattern: re.Pattern[str], table: TextTable) -> float:
    """The number a header line gives, NaN when none does."""
    for line in table.header:
        if match := pattern.match(line):
            try:
                return float(match.group(1))
            except ValueError:
                raise FileFormatError(f"{table.source}: {match.group(1)!r} in {line!r} is not a number") from None
    return float("nan")


def _names(table: TextTable) -> list[str]:
    """Column names of the last header line, as many as there are columns, else none."""
    if not table.header:
        return []
    names = [name.strip() for name in re.split(r"\t+|\s{2,}|[,;]", table.header[-1]) if name.strip()]
    return names if len(names) == table.values.shape[1] else []


def _column(table: TextTable, name: str | None, default: int) -> Array:
    number = default
    if name is not None:
        names = _names(table)
        if name not in names:
            raise FileFormatError(f"{table.source} has no column {name!r} among {names}")
        number = names.index(name)
    if number >= table.values.shape[1]:
        raise FileFormatError(f"{table.source} has {table.values.shape[1]} columns, column {number} is needed")
    values = table.values[:, number]
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise FileFormatError(f"{table.source} line {table.lines[wrong[0]]}: {values[wrong[0]]} is not finite")
    return np.asarray(values)


def _common_energy(tables: Sequence[TextTable], name: str | None) -> Array:
    energy = _column(tables[0], name, 0)
    if energy.max() < 150.0:
        energy = energy * 1000.0
    for table in tables:
        own = _column(table, name, 0)
        own = own * 1000.0 if own.max() < 150.0 else own
        wrong = np.flatnonzero(np.diff(own) <= 0)
        if wrong.size:
            at = int(wrong[0]) + 1
            raise FileFormatError(f"{table.source} line {table.lines[at]}: energy {own[at]} eV does not increase")
        if own.size != energy.size:
            raise FileFormatError(
                f"{table.source} has {own.size} energies but {tables[0].source} {energy.size}: "
                "a damaged file, or not one series"
            )
        if not np.allclose(own, energy, rtol=0, atol=1e-3):
            at = int(np.argmax(np.abs(own - energy)))
            raise FileFormatError(
                f"{table.source} line {table.lines[at]}: energy {own[at]} eV where the series has {energy[at]} eV"
            )
    return energy


def _is_normalised(table: TextTable, name: str | None) -> bool:
    names = _names(table)
    return bool(names) and (name or names[1]).lower().startswith(("norm", "flat"))


def _normalisation(table: TextTable) -> Normalisation | None:
    ranges = {
        match.group(1).lower(): (float(match.group(2)), float(match.group(3)))
        for line in table.header
        if (match := _RANGE.match(line))
    }
    e0 = _first_number(_PIVOT, table)
    if ranges.keys() != {"pre", "post"} or np.isnan(e0):
        return None
    return Normalisation(pre=ranges["pre"], post=ranges["post"], e0=e0)
