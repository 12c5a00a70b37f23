"""Measured spectra of a working cell: edge positions joined with the cell's record, as numbers and as a picture."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from acquisition.errors import EdgewiseError
from analysis.edge import Code
from analysis.electrochemistry import CellWarning, read_eclab
from analysis.operando import Measured, OperandoResult, join_cell
from analysis.series_files import read_spectra_folder

__all__ = ["draw_operando", "operando", "print_operando"]


def operando(
    spectra: Path,
    cell: Sequence[Path],
    *,
    picture: Path,
    timezone: str | None = None,
    mass_mg: float | None = None,
    console: Console | None = None,
) -> OperandoResult:
    """Read spectra and cell record, join them by time, print what happened and draw it.

    Raises
    ------
    EdgewiseError
        When a file cannot be read; the message names file, line and value.
    """
    console = console or Console()
    try:
        series = read_spectra_folder(spectra, timezone=timezone)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CellWarning)
            record = read_eclab(*cell, timezone=timezone, mass_mg=mass_mg)
        for warning in caught:
            console.print(f"[yellow]note[/yellow] {warning.message}")
        result = join_cell(series, record)
    except (ValueError, OSError) as reason:  # what the readers and the joining refuse, in their own words
        raise EdgewiseError(str(reason)) from reason
    print_operando(console, result)
    draw_operando(result, picture)
    console.print(f"picture: {picture}")
    return result


def print_operando(console: Console, result: OperandoResult) -> None:
    """Print what the first cycle did to the edge."""
    summary = result.summary
    count = int(np.sum(result.edges.code == Code.OK))
    table = Table(title=f"{result.edges.element} edge of a working cell, {count} spectra")
    table.add_column("half height")
    table.add_column("value", justify="right")
    capacity, potential = summary.charged_at
    rows = (
        ("start of the first charge", _text(summary.start)),
        (f"end of the first charge ({capacity:.2f} mAh, {potential:.2f} V)", _text(summary.charged)),
        ("shift over the first charge", _text(summary.shift)),
        ("left after the discharge", _text(summary.residual)),
        ("scatter about a smooth curve", f"{summary.scatter:.4f} eV"),
        ("correlation with charge, first cycle", f"{summary.correlation:.3f}"),
        ("correlation with charge, whole series", f"{summary.correlation_all:.3f}"),
    )
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(f"clock: {result.edges.clock}")


def draw_operando(result: OperandoResult, path: Path) -> Path:
    """Draw edge position and potential against time, and edge position against charge."""
    edges, cell = result.edges, result.cell
    good = edges.code == Code.OK
    hours = (edges.time - edges.time[0]) / 3600.0
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 3)
    upper = figure.add_subplot(grid[0, :2])
    lower = figure.add_subplot(grid[1, :2], sharex=upper)
    right = figure.add_subplot(grid[:, 2])
    upper.errorbar(hours[good], edges.energy[good], yerr=edges.sigma[good], fmt=".", color="C0", markersize=4)
    upper.set_ylabel(f"{edges.element} K half height (eV)")
    upper.set_title("edge position and potential against time")
    lower.plot(hours, cell.potential, color="C3")
    lower.set_ylabel("potential (V)")
    lower.set_xlabel("time since the first spectrum (h)")
    _steps(upper, lower, result)
    known = good & np.isfinite(cell.charge)
    shown = right.scatter(cell.charge[known], edges.energy[known], c=hours[known], s=10, cmap="viridis")
    figure.colorbar(shown, ax=right, label="time (h)")
    right.set_xlabel("charge (mAh)")
    right.set_ylabel(f"{edges.element} K half height (eV)")
    right.set_title(f"correlation in the first cycle {result.summary.correlation:.3f}")
    figure.savefig(path, dpi=110)
    return path


def _steps(upper: Any, lower: Any, result: OperandoResult) -> None:
    """Shade the charges of the cell."""
    begin = result.edges.time[0]
    for step in result.steps:
        if step.direction > 0:
            for axes in (upper, lower):
                axes.axvspan((step.start - begin) / 3600.0, (step.stop - begin) / 3600.0, color="0.93", zorder=0)
    last = (result.edges.time[-1] - begin) / 3600.0
    upper.set_xlim(-0.02 * last, 1.02 * last)


def _text(measured: Measured) -> str:
    if not np.isfinite(measured.value):
        return "not reached"
    return f"{measured.value:.3f} ± {measured.sigma:.3f} eV"
