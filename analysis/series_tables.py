"""A series of spectra in one table: energy and one column for each spectrum, in the order of time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from analysis.column_names import column_names, column_number, energy_column
from analysis.electrochemistry import LOCAL_CLOCK
from analysis.numbers import real_array
from analysis.series_files import SpectrumSeries
from analysis.spectrum_tables import in_ev, spectrum_from_table
from analysis.text_tables import FileFormatError, read_table

__all__ = ["read_spectra_table"]


def read_spectra_table(
    path: Path | str,
    *,
    times: ArrayLike,
    energy: int | str | None = None,
    normalised: bool = False,
    timezone: str | None = None,
) -> SpectrumSeries:
    """Read a table of spectra, as programs export a whole series.

    Parameters
    ----------
    path : Path or str
        The file.
    times : array_like, shape (n,)
        POSIX seconds of the spectra, one per column beside the energy and rising; such tables hold none.
    energy : int or str, optional
        Column of the energies, by number from 0 or by name; as named when not given, else the first.
    normalised : bool
        Whether the columns are normalised to a unit edge jump already.
    timezone : str, optional
        Zone of the clock of the times, as of ``electrochemistry.read_eclab``.

    Raises
    ------
    FileFormatError
        When a column is no spectrum.
    ValueError
        When there are not as many times as spectra, or they do not rise.
    """
    table = read_table(Path(path))
    names = column_names(table)
    named = energy_column(names)
    axis = column_number(table, (0 if named is None else named) if energy is None else energy)
    columns = [i for i in range(table.values.shape[1]) if i != axis]
    taken = real_array("times", times, np.float64)
    if not columns:
        raise FileFormatError(f"{table.source} has one column; a series needs energy and spectra")
    if taken.shape != (len(columns),) or not np.all(np.diff(taken) > 0) or not np.isfinite(taken).all():
        raise ValueError(f"times have shape {taken.shape}; {len(columns)} spectra need as many that rise")
    ev = in_ev(table.values[:, axis], "auto", source=table.source)
    spectra = [
        spectrum_from_table(table, ev, table.values[:, i], name=str(i), element="", edge="", scale=None)
        for i in columns
    ]
    return SpectrumSeries(
        time=taken,
        energy=spectra[0].energy,
        mu=np.stack([spectrum.mu for spectrum in spectra]),
        foil=None,
        jump=np.full(len(columns), np.nan),
        normalised=normalised,
        normalisation=None,
        clock=timezone or LOCAL_CLOCK,
        names=tuple(names[i] if names else f"column {i}" for i in columns),
    )
