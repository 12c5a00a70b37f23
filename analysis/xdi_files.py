"""Spectra in XDI, the format of the XAS data interchange effort (doi:10.1088/1742-6596/712/1/012049)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.column_names import column_names, energy_column, measurement
from analysis.energy_scale import EnergyScale
from analysis.spectra import Spectrum
from analysis.spectrum_tables import absorption, bragg_energy, in_ev, spectrum_from_table, uncertainty
from analysis.text_tables import FileFormatError, TextTable, numbers, read_table

Array = NDArray[np.float64]

__all__ = ["read_xdi", "write_xdi"]

_FIELD = re.compile(r"^([A-Za-z_]+)\.([A-Za-z0-9_]+)\s*:\s*(.*)$")


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
        -ln(irefer/itrans)). Automatic is the sample: absorption that is ready, by the column that stands first, before
        intensities, and with these transmission before fluorescence. Files that name their columns otherwise than XDI
        does are understood as by ``read_columns``.
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
    fields = _fields(table.header)
    names, units = _labels(fields, table)
    found = measurement(names, signal)
    if found is None:
        kind = "transmission or fluorescence" if signal == "auto" else signal
        raise FileFormatError(
            f"{name} has no columns for {kind}, only {names}; say which with read_columns(..., mu=...) or "
            f"(..., i0=..., fluorescence=...)"
        )
    return spectrum_from_table(
        table,
        _energy(table, names, units, fields),
        absorption(table, found, guessed=signal == "auto"),
        name=fields.get("sample.name", Path(path).stem),
        element=fields.get("element.symbol", fields.get("athena.element", "")).capitalize(),
        edge=fields.get("element.edge", fields.get("athena.edge", "K")).capitalize(),
        scale=scale or _scale(fields, name),
        sigma=uncertainty(table, names, found),
        sort=sort,
    )


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


def _fields(header: tuple[str, ...]) -> dict[str, str]:
    """Fields before the user comments, keys in lower case."""
    end = next((i for i, line in enumerate(header) if line.startswith("///")), len(header))
    found = (match for line in header[:end] if (match := _FIELD.match(line)))
    return {f"{m.group(1)}.{m.group(2)}".lower(): m.group(3).strip() for m in found}


def _scale(fields: dict[str, str], source: str) -> EnergyScale | None:
    """Energy scale as ``write_xdi`` puts it."""
    name = fields.get("scan.energy_scale")
    foil = fields.get("scan.foil_energy", "").split()
    if name is None or len(foil) < 2:
        return EnergyScale(name) if name else None
    return EnergyScale(name, foil[0], numbers([foil[1]], source=source, line=1)[0])


def _labels(fields: dict[str, str], table: TextTable) -> tuple[list[str], list[str]]:
    """Names and units of the columns, by the fields ``Column.N`` or else by the line above the numbers."""
    count = table.values.shape[1]
    labels = [fields.get(f"column.{i + 1}", "").split() for i in range(count)]
    if not any(labels[1:]):
        return column_names(table), [""] * count
    labels[0] = labels[0] or ["energy", "eV"]
    names = [words[0] if words else f"column {i}" for i, words in enumerate(labels)]
    return names, [words[1] if len(words) > 1 else "" for words in labels]


def _energy(table: TextTable, names: list[str], units: list[str], fields: dict[str, str]) -> Array:
    number = energy_column(names)
    if number is not None:
        known = {"ev": "eV", "kev": "keV"}.get(units[number].lower(), "auto")
        return in_ev(table.values[:, number], known, source=table.source)
    lower = [name.lower() for name in names]
    if "angle" not in lower:
        raise FileFormatError(f"{table.source} has neither an energy nor an angle column, only {names}")
    number = lower.index("angle")
    try:
        spacing = float(fields["mono.d_spacing"].split()[0])
    except (KeyError, ValueError, IndexError):
        raise FileFormatError(f"{table.source}: angles without a readable Mono.d_spacing") from None
    angle = table.values[:, number]
    degrees = np.degrees(angle) if units[number].lower().startswith("rad") else angle
    return bragg_energy(degrees, spacing, source=table.source)
