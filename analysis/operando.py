"""Bulk spectra of a working cell: edge positions joined by time with charge and potential, and what they did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.edge import Code
from analysis.edge_series import EdgeSeries, edge_positions
from analysis.electrochemistry import CellRecord, CellState, Step, steps
from analysis.series_files import SpectrumSeries

Array = NDArray[np.float64]

__all__ = ["EdgeSeries", "Measured", "OperandoResult", "OperandoSummary", "edge_positions", "join_cell"]

_SMOOTH = 9  # spectra in the local parabola that the scatter is taken about


@dataclass(frozen=True, slots=True)
class Measured:
    """A number and its standard deviation."""

    value: float
    sigma: float


@dataclass(frozen=True, slots=True)
class OperandoSummary:
    """What the first cycle did to the edge.

    Attributes
    ----------
    start, charged, discharged : Measured
        Half height in eV at the start and the end of the first charge and at the end of the
        discharge after it, each from a straight line through the spectra next to it. A cell that is only discharged
        starts where that begins.
    shift, residual : Measured
        ``charged - start`` and ``discharged - start`` in eV. NaN where that step was not reached.
    charged_at : tuple of float
        Charge in mAh and potential in V at the end of the first charge.
    scatter : float
        Standard deviation in eV about a curve that is smooth within each step (local parabolas in time).
    correlation : float
        Of edge position and charge over the first cycle.
    correlation_all : float
        The same over the whole series; charge lost to side reactions adds up and lowers it.
    """

    start: Measured
    charged: Measured
    discharged: Measured
    shift: Measured
    residual: Measured
    charged_at: tuple[float, float]
    scatter: float
    correlation: float
    correlation_all: float


@dataclass(frozen=True, slots=True, eq=False)
class OperandoResult:
    """Edge positions beside the state of the cell.

    Attributes
    ----------
    edges : EdgeSeries
    cell : CellState
        At the times of the edges: potential (V), current (mA), charge (mAh), direction (1 charge,
        -1 discharge, 0 rest), known or not.
    steps : tuple of Step
        Charges, discharges and rests of the cell.
    summary : OperandoSummary
    """

    edges: EdgeSeries
    cell: CellState
    steps: tuple[Step, ...]
    summary: OperandoSummary


def join_cell(
    series: EdgeSeries | SpectrumSeries, record: CellRecord, *, longest_gap: float = 600.0, shortest_step: float = 60.0
) -> OperandoResult:
    """Join edge positions with the cell by time.

    Parameters
    ----------
    series : EdgeSeries or SpectrumSeries
        Of spectra, the edges are read with the defaults of ``edge_positions``.
    record : CellRecord
        Of the same cell, on the same clock.
    longest_gap : float
        Seconds between rows of the cell over which its state is interpolated.
    shortest_step : float
        Seconds below which a charge, discharge or rest of the cell is passed over.

    Raises
    ------
    ValueError
        When the clocks differ or the two do not overlap in time.
    """
    edges = edge_positions(series) if isinstance(series, SpectrumSeries) else series
    if edges.clock != record.clock:
        raise ValueError(
            f"spectra are on clock {edges.clock!r} but the cell on {record.clock!r}: read both with one timezone"
        )
    cell = record.at(edges.time, longest_gap=longest_gap)
    if not cell.known.any():
        raise ValueError(
            f"spectra from {_clock(edges.time[0])} to {_clock(edges.time[-1])} "
            "do not overlap the cell's record "
            f"from {_clock(record.time[0])} to {_clock(record.time[-1])}"
        )
    found = steps(record, shortest=shortest_step)
    return OperandoResult(edges, cell, found, _summary(edges, cell, found))


def _summary(edges: EdgeSeries, cell: CellState, found: tuple[Step, ...]) -> OperandoSummary:
    good = (edges.code == Code.OK) & cell.known
    charge = next((step for step in found if step.direction == 1), None)
    after = -np.inf if charge is None else charge.stop - 1
    discharge = next((step for step in found if step.direction == -1 and step.start >= after), None)
    cycle = [step for step in (charge, discharge) if step is not None]
    if not cycle:
        raise ValueError("the cell's record holds neither a charge nor a discharge")
    scatter = _scatter(edges, found, good)
    start = _at_end_of(edges, cycle[0], good, scatter, first=True)
    nothing = Measured(np.nan, np.nan)
    charged = nothing if charge is None else _at_end_of(edges, charge, good, scatter, first=False)
    discharged = nothing if discharge is None else _at_end_of(edges, discharge, good, scatter, first=False)
    in_cycle = good & (edges.time >= cycle[0].start) & (edges.time <= cycle[-1].stop)
    return OperandoSummary(
        start=start,
        charged=charged,
        discharged=discharged,
        shift=_difference(charged, start),
        residual=_difference(discharged, start),
        charged_at=(np.nan, np.nan) if charge is None else (charge.charge[1], charge.potential[1]),
        scatter=scatter,
        correlation=_correlation(edges.energy[in_cycle], cell.charge[in_cycle]),
        correlation_all=_correlation(edges.energy[good], cell.charge[good]),
    )


def _at_end_of(
    edges: EdgeSeries, step: Step, good: NDArray[np.bool_], scatter: float, *, first: bool, count: int = 7
) -> Measured:
    """Edge at the start or the end of a step, by a line in time through the nearest spectra in it."""
    inside = np.flatnonzero(good & (edges.time >= step.start) & (edges.time <= step.stop))
    take = inside[:count] if first else inside[-count:]
    if take.size < 3:
        return Measured(np.nan, np.nan)
    hours = (edges.time[take] - (step.start if first else step.stop)) / 3600.0
    design = np.stack([np.ones_like(hours), hours], axis=1)
    inverse = np.linalg.pinv(design)
    residual = edges.energy[take] - design @ (inverse @ edges.energy[take])
    spread = max(float(np.sqrt(residual @ residual / (take.size - 2))), scatter)
    return Measured(float(inverse[0] @ edges.energy[take]), spread * float(np.linalg.norm(inverse[0])))


def _scatter(edges: EdgeSeries, found: tuple[Step, ...], good: NDArray[np.bool_]) -> float:
    """Standard deviation about local parabolas in time, each within one step of the cell."""
    squares, freedom = 0.0, 0.0
    for step in found:
        inside = np.flatnonzero(good & (edges.time >= step.start) & (edges.time <= step.stop))
        if inside.size < _SMOOTH:
            continue
        hours, energy = edges.time[inside] / 3600.0, edges.energy[inside]
        for i in range(inside.size):
            low = min(max(i - _SMOOTH // 2, 0), inside.size - _SMOOTH)
            near = slice(low, low + _SMOOTH)
            design = np.vander(hours[near] - hours[i], 3, increasing=True)
            own = np.linalg.pinv(design)[0]
            squares += float(energy[i] - own @ energy[near]) ** 2
            freedom += 1.0 - float(own[i - low])
    return float(np.sqrt(squares / freedom)) if freedom > 0 else np.nan


def _difference(a: Measured, b: Measured) -> Measured:
    return Measured(a.value - b.value, float(np.hypot(a.sigma, b.sigma)))


def _correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.size > 2 else np.nan


def _clock(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s")).replace("T", " ")
