"""Absorption spectra in files: XDI and columns of any instrument, read into one form and written as XDI.

XDI is the format of the XAS data interchange effort (doi:10.1088/1742-6596/712/1/012049). Energies
in keV are recognised by their size, intensities become absorption, and what cannot be a spectrum is
refused with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.column_names import READY, chosen_columns, column_names
from analysis.energy_scale import EnergyScale
from analysis.spectra import Spectrum
from analysis.text_tables import FileFormatError, TextTable, numbers, read_table

Array = NDArray[np.float64]

__all__ = ["read_columns", "read_energies", "read_spectrum", "read_xdi", "write_xdi"]

_HC_EV_ANGSTROM = 12398.419843320026  # CODATA 2018, exact since the SI of 2019
_FEWEST_POINTS = 10
_KEV_BELOW = 150.0  # no K or L edge that a TXM reaches lies below 150 eV or above 150 keV
_FIELD = re.compile(r"^([A-Za-z_]+)\.([A-Za-z0-9_]+)\s*:\s*(.*)$")
_INTENSITIES = {"transmission": ("i0", "itrans"), "reference": ("itrans", "irefer")}


def read_spectrum(
    path: Path | str, *, scale: EnergyScale | None = None, element: str = "", edge: str = "K", sort: bool = False
) -> Spectrum:
    """Read a spectrum from an XDI file or from columns, whichever the content is.

    Columns are told by their names in the header, or are energy and absorption in this order; ``read_columns`` takes
    any other.
    """
    file = Path(path)
    with file.open("rb") as stream:
        opening = stream.read(200)
    if re.match(rb"^\s*#\s*XDI/", opening):
        return read_xdi(file, scale=scale, sort=sort)
    return read_columns(file, scale=scale, element=element, edge=edge, sort=sort)


def read_xdi(
    path: Path | str, *, signal: str = "auto", scale: EnergyScale | None = None, sort: bool = False
) -> Spectrum:
    """Read an XDI file.

    Parameters
    ----------
    path : Path or str
        The file.
    signal : {"auto", "transmission", "fluorescence", "reference"}
        What to read: of the sample in transmission (mutrans, or -ln(itrans/i0)) or fluorescence
        (mufluor, or ifluor/i0), or of the reference foil behind it (murefer, or
        -ln(irefer/itrans)). Automatic is the first of the first two that the columns allow.
    scale : EnergyScale, optional
        The scale its energies are on. XDI has no word for it; when not given, what ``write_xdi`` wrote is
        understood, and from other files it is None: unknown.
    sort : bool
        As in ``read_columns``.

    Raises
    ------
    FileFormatError
        When columns are missing or the values are no spectrum.
    """
    name = str(path)
    table = read_table(Path(path))
    if not table.header or not table.header[0].startswith("XDI/"):
        raise FileFormatError(f"{name} line 1: not an XDI file, its first line lacks '# XDI/1.0'")
    fields = _xdi_fields(table.header)
    columns = _xdi_columns(fields, table)
    mu = _xdi_signal(table, columns, signal)
    energy = _xdi_energy(table, columns, fields)
    return _spectrum(
        table,
        energy,
        mu,
        name=fields.get("sample.name", Path(path).stem),
        element=fields.get("element.symbol", "").capitalize(),
        edge=fields.get("element.edge", "K"),
        scale=scale or _xdi_scale(fields, name),
        sort=sort,
    )


def read_columns(
    path: Path | str,
    *,
    energy: int | str | None = None,
    mu: int | str | None = None,
    i0: int | str | None = None,
    transmitted: int | str | None = None,
    sigma: int | str | None = None,
    unit: str = "auto",
    name: str | None = None,
    element: str = "",
    edge: str = "K",
    scale: EnergyScale | None = None,
    sort: bool = False,
) -> Spectrum:
    """Read two of the columns of a text file as energy and absorption.

    Spectra scanned downwards are turned round; an energy measured twice in succession counts as one, with the mean.

    Parameters
    ----------
    path : Path or str
        The file; comment lines start with one of # % ; ! *, decimal commas are understood.
    energy, mu, sigma : int or str, optional
        Columns, by number from 0 or by the name in the header; energy and absorption when not given are told by usual
        names (also intensities before and behind the sample), else they are the first two.
    i0, transmitted : int or str, optional
        Columns of intensities; given together, the absorption is -ln(transmitted / i0) and ``mu`` is not
        used.
    unit : {"auto", "eV", "keV"}
        Unit of the energies; by their size when "auto".
    name, element, edge, scale
        What the file does not say; the name is that of the file when not given.
    sort : bool
        Sort energies that go back and forth (several sweeps, noise of an encoder) instead of refusing them.
    """
    table = read_table(Path(path))

    def column(which: int | str) -> Array:
        return np.asarray(table.values[:, _column_number(table, which)])

    if (i0 is None) != (transmitted is None):
        raise ValueError("i0 and transmitted must be given together")
    if energy is None or (mu is None and i0 is None):
        guessed = chosen_columns(table)
        energy = guessed.energy if energy is None else energy
        if mu is None and i0 is None:
            mu, i0, transmitted = guessed.mu, guessed.before, guessed.after
    if i0 is not None and transmitted is not None:
        absorption = _logarithm(table, column(i0), column(transmitted), "transmitted / i0")
    elif mu is not None:
        absorption = column(mu)
    return _spectrum(
        table,
        _in_ev(column(energy), unit, source=table.source),
        absorption,
        sigma=None if sigma is None else column(sigma),
        name=name or Path(path).stem,
        element=element,
        edge=edge,
        scale=scale,
        sort=sort,
    )


def read_energies(path: Path | str, *, unit: str = "auto") -> Array:
    """Read a list of energies (first column), in eV: any order, but finite, positive and no duplicates."""
    table = read_table(Path(path))
    energy = _in_ev(table.values[:, 0], unit, source=table.source)
    _require_finite(table, energy, "energy")
    if np.unique(energy).size != energy.size:
        values, counts = np.unique(energy, return_counts=True)
        raise FileFormatError(f"{table.source}: energy {values[counts > 1][0]:.3f} eV occurs more than once")
    return energy


def write_xdi(path: Path | str, spectrum: Spectrum, *, extra: Mapping[str, str] | None = None) -> None:
    """Write a spectrum as XDI, with its scale and source in comments; ``extra`` holds further
    ``Family.key`` fields.

    An existing file is not overwritten.
    """
    columns = ["energy eV", "mutrans"] + (["sigma"] if spectrum.sigma is not None else [])
    lines = ["# XDI/1.0 Edgewise"]
    lines += [f"# Column.{i}: {column}" for i, column in enumerate(columns, start=1)]
    if spectrum.element:
        lines += [f"# Element.symbol: {spectrum.element}", f"# Element.edge: {spectrum.edge}"]
    lines += [f"# Sample.name: {spectrum.name}"]
    if spectrum.scale is not None:
        foil = spectrum.scale.foil_energy
        lines += [f"# Scan.energy_scale: {spectrum.scale.name}"]
        lines += [f"# Scan.foil_energy: {spectrum.scale.element} {foil} eV"] if foil is not None else []
    lines += [f"# {key}: {value}" for key, value in (extra or {}).items()]
    lines += ["# ///", f"# {spectrum.source}", "# " + "-" * 20]
    data = [spectrum.energy, spectrum.mu] + ([spectrum.sigma] if spectrum.sigma is not None else [])
    rows = ["  ".join(f"{value:.9g}" for value in row) for row in np.column_stack(data)]
    with Path(path).open("x", encoding="utf-8") as stream:
        stream.write("\n".join([*lines, *rows]) + "\n")


def _spectrum(
    table: TextTable,
    energy: Array,
    mu: Array,
    *,
    name: str,
    element: str,
    edge: str,
    scale: EnergyScale | None,
    sigma: Array | None = None,
    sort: bool = False,
) -> Spectrum:
    """Bring energies into order; refuse what cannot be a spectrum, with file, line and value."""
    for what, values in {"energy": energy, "absorption": mu}.items():
        _require_finite(table, values, what)
    step = np.diff(energy)
    falling = bool((step < 0).sum() > (step > 0).sum())
    wrong = np.flatnonzero(step > 0 if falling else step < 0)
    if wrong.size and not sort:
        at = int(wrong[0]) + 1
        raise FileFormatError(
            f"{table.source} line {table.lines[at]}: energy {energy[at]:.4f} eV is "
            f"{'above' if falling else 'below'} the line before ({energy[at - 1]:.4f} eV); energies must go one way "
            f"(sort=True of the reader sorts several sweeps)"
        )
    energy, mu, sigma = _in_order(energy, mu, sigma)
    if energy.size < _FEWEST_POINTS:
        raise FileFormatError(f"{table.source}: {energy.size} points, a spectrum needs {_FEWEST_POINTS}")
    return Spectrum(
        energy=energy,
        mu=mu,
        sigma=sigma,
        name=name,
        element=element,
        edge=edge,
        scale=scale,
        source=table.source,
    )


def _in_order(energy: Array, mu: Array, sigma: Array | None) -> tuple[Array, Array, Array | None]:
    """Sort by energy; what was measured at one energy becomes its mean."""
    once, which, count = np.unique(energy, return_inverse=True, return_counts=True)
    mean = np.bincount(which, mu) / count
    return once, mean, None if sigma is None else np.sqrt(np.bincount(which, sigma**2)) / count


def _require_finite(table: TextTable, values: Array, what: str) -> None:
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        line = table.lines[wrong[0]]
        raise FileFormatError(f"{table.source} line {line}: {what} {values[wrong[0]]} is not finite")


def _in_ev(energy: Array, unit: str, *, source: str) -> Array:
    if unit not in {"auto", "eV", "keV"}:
        raise ValueError(f"energy unit {unit!r} is not auto, eV or keV")
    finite = energy[np.isfinite(energy)]
    if finite.size and finite.min() <= 0:
        raise FileFormatError(f"{source}: energy {finite.min()} is not positive")
    in_kev = unit == "keV" or (unit == "auto" and bool(finite.size) and float(finite.max()) < _KEV_BELOW)
    return energy * 1000.0 if in_kev else energy


def _logarithm(table: TextTable, before: Array, after: Array, what: str) -> Array:
    bad = np.flatnonzero(~((before > 0) & (after > 0)))
    if bad.size:
        at = bad[0]
        raise FileFormatError(
            f"{table.source} line {table.lines[at]}: no logarithm of {what} = {after[at]} / {before[at]}"
        )
    return np.asarray(-np.log(after / before))


def _ratio(table: TextTable, signal: Array, monitor: Array) -> Array:
    dark = np.flatnonzero(~(monitor > 0))
    if dark.size:
        raise FileFormatError(f"{table.source} line {table.lines[dark[0]]}: i0 = {monitor[dark[0]]} is not positive")
    return np.asarray(signal / monitor)


def _column_number(table: TextTable, which: int | str) -> int:
    count = table.values.shape[1]
    if isinstance(which, int):
        if not 0 <= which < count:
            raise FileFormatError(f"{table.source} has columns 0..{count - 1}, not {which}")
        return which
    names = column_names(table)
    if which not in names:
        raise FileFormatError(f"{table.source} has no column {which!r} among {names}")
    return names.index(which)


def _xdi_fields(header: tuple[str, ...]) -> dict[str, str]:
    """Fields before the user comments, keys in lower case."""
    end = next((i for i, line in enumerate(header) if line.startswith("///")), len(header))
    found = (match for line in header[:end] if (match := _FIELD.match(line)))
    return {f"{m.group(1)}.{m.group(2)}".lower(): m.group(3).strip() for m in found}


def _xdi_scale(fields: dict[str, str], source: str) -> EnergyScale | None:
    """Energy scale as ``write_xdi`` puts it."""
    name = fields.get("scan.energy_scale")
    foil = fields.get("scan.foil_energy", "").split()
    if name is None or len(foil) < 2:
        return EnergyScale(name) if name else None
    return EnergyScale(name, foil[0], numbers([foil[1]], source=source, line=1)[0])


def _xdi_columns(fields: dict[str, str], table: TextTable) -> dict[str, tuple[int, str]]:
    """Number and unit of each column by its lower-case name."""
    columns: dict[str, tuple[int, str]] = {}
    for i in range(table.values.shape[1]):
        label = fields.get(f"column.{i + 1}", "")
        if not label and i == 0:
            label = "energy eV"
        words = label.split()
        if words:
            columns[words[0].lower()] = (i, words[1] if len(words) > 1 else "")
    return columns


def _xdi_energy(table: TextTable, columns: dict[str, tuple[int, str]], fields: dict[str, str]) -> Array:
    if "energy" in columns:
        number, unit = columns["energy"]
        known = {"ev": "eV", "kev": "keV"}.get(unit.lower(), "auto")
        return _in_ev(table.values[:, number], known, source=table.source)
    if "angle" not in columns:
        raise FileFormatError(f"{table.source} has neither an energy nor an angle column, only {sorted(columns)}")
    number, unit = columns["angle"]
    try:
        spacing = float(fields["mono.d_spacing"].split()[0])
    except (KeyError, ValueError, IndexError):
        raise FileFormatError(f"{table.source}: angles without a readable Mono.d_spacing") from None
    angle = table.values[:, number] if unit.lower().startswith("rad") else np.radians(table.values[:, number])
    return np.asarray(_HC_EV_ANGSTROM / (2 * spacing * np.sin(angle)))


def _xdi_signal(table: TextTable, columns: dict[str, tuple[int, str]], signal: str) -> Array:
    kinds = ["transmission", "fluorescence"] if signal == "auto" else [signal]
    for kind in kinds:
        if kind not in READY:
            raise ValueError(f"signal {kind!r} is not auto, transmission, fluorescence or reference")
        for name in READY[kind]:
            if name in columns:
                return np.asarray(table.values[:, columns[name][0]])
        if kind == "fluorescence" and {"ifluor", "i0"} <= columns.keys():
            return _ratio(table, table.values[:, columns["ifluor"][0]], table.values[:, columns["i0"][0]])
        before, after = _INTENSITIES.get(kind, ("", ""))
        if {before, after} <= columns.keys():
            values = table.values
            return _logarithm(table, values[:, columns[before][0]], values[:, columns[after][0]], f"{after} / {before}")
    raise FileFormatError(f"{table.source} has no columns for {' or '.join(kinds)}, only {sorted(columns)}")
