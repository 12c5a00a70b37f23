"""Bulk spectra of a working cell: edge positions of a series, joined by time with charge and potential."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.edge import Code, half_height
from analysis.electrochemistry import CellRecord, CellState, Step, steps
from analysis.energy_scale import FOIL_ENERGIES, EnergyScale
from analysis.foil import foil_drift
from analysis.series_files import SpectrumSeries
from analysis.spectra import Normalisation, normalise

Array = NDArray[np.float64]

__all__ = ["EdgeSeries", "Measured", "OperandoResult", "OperandoSummary", "edge_positions", "join_cell"]

# The half height of an oxide lies 6 to 15 eV above the foil's maximum derivative, its white line
# below 30 eV.
_SEARCH = (-8.0, 32.0)
_SMOOTH = 9  # spectra in the local parabola that the scatter is taken about


@dataclass(frozen=True, slots=True)
class Measured:
    """A number and its standard deviation."""

    value: float
    sigma: float


@dataclass(frozen=True, slots=True, eq=False)
class EdgeSeries:
    """Edge positions of a series of spectra.

    Attributes
    ----------
    time : ndarray, shape (n,)
        POSIX seconds by ``clock``.
    energy, sigma : ndarray, shape (n,)
        Half height in eV on ``scale``, and its standard deviation from noise and foil but not below
        the roughness of the series (what neighbours in time scatter about a straight line); NaN
        where there is none.
    white_line : ndarray, shape (n,)
        Energy of the white line in eV.
    code : ndarray of uint8, shape (n,)
        Of ``edge.Code``.
    shift : ndarray, shape (n,)
        What was added to the energies of each spectrum for its own foil, in eV; 0 without foils.
    scale : EnergyScale or None
        The axis of the results, None when no foil was measured.
    normalisation : Normalisation or None
        Windows used, or those the file says it was normalised with.
    clock : str
        Time zone of the times, or that it is not known.
    element : str
        Whose edge it is.
    """

    time: Array
    energy: Array
    sigma: Array
    white_line: Array
    code: NDArray[np.uint8]
    shift: Array
    scale: EnergyScale | None
    normalisation: Normalisation | None
    clock: str
    element: str


@dataclass(frozen=True, slots=True)
class OperandoSummary:
    """What the first cycle did to the edge.

    Attributes
    ----------
    start, charged, discharged : Measured
        Half height in eV at the start and the end of the first charge and at the end of the
        discharge after it, each from a straight line through the spectra next to it.
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


def edge_positions(
    series: SpectrumSeries,
    *,
    element: str = "Ni",
    align: bool = True,
    to: EnergyScale | None = None,
    normalisation: Normalisation | None = None,
    search: tuple[float, float] | None = None,
) -> EdgeSeries:
    """Read the half height of every spectrum, each on the axis fixed by its own foil.

    Parameters
    ----------
    series : SpectrumSeries
        The spectra.
    element : str
        Element of edge and foil.
    align : bool
        Shift each spectrum by its foil against the mean foil of the series. Halves the scatter even
        of series whose foils were aligned one by one before.
    to : EnergyScale, optional
        Move all to this scale too; otherwise the mean axis of the series is kept, and ``scale``
        says where its foil is.
    normalisation : Normalisation, optional
        Windows to normalise with. Needed when the series is not normalised; replaces its own when it is.
    search : (low, high), optional
        Range of the crossing and of the white line in eV.

    Raises
    ------
    ValueError
        When windows are needed, or the element's range is not known.
    """
    if search is None:
        if element not in FOIL_ENERGIES:
            raise ValueError(f"no search range known for {element}: give search=(low, high) in eV")
        search = (FOIL_ENERGIES[element] + _SEARCH[0], FOIL_ENERGIES[element] + _SEARCH[1])
    mu, windows = _normalised(series, normalisation)
    noise = _point_noise(series.energy, mu, search[0] - 15.0)
    shift, shift_sigma, scale = _foil_shifts(series, element, to, align=align)
    near = (series.energy >= search[0] - 5) & (series.energy <= search[1] + 5)
    found = [
        half_height(series.energy[near] + d, spectrum[near], None, sigma=s, search=search)
        for d, spectrum, s in zip(shift, mu, noise, strict=True)
    ]
    energy = np.array([edge.energy for edge in found])
    sigma = np.array([edge.sigma for edge in found])
    return EdgeSeries(
        time=series.time,
        energy=energy,
        sigma=np.maximum(np.hypot(sigma, shift_sigma), _roughness(energy)),
        white_line=np.array([edge.white_line for edge in found]),
        code=np.array([edge.code for edge in found], dtype=np.uint8),
        shift=shift,
        scale=scale,
        normalisation=windows,
        clock=series.clock,
        element=element,
    )


def join_cell(edges: EdgeSeries, record: CellRecord, *, longest_gap: float = 600.0) -> OperandoResult:
    """Join edge positions with the cell by time.

    Parameters
    ----------
    edges : EdgeSeries
    record : CellRecord
        Of the same cell, on the same clock.
    longest_gap : float
        Seconds between rows of the cell over which its state is interpolated.

    Raises
    ------
    ValueError
        When the clocks differ or the two do not overlap in time.
    """
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
    found = steps(record)
    return OperandoResult(edges, cell, found, _summary(edges, cell, found))


def _normalised(series: SpectrumSeries, normalisation: Normalisation | None) -> tuple[Array, Normalisation | None]:
    if normalisation is not None:
        done = normalise(series.energy, series.mu, normalisation)
        return done.mu, done.normalisation
    if not series.normalised:
        raise ValueError("the series is not normalised: give normalisation=Normalisation(pre, post, e0=...)")
    return series.mu, series.normalisation


def _point_noise(energy: Array, mu: Array, below: float) -> Array:
    """Noise of one point of each spectrum, from second differences of the pre-edge."""
    pre = energy < below
    if pre.sum() < 8:
        return np.full(mu.shape[0], np.nan)
    second = np.diff(mu[:, pre], 2, axis=1)
    return np.asarray(1.4826 / np.sqrt(6.0) * np.median(np.abs(second), axis=1))


def _roughness(energy: Array) -> float:
    """Scatter of one edge about the line through its neighbours in time; 0 for short series."""
    known = energy[np.isfinite(energy)]
    if known.size < 10:
        return 0.0
    return float(1.4826 / np.sqrt(6.0) * np.median(np.abs(np.diff(known, 2))))


def _foil_shifts(
    series: SpectrumSeries, element: str, to: EnergyScale | None, *, align: bool
) -> tuple[Array, Array, EnergyScale | None]:
    """Shift per spectrum, its sigma, and the scale reached."""
    if series.foil is None or not align:
        if to is not None:
            raise ValueError(f"cannot move to {to.name!r}: the series has no foil, or align is off")
        nothing = np.zeros(series.time.size)
        return nothing, nothing, None
    drift = foil_drift(series.energy, series.foil, element=element, to=to, times=series.time)
    if to is not None:
        return drift.shift, drift.sigma, to
    mean = float(np.nanmean(drift.shift))
    assert drift.scale.foil_energy is not None
    own = EnergyScale(
        name=f"mean {element} foil of the series",
        element=element,
        foil_energy=drift.scale.foil_energy - mean,
        sigma=drift.offset_sigma,
    )
    return drift.shift - mean, drift.sigma, own


def _summary(edges: EdgeSeries, cell: CellState, found: tuple[Step, ...]) -> OperandoSummary:
    good = (edges.code == Code.OK) & cell.known
    charge = next((step for step in found if step.direction == 1), None)
    if charge is None:
        raise ValueError("the cell's record holds no charge")
    discharge = next((s for s in found if s.direction == -1 and s.start >= charge.stop - 1), None)
    scatter = _scatter(edges, found, good)
    start = _at_end_of(edges, charge, good, scatter, first=True)
    charged = _at_end_of(edges, charge, good, scatter, first=False)
    discharged = (
        Measured(np.nan, np.nan) if discharge is None else _at_end_of(edges, discharge, good, scatter, first=False)
    )
    cycle_end = charge.stop if discharge is None else discharge.stop
    in_cycle = good & (edges.time >= charge.start) & (edges.time <= cycle_end)
    return OperandoSummary(
        start=start,
        charged=charged,
        discharged=discharged,
        shift=_difference(charged, start),
        residual=_difference(discharged, start),
        charged_at=(charge.charge[1], charge.potential[1]),
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
