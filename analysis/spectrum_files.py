"""Absorption spectra in files of any instrument: XDI, or columns told by their names, read into one form.

Energies in keV are recognised by their size, intensities become absorption, and what cannot be a spectrum, or does not
tell which of its columns are one, is refused with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.column_names import Measurement, chosen_columns, column_names, column_number
from analysis.energy_scale import EnergyScale
from analysis.spectra import Spectrum
from analysis.spectrum_tables import absorption, bragg_energy, in_ev, spectrum_from_table, uncertainty
from analysis.text_tables import FileFormatError, TextTable, read_table
from analysis.xdi_files import read_xdi, write_xdi

Array = NDArray[np.float64]

__all__ = ["read_columns", "read_energies", "read_spectrum", "read_xdi", "write_xdi"]

_ATHENA = re.compile(r"Element\s*=\s*([A-Z][a-z]?)\s+Edge\s*=\s*([KLM]\d?)", re.IGNORECASE)


def read_spectrum(
    path: Path | str,
    *,
    signal: str = "auto",
    scale: EnergyScale | None = None,
    element: str = "",
    edge: str = "",
    sort: bool = False,
) -> Spectrum:
    """Read a spectrum from an XDI file or from columns, whichever the content is.

    Columns are told by their names in the header, or are energy and absorption in this order where there are two;
    ``read_columns`` takes any other. The parameters are those of ``read_xdi`` and ``read_columns``.
    """
    file = Path(path)
    with file.open("rb") as stream:
        opening = stream.read(200)
    if re.match(rb"^(\xef\xbb\xbf)?\s*#\s*XDI/", opening):
        return read_xdi(file, signal=signal, scale=scale, sort=sort)
    return read_columns(file, signal=signal, scale=scale, element=element, edge=edge, sort=sort)


def read_columns(
    path: Path | str,
    *,
    energy: int | str | None = None,
    mu: int | str | None = None,
    i0: int | str | None = None,
    transmitted: int | str | None = None,
    fluorescence: int | str | Sequence[int | str] | None = None,
    sigma: int | str | None = None,
    signal: str = "auto",
    unit: str = "auto",
    d_spacing: float | None = None,
    name: str | None = None,
    element: str = "",
    edge: str = "",
    scale: EnergyScale | None = None,
    sort: bool = False,
) -> Spectrum:
    """Read energy and absorption from columns of a text file.

    Spectra scanned downwards are turned round; an energy measured twice counts as one, with the mean.

    Parameters
    ----------
    path : Path or str
        The file; comment lines start with one of # % ; ! *, decimal commas are understood.
    energy, mu, sigma : int or str, optional
        Columns, by number from 0 or by the name in the header; energy and absorption when not given are told by usual
        names (also intensities before and behind the sample). Where no names tell, two columns are energy and
        absorption, and more are refused.
    i0, transmitted, fluorescence : int or str, optional
        Columns of intensities, `i0` with one of the others: the absorption is -ln(transmitted / i0) or
        fluorescence / i0, and ``mu`` is not used. Several columns of fluorescence, as of the elements of a detector,
        are summed.
    signal : {"auto", "transmission", "fluorescence", "reference"}
        Which of the signals that the names tell, as in ``read_xdi``.
    unit : {"auto", "eV", "keV"}
        Unit of the energies; by their size when "auto".
    d_spacing : float, optional
        Spacing of the monochromator's planes in angstrom (3.1356 for silicon 111), where the column given as `energy`
        holds Bragg angles in degrees.
    name, element, edge, scale
        What the file does not say; the name is that of the file when not given, the edge is K; Athena's headers tell
        element and edge.
    sort : bool
        Sort energies that go back and forth (several sweeps) instead of refusing them.
    """
    table = read_table(Path(path))
    given = None if energy is None else column_number(table, energy)
    measured = _given(table, mu, i0, transmitted, fluorescence)
    chosen = chosen_columns(table, signal=signal, energy=given, measured=measured)
    axis = table.values[:, chosen.energy]
    if d_spacing is None:
        ev = in_ev(axis, unit, source=table.source)
    else:
        ev = bragg_energy(axis, d_spacing, source=table.source)
    told = next((match for line in table.header if (match := _ATHENA.search(line))), None)
    return spectrum_from_table(
        table,
        ev,
        absorption(table, chosen.signal, guessed=signal == "auto" and measured is None),
        sigma=(
            uncertainty(table, column_names(table), chosen.signal)
            if sigma is None
            else table.values[:, column_number(table, sigma)]
        ),
        name=name or Path(path).stem,
        element=element or (told.group(1).capitalize() if told else ""),
        edge=edge or (told.group(2).capitalize() if told else "K"),
        scale=scale,
        sort=sort,
    )


def read_energies(path: Path | str, *, unit: str = "auto") -> Array:
    """Read a list of energies (first column), in eV: any order, but finite, positive and no duplicates."""
    table = read_table(Path(path))
    energy = in_ev(table.values[:, 0], unit, source=table.source)
    wrong = np.flatnonzero(~np.isfinite(energy))
    if wrong.size:
        raise FileFormatError(f"{table.source} line {table.lines[wrong[0]]}: energy {energy[wrong[0]]} is not finite")
    if np.unique(energy).size != energy.size:
        values, counts = np.unique(energy, return_counts=True)
        raise FileFormatError(f"{table.source}: energy {values[counts > 1][0]:.3f} eV occurs more than once")
    return energy


def _given(
    table: TextTable,
    mu: int | str | None,
    i0: int | str | None,
    transmitted: int | str | None,
    fluorescence: int | str | Sequence[int | str] | None,
) -> Measurement | None:
    """What the caller says the absorption is made of, None when nothing is said."""
    if i0 is None and transmitted is None and fluorescence is None:
        return None if mu is None else Measurement(column_number(table, mu))
    if i0 is None or (transmitted is None) == (fluorescence is None):
        raise ValueError("i0 and transmitted, or i0 and fluorescence, must be given together")
    before = (column_number(table, i0),)
    if transmitted is not None:
        return Measurement(None, before, (column_number(table, transmitted),))
    assert fluorescence is not None
    several = [fluorescence] if isinstance(fluorescence, int | str) else fluorescence
    return Measurement(None, before, tuple(column_number(table, which) for which in several), logarithm=False)
