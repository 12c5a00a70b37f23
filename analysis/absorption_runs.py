"""Bulk absorption spectra from the documents of their runs: mu with its counting noise, and the foil beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from analysis.energy_scale import EnergyScale, align
from analysis.foil import foil_shift
from analysis.series_files import SpectrumSeries
from analysis.spectra import Spectrum

Array = NDArray[np.float64]
Document = tuple[str, Mapping[str, Any]]

__all__ = ["CLOCK", "AbsorptionScan", "RunError", "on_foil_scale", "read_scan", "read_scans", "spectrum_series"]

CLOCK = "UTC"  # of the times in documents
PLAN = "energy_scan"
PAIR_ENERGY = 34.8  # eV per ion pair in nitrogen
_ELEMENTARY_CHARGE = 1.602176634e-19  # C
_ROUNDING = 1.0 / 12.0  # variance of a whole number


class RunError(ValueError):
    """The documents of a run do not hold what is needed; the message says what is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class AbsorptionScan:
    """One transmission spectrum as it was measured, in the order of its energies.

    Attributes
    ----------
    run_uid, series_uid, element, edge : str
    planned, energy : float64 [E], eV, as planned and as read back
    mu : float64 [E], ln(I0 / I1), dark subtracted: the absorption of the sample and a constant of the chambers; NaN
        where a chamber counted no more than its dark
    sigma : float64 [E], standard deviation of `mu` from the photons counted
    foil, foil_sigma : float64 [E] or None, the same of the foil, ln(I1 / I2)
    time : float64 [E], POSIX s at the end of each counting
    expected : number of energies that were planned
    exit_status : of the run; None while it is under way or when it was cut off
    readings : every other number read at each energy, float64 [E], e.g. ``cell_voltage``
    """

    run_uid: str
    series_uid: str
    element: str
    edge: str
    planned: Array
    energy: Array
    mu: Array
    sigma: Array
    foil: Array | None
    foil_sigma: Array | None
    time: Array
    expected: int
    exit_status: str | None
    readings: Mapping[str, Array] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every planned energy is there with a number."""
        foil = np.zeros(1) if self.foil is None else self.foil
        return self.energy.size == self.expected and bool(np.isfinite(self.mu).all() and np.isfinite(foil).all())

    def spectrum(self) -> Spectrum:
        """The sample on the axis of the monochromator, which agrees with no other until a foil has fixed it."""
        return self._spectrum(self.mu, self.sigma, self.element)

    def foil_spectrum(self) -> Spectrum:
        """The foil on the same axis; `RunError` when none was put in."""
        if self.foil is None or self.foil_sigma is None:
            raise RunError(f"run {self.run_uid[:8]}: no foil was in the beam; take the scan with foil=")
        return self._spectrum(self.foil, self.foil_sigma, f"{self.element} foil")

    def _spectrum(self, mu: Array, sigma: Array, name: str) -> Spectrum:
        good = np.isfinite(mu)
        return Spectrum(
            energy=self.energy[good],
            mu=mu[good],
            sigma=sigma[good],
            name=name,
            element=self.element,
            edge=self.edge,
            scale=EnergyScale(f"monochromator in run {self.run_uid[:8]}"),
            source=f"run {self.run_uid}",
        )


def on_foil_scale(scan: AbsorptionScan, *, to: EnergyScale | None = None) -> Spectrum:
    """The sample's spectrum, moved so that the foil measured in the same pass lies where its scale has it.

    Raises
    ------
    RunError
        When no foil was in the beam.
    ScaleError
        When its spectrum shows no edge.
    """
    foil = scan.foil_spectrum()
    return align(scan.spectrum(), foil_shift(foil.energy, foil.mu, element=scan.element, to=to))


def read_scan(documents: Iterable[Document], *, pair_energy: float = PAIR_ENERGY) -> AbsorptionScan:
    """The one spectrum in the documents of a run; see `read_scans`."""
    scans = read_scans(documents, pair_energy=pair_energy)
    if len(scans) != 1:
        raise RunError(f"the documents hold {len(scans)} runs of {PLAN}; one was wanted")
    return scans[0]


def read_scans(documents: Iterable[Document], *, pair_energy: float = PAIR_ENERGY) -> list[AbsorptionScan]:
    """Every spectrum in the documents of one or several runs, in the order of their starts; other runs are passed over.

    A point that was repeated after a pause counts as it was taken last. A run that was cut off gives what there is.

    Parameters
    ----------
    documents
        Names and documents as the RunEngine emitted them; runs may be interleaved.
    pair_energy
        eV per ion pair in the gas of the chambers; from it, the amplifier's gain and the voltage follow the photons
        that were counted, and so sigma.

    Raises
    ------
    RunError
        When a run has no dark, or lacks a reading.
    """
    runs: dict[str, _Run] = {}
    descriptors: dict[str, _Run] = {}
    for name, doc in documents:
        if name == "start" and doc.get("plan_name") == PLAN:
            runs[doc["uid"]] = _Run(doc)
        elif name == "descriptor" and doc["run_start"] in runs:
            descriptors[doc["uid"]] = run = runs[doc["run_start"]]
            run.streams[doc["uid"]] = doc
        elif name == "event" and doc["descriptor"] in descriptors:
            run = descriptors[doc["descriptor"]]
            run.events[run.streams[doc["descriptor"]]["name"], doc["seq_num"]] = doc
        elif name == "event_page" and doc["descriptor"] in descriptors:
            raise RunError("event pages are not part of a journal; unpack them first")
        elif name == "stop" and doc["run_start"] in runs:
            runs[doc["run_start"]].exit_status = doc["exit_status"]
    measured = [run for run in runs.values() if ("primary", 1) in run.events]
    return [_scan(run, pair_energy) for run in sorted(measured, key=lambda run: float(run.start["time"]))]


def spectrum_series(scans: Sequence[AbsorptionScan], *, element: str) -> SpectrumSeries:
    """The complete spectra of one element as one series on their planned energies, for `edge_positions`.

    Between read-back and planned energy, which differ by less than the tolerance of the scan, a cubic spline leads.

    Raises
    ------
    RunError
        When there are none, or they were not planned on one grid.
    """
    chosen = [scan for scan in scans if scan.element == element and scan.complete]
    if not chosen:
        raise RunError(f"none of {len(scans)} scans is a complete one of {element}")
    grid = chosen[0].planned
    for scan in chosen:
        if not np.array_equal(scan.planned, grid):
            raise RunError(
                f"run {scan.run_uid[:8]} was planned on {scan.planned.size} energies unlike the {grid.size} of run"
                f" {chosen[0].run_uid[:8]}: read the two by themselves"
            )
    foils = [scan.foil for scan in chosen]
    return SpectrumSeries(
        time=np.array([scan.time.mean() for scan in chosen]),
        energy=grid,
        mu=np.stack([CubicSpline(scan.energy, scan.mu)(grid) for scan in chosen]),
        foil=(
            np.stack([CubicSpline(s.energy, foil)(grid) for s, foil in zip(chosen, foils, strict=True)])
            if all(foil is not None for foil in foils)
            else None
        ),
        jump=np.full(len(chosen), np.nan),
        normalised=False,
        normalisation=None,
        clock=CLOCK,
        names=tuple(scan.run_uid for scan in chosen),
        sigma=np.stack([scan.sigma for scan in chosen]),
    )


@dataclass(slots=True)
class _Run:
    """The documents of one run; of events with one number, the last."""

    start: Mapping[str, Any]
    streams: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    events: dict[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)
    exit_status: str | None = None

    @property
    def uid(self) -> str:
        return str(self.start["uid"])

    def of(self, stream: str) -> list[Mapping[str, Any]]:
        return [self.events[key] for key in sorted(key for key in self.events if key[0] == stream)]

    def column(self, events: Sequence[Mapping[str, Any]], key: str) -> Array:
        try:
            return np.array([event["data"][key] for event in events], dtype=np.float64)
        except KeyError:
            raise RunError(f"run {self.uid[:8]} has no reading {key!r}") from None

    def configured(self, device: str, key: str) -> Any:
        for stream in self.streams.values():
            data = stream["configuration"].get(device, {}).get("data", {})
            if key in data:
                return data[key]
        raise RunError(f"run {self.uid[:8]} has no configuration {key!r} of {device}")


def _scan(run: _Run, pair_energy: float) -> AbsorptionScan:
    darks, points = run.of("dark"), run.of("primary")
    if not darks:
        raise RunError(f"run {run.uid[:8]} has no dark: what the chambers count without light is not known")
    axis, device = run.start["hints"]["dimensions"][0][0][0], run.start["detectors"][0]
    energy = run.column(points, axis)
    order = np.argsort(energy, kind="stable")
    points, energy = [points[i] for i in order], energy[order]
    light = [
        _light(run, f"{device}_{chamber}", device, darks[-1], points, energy, pair_energy)
        for chamber in ("incident", "transmitted", "reference")
    ]
    mu, sigma = _logarithm(light[0], light[1])
    with_foil = run.start["plan_args"].get("foil") is not None
    foil, foil_sigma = _logarithm(light[1], light[2]) if with_foil else (None, None)
    return AbsorptionScan(
        run_uid=run.uid,
        series_uid=str(run.start["series_uid"]),
        element=str(run.start["element"]),
        edge=str(run.start["edge"]),
        planned=run.column(points, f"{axis}_setpoint"),
        energy=energy,
        mu=mu,
        sigma=sigma,
        foil=foil,
        foil_sigma=foil_sigma,
        time=np.array([point["time"] for point in points], dtype=np.float64),
        expected=int(run.start["num_points"]),
        exit_status=run.exit_status,
        readings=_others(points, device),
    )


def _light(
    run: _Run,
    chamber: str,
    device: str,
    dark: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
    energy: Array,
    pair_energy: float,
) -> tuple[Array, Array]:
    """Counts per second of one chamber without its dark, and their relative variance; NaN where there is no light."""
    seconds, dark_seconds = (run.column(events, f"{device}_counter_elapsed") for events in (points, [dark]))
    rate = run.column(points, f"{chamber}_counts") / seconds
    net = rate - run.column([dark], f"{chamber}_counts") / dark_seconds
    net = np.where(net > 0, net, np.nan)
    volts = run.column(points, f"{chamber}_voltage") - run.column([dark], f"{chamber}_voltage")
    gain = float(str(run.configured(device, f"{chamber}_gain")).split()[0])  # V/A
    photons = np.clip(volts, 1e-12, None) / gain * seconds / _ELEMENTARY_CHARGE * pair_energy / energy
    rounding = _ROUNDING * (1 / seconds**2 + 1 / dark_seconds**2) / net**2
    return net, 1 / photons + rounding


def _logarithm(before: tuple[Array, Array], behind: tuple[Array, Array]) -> tuple[Array, Array]:
    """ln(before / behind) and its standard deviation; the photons of two chambers are independent."""
    return np.log(before[0] / behind[0]), np.sqrt(before[1] + behind[1])


def _others(points: Sequence[Mapping[str, Any]], device: str) -> dict[str, Array]:
    """Every number that is not of the chambers, by its data key."""
    first = points[0]["data"]
    keys = [key for key, value in first.items() if isinstance(value, int | float) and not key.startswith(f"{device}_")]
    return {key: np.array([point["data"].get(key, np.nan) for point in points], dtype=np.float64) for key in keys}
