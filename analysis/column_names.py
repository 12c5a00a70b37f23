"""Which columns of a text file are energy and absorption, told by the names that beamlines give them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from analysis.text_tables import FileFormatError, TextTable

__all__ = ["Columns", "chosen_columns", "column_names"]

READY = {
    "transmission": ("mutrans", "normtrans", "mu", "xmu", "norm", "normalized", "flat", "absorption", "absorbance"),
    "fluorescence": ("mufluor", "normfluor"),
    "reference": ("murefer", "normrefer"),
}
ENERGY = ("energy", "e", "ev", "kev", "en", "photon_energy", "mono_energy", "energy_ev", "energy_kev", "encoder_energy")
BEFORE = ("i0", "io", "i_0", "monitor")
AFTER = ("itrans", "i1", "it", "itransmission")
# What stands first in files of some beamlines and would pass for an energy in keV or for an absorption.
NEITHER = (
    "angle",
    "theta",
    "bragg",
    "time",
    "clock",
    "seconds",
    "index",
    "point",
    "step",
    "i",
    "n",
    "if",
    "ifluor",
    "i2",
)
_UNIT = re.compile(r"\s*[(\[][^)\]]*[)\]]")


@dataclass(frozen=True, slots=True)
class Columns:
    """Numbers of columns, from 0: energy, and either absorption or both intensities."""

    energy: int
    mu: int | None = None
    before: int | None = None
    after: int | None = None


def column_names(table: TextTable) -> list[str]:
    """Names in the last header line that has one for each column, units in brackets left out; empty if none has.

    Examples
    --------
    >>> from analysis.text_tables import read_table
    >>> column_names(read_table(b"# Energy (eV), mu(E)\\n8333, 0.5"))
    ['Energy', 'mu']
    """
    for line in reversed(table.header):
        bare = _UNIT.sub("", line).strip()
        splits = (re.split(r"\s*[\t,;]\s*", bare), bare.replace(",", " ").split())
        for names in splits:
            if len(names) == table.values.shape[1] and all(names):
                return names
    return []


def chosen_columns(table: TextTable) -> Columns:
    """Return what names tell, or the first two columns where there are no names that tell anything.

    Raises
    ------
    FileFormatError
        When the column that would be taken is named as something else.
    """
    names = [name.lower() for name in column_names(table)]
    if table.values.shape[1] < 2:
        raise FileFormatError(f"{table.source} has one column; a spectrum needs energy and absorption")
    if not names:
        return Columns(0, 1)
    energy = _first(names, ENERGY)
    if energy is None:
        energy = 0
        _refuse(table, names, energy, "energy")
    mu = _first(names, (*READY["transmission"], *READY["fluorescence"]))
    before, after = _first(names, BEFORE), _first(names, AFTER)
    if mu is None and before is not None and after is not None:
        return Columns(energy, None, before, after)
    if mu is None:
        mu = next(i for i in range(len(names)) if i != energy)
        _refuse(table, names, mu, "absorption")
    return Columns(energy, mu)


def _first(names: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _refuse(table: TextTable, names: list[str], column: int, what: str) -> None:
    if names[column] in (*NEITHER, *BEFORE, *AFTER):
        raise FileFormatError(
            f"{table.source}: no column is named as {what} among {names}; say which with read_columns(..., "
            f"{'energy' if what == 'energy' else 'mu'}=...)"
        )
