"""Folders of spectra measured one after another: text files with header times, read as one series
on one grid.

Made for the files of SOLEIL's extranormal (energy, normalised absorption, foil, its derivative, I0) and for any that
``spectrum_files`` reads, if its header tells when it was taken.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from analysis.column_names import Measurement, chosen_columns, column_names, column_number, measurement
from analysis.electrochemistry import LOCAL_CLOCK
from analysis.header_times import start_time
from analysis.numbers import real_array
from analysis.spectra import Normalisation, Spectrum
from analysis.spectrum_tables import absorption, in_ev, spectrum_from_table
from analysis.text_tables import FileFormatError, TextTable, read_table

Array = NDArray[np.float64]

__all__ = ["SpectrumSeries", "read_spectra_folder"]

_SUFFIXES = (".txt", ".dat", ".xmu", ".nor", ".csv", ".xdi", ".asc")  # and numbers of scans, as in mn3o4.201
_SAME = 1e-3  # eV between energies that are one
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
    signal: str = "auto",
    times: ArrayLike | None = None,
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
        Names of the columns "energy", "mu" and "foil" where they do not tell themselves as in
        ``spectrum_files.read_spectrum``; intensities become absorption, and that behind the foil its spectrum.
    signal : {"auto", "transmission", "fluorescence"}
        Which of the signals that the names tell, as in ``spectrum_files.read_xdi``.
    times : array_like, optional
        POSIX seconds of the files in the order of their names, where their headers hold no start.

    Raises
    ------
    FileFormatError
        When there are no spectra, one is damaged, one lacks a time, or they are not on one grid: energies that were
        read back may lie up to half a step beside those of the first spectrum, onto which they are interpolated.
    """
    named = dict(columns or {})
    tables = [read_table(raw, source=name) for name, raw in _members(Path(path)) if pattern in name]
    if not tables:
        raise FileFormatError(f"{path} holds no spectrum ({', '.join(_SUFFIXES)}) with {pattern!r} in its name")
    taken = _times(tables, times, timezone)
    order = np.argsort(taken, kind="stable")
    tables = [tables[i] for i in order]
    spectra = [_spectrum(table, named, signal=signal) for table in tables]
    energy = _common_energy(tables, spectra)
    foils = [_foil(table, named, spectrum) for table, spectrum in zip(tables, spectra, strict=True)]
    return SpectrumSeries(
        time=taken[order],
        energy=energy,
        mu=np.stack([_on_grid(spectrum.energy, spectrum.mu, energy) for spectrum in spectra]),
        foil=(
            np.stack([_on_grid(spectrum.energy, foil, energy) for spectrum, foil in zip(spectra, foils, strict=True)])
            if any(np.isfinite(foil).all() for foil in foils)
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
            if _is_data(file.name) and file.is_file():
                yield str(file), file.read_bytes()
        return
    if not path.exists():
        raise FileNotFoundError(f"{path} is neither a folder nor an archive")
    try:
        with tarfile.open(path) as archive:
            members = [m for m in archive.getmembers() if m.isfile() and _is_data(m.name)]
            for member in sorted(members, key=lambda m: m.name):
                stream = archive.extractfile(member)
                if stream is not None:
                    yield member.name, stream.read()
    except (tarfile.TarError, EOFError) as error:
        raise FileFormatError(f"{path} is not a whole tar archive: {error}") from error


def _is_data(name: str) -> bool:
    suffix = Path(name).suffix.lower()
    return suffix in _SUFFIXES or suffix[1:].isdigit()


def _times(tables: Sequence[TextTable], given: ArrayLike | None, zone: str | None) -> Array:
    if given is None:
        return np.array([start_time(table, zone) for table in tables])
    times = real_array("times", given, np.float64)
    if times.shape != (len(tables),) or not np.isfinite(times).all():
        raise ValueError(f"times have shape {times.shape}; {len(tables)} files need as many finite POSIX seconds")
    return times


def _first_number(pattern: re.Pattern[str], table: TextTable) -> float:
    """The number a header line gives, NaN when none does."""
    for line in table.header:
        if match := pattern.match(line):
            try:
                return float(match.group(1))
            except ValueError:
                raise FileFormatError(f"{table.source}: {match.group(1)!r} in {line!r} is not a number") from None
    return float("nan")


def _spectrum(
    table: TextTable, named: Mapping[str, str], measured: Measurement | None = None, *, signal: str = "auto"
) -> Spectrum:
    """Energy and absorption of a file, by the columns that are named or tell themselves."""
    energy = column_number(table, named["energy"]) if "energy" in named else None
    if measured is None and "mu" in named:
        measured = Measurement(column_number(table, named["mu"]))
    chosen = chosen_columns(table, signal=signal, energy=energy, measured=measured)
    return spectrum_from_table(
        table,
        in_ev(table.values[:, chosen.energy], "auto", source=table.source),
        absorption(table, chosen.signal, guessed=signal == "auto" and measured is None),
        name=table.source,
        element="",
        edge="",
        scale=None,
    )


def _foil(table: TextTable, named: Mapping[str, str], spectrum: Spectrum) -> Array:
    """The foil beside a spectrum, on its energies; NaN where the file has none or its detector saw no light."""
    found = measurement(column_names(table), "reference")
    if "foil" in named:
        found = Measurement(column_number(table, named["foil"]))
    try:
        return np.full(spectrum.energy.size, np.nan) if found is None else _spectrum(table, named, found).mu
    except FileFormatError:
        return np.full(spectrum.energy.size, np.nan)


def _common_energy(tables: Sequence[TextTable], spectra: Sequence[Spectrum]) -> Array:
    """Energies of the first spectrum, those that all reach; others may lie up to half a step beside them."""
    energy = spectra[0].energy
    step = np.diff(energy)
    half = 0.5 * np.maximum(np.maximum(np.append(step, 0.0), np.insert(step, 0, 0.0)), np.median(step))
    for table, spectrum in zip(tables, spectra, strict=True):
        own = spectrum.energy
        if own.size != energy.size:
            raise FileFormatError(
                f"{table.source} has {own.size} energies but {tables[0].source} {energy.size}: "
                "a damaged file, or not one series"
            )
        beside = np.abs(own - energy)
        if np.any(beside >= half):
            at = int(np.argmax(beside / half))
            raise FileFormatError(f"{table.source}: energy {own[at]:.3f} eV where the series has {energy[at]:.3f} eV")
    if all(np.allclose(spectrum.energy, energy, rtol=0, atol=_SAME) for spectrum in spectra):
        return energy
    low, high = max(s.energy[0] for s in spectra), min(s.energy[-1] for s in spectra)
    return np.asarray(energy[(energy >= low) & (energy <= high)])


def _on_grid(own: Array, values: Array, energy: Array) -> Array:
    """Values on the common energies; between read-back energies a cubic spline leads."""
    if own.size == energy.size and np.allclose(own, energy, rtol=0, atol=_SAME):
        return values
    if not np.isfinite(values).all():
        return np.full(energy.size, np.nan)
    return np.asarray(CubicSpline(own, values)(energy))


def _is_normalised(table: TextTable, name: str | None) -> bool:
    """Whether the column of the absorption is named as normalised."""
    names = column_names(table)
    found = measurement(names)
    if name is None and found is not None and found.ready is not None:
        name = names[found.ready]
    return name is not None and name.lower().startswith(("norm", "flat"))


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
