"""A charge followed by absorption: spectra coloured by charge, the cell's curve, and each edge against charge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from acquisition.errors import EdgewiseError
from analysis.absorption_runs import AbsorptionScan, Document, read_scans, spectrum_series
from analysis.cell_runs import cell_record
from analysis.edge import Code
from analysis.edge_series import EdgeSeries, edge_positions
from analysis.electrochemistry import CellRecord, CellState
from analysis.energy_scale import FOIL_ENERGIES, FOIL_SCALES
from analysis.series_files import SpectrumSeries
from analysis.spectra import Normalisation, default_normalisation, normalise

__all__ = ["ChargeReport", "EdgeOfCharge", "charge_report"]

SEARCH = (-4.0, 25.0)  # eV about the foil, where the half height of an oxide lies
SHOWN = (-15.0, 45.0)  # eV about the foil


@dataclass(frozen=True, slots=True, eq=False)
class EdgeOfCharge:
    """The spectra of one element: as measured, their edges, and the cell at their times.

    Attributes
    ----------
    element : str
    spectra : SpectrumSeries
    edges : EdgeSeries
        On the scale of the foil that was measured with each spectrum.
    cell : CellState
    windows : Normalisation
    """

    element: str
    spectra: SpectrumSeries
    edges: EdgeSeries
    cell: CellState
    windows: Normalisation


@dataclass(frozen=True, slots=True, eq=False)
class ChargeReport:
    """What was found: the record of the cell, and each element by its name."""

    cell: CellRecord
    elements: dict[str, EdgeOfCharge]


def charge_report(
    documents: Sequence[Document],
    picture: Path,
    *,
    windows: Mapping[str, Normalisation] | None = None,
    plateau: float = 4.5,
    console: Console | None = None,
) -> ChargeReport:
    """Read the edges of an in situ series, join them with the cell by time, print and draw them.

    Parameters
    ----------
    documents
        Of every run of the series.
    picture
        File for the picture.
    windows
        Normalisation by element; the usual windows where none is given.
    plateau
        V; what was measured from there on is set apart.
    console
        Where to print; the terminal by default.

    Raises
    ------
    EdgewiseError
        When the documents are not those of such a series, or its foils fix no energy scale.
    """
    try:
        record, scans = cell_record(documents), read_scans(documents)
        elements = {name: _read(scans, name, record, windows or {}) for name in dict.fromkeys(s.element for s in scans)}
    except ValueError as reason:  # what the readers refuse, in their own words
        raise EdgewiseError(str(reason)) from reason
    report = ChargeReport(record, elements)
    _print(report, console or Console())
    _draw(report, plateau, picture)
    return report


def _read(
    scans: Sequence[AbsorptionScan], element: str, record: CellRecord, windows: Mapping[str, Normalisation]
) -> EdgeOfCharge:
    spectra = spectrum_series(scans, element=element)
    foil = FOIL_ENERGIES[element]
    used = windows.get(element) or default_normalisation(spectra.energy, foil + 10.0)
    search = (foil + SEARCH[0], foil + SEARCH[1])
    edges = edge_positions(spectra, element=element, to=FOIL_SCALES[element], normalisation=used, search=search)
    return EdgeOfCharge(element, spectra, edges, record.at(edges.time), used)


def _print(report: ChargeReport, console: Console) -> None:
    for found in report.elements.values():
        table = Table(title=f"{found.element} K edge during the charge")
        for name in ("charge (mAh)", "potential (V)", "half height (eV)", "±"):
            table.add_column(name, justify="right")
        rows = (found.cell.charge, found.cell.potential, found.edges.energy, found.edges.sigma, found.edges.code)
        for charge, potential, energy, sigma, code in zip(*rows, strict=True):
            position = (f"{energy:.3f}", f"{sigma:.3f}") if code == Code.OK else (Code(code).name, "")
            table.add_row(f"{charge:.3f}", f"{potential:.3f}", *position)
        console.print(table)


def _draw(report: ChargeReport, plateau: float, path: Path) -> None:
    colour = _Colours(report.cell, plateau)
    figure = Figure(figsize=(13, 1.5 + 2.6 * len(report.elements)), layout="constrained")
    grid = figure.add_gridspec(2 * len(report.elements), 2, width_ratios=(1.2, 1.0))
    for row, found in enumerate(report.elements.values()):
        _spectra(figure.add_subplot(grid[2 * row : 2 * row + 2, 0]), found, colour)
    curve = figure.add_subplot(grid[: len(report.elements), 1])
    curve.plot(report.cell.charge, report.cell.potential, color="0.4", linewidth=1)
    curve.set_ylabel("potential (V)")
    shift = figure.add_subplot(grid[len(report.elements) :, 1], sharex=curve)
    for marker, found in zip("os^dv", report.elements.values(), strict=False):
        good = found.edges.code == Code.OK
        first = found.edges.energy[good][0] if good.any() else np.nan
        shades = [colour(charge) for charge in found.cell.charge[good]]
        curve.scatter(found.cell.charge[good], found.cell.potential[good], c=shades, marker=marker, zorder=3)
        shift.errorbar(
            found.cell.charge[good], found.edges.energy[good] - first, found.edges.sigma[good],
            color="0.4", fmt=f"-{marker}", linewidth=1, label=f"{found.element} K, from {first:.2f} eV",
        )  # fmt: skip
    for axes in (curve, shift):
        if np.isfinite(colour.begin):
            axes.axvspan(colour.begin, float(report.cell.charge.max()), color="0.93", zorder=0)
    shift.legend(frameon=False)
    shift.set_xlabel("charge (mAh)")
    shift.set_ylabel("shift of the half height (eV)")
    figure.savefig(path, dpi=110)


def _spectra(axes: Any, found: EdgeOfCharge, colour: "_Colours") -> None:
    foil = FOIL_ENERGIES[found.element]
    done = normalise(found.spectra.energy, found.spectra.mu, found.windows)
    for mu, shift, charge in zip(done.flat, found.edges.shift, found.cell.charge, strict=True):
        axes.plot(done.energy + shift, mu, color=colour(charge), linewidth=1)
    axes.set_xlim(foil + SHOWN[0], foil + SHOWN[1])
    axes.set_xlabel("energy (eV)")
    axes.set_ylabel(f"normalised absorption, {found.element} K")


class _Colours:
    """Colours by charge: one map up to the plateau, another on it."""

    def __init__(self, record: CellRecord, plateau: float) -> None:
        on = np.flatnonzero(record.potential >= plateau)
        self.begin = float(record.charge[on[0]]) if on.size else np.inf
        first, last = float(record.charge.min()), float(record.charge.max())
        self._before = Normalize(first, max(min(self.begin, last), first + 1e-9))
        self._after = Normalize(min(self.begin, last), last + 1e-9)

    def __call__(self, charge: float) -> NDArray[np.float64]:
        """RGBA of a charge (mAh)."""
        if charge < self.begin:
            return np.asarray(colormaps["viridis"](0.9 * float(self._before(charge))))
        return np.asarray(colormaps["autumn"](0.8 * float(self._after(charge))))
