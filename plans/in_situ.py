"""In situ absorption: spectra of one or several edges, one after the other, while a cell is charged or discharged."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Movable, Readable
from bluesky.utils import FailedStatus, MsgGenerator

from plans import blocks, guards
from plans.energy_scan import check_spectrum, energy_scan
from plans.errors import NotInPosition, PlanRefused
from plans.metadata import plan_metadata
from plans.protocols import Cycler

__all__ = ["in_situ"]

IDLE = "Idle"
LOOK_EVERY = 5.0  # s between two looks at the cell while the next round is waited for


def in_situ(
    chambers: Readable[Any],
    energy: Movable[float],
    shutter: Movable[str],
    cell: Movable[str],
    *,
    edges: dict[str, Sequence[tuple[float, float, float, float]]],
    current: float,
    step: Literal["charge", "discharge"] = "charge",
    upper_voltage: float | None = None,
    lower_voltage: float | None = None,
    end_current: float = 0.0,
    rounds: int | None = None,
    charge: float | None = None,
    voltage: float | None = None,
    duration: float | None = None,
    interval: float = 0.0,
    retries: int = 0,
    foil: Movable[str] | None = None,
    dark_exposure: float | None = None,
    energy_tolerance: float = 0.3,
    monitors: Sequence[Readable[Any]] = (),
    baseline: Sequence[Readable[Any]] = (),
    series_uid: str | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Start a step of the cycler and take rounds of spectra, each edge once per round, until the step or a limit ends.

    Each spectrum is a run of `energy_scan`, with the cell's state at each of its energies. One more run lasts from
    before the step to after it and holds the cell's record: its streams ``<signal>_monitor`` have voltage, current,
    charge and status whenever the cycler posts them, and ``primary`` the state before the step, after each round and
    after the step. All carry the same ``series_uid``. A round that has begun is finished. Whatever happens, the cycler
    ends stopped and the shutter closed; during a pause the cell goes on, and its record has a gap.

    Parameters
    ----------
    chambers, energy, shutter, foil, dark_exposure, energy_tolerance, monitors, baseline, md
        As for `energy_scan`.
    cell
        The cycler, set to "charge", "discharge" or "stop".
    edges
        Regions of each edge by its element, in the order in which they are taken, e.g.
        ``{"Ni": [(8200.0, 8320.0, 10.0, 1.0), ...]}``.
    current
        mA, its size.
    step
        What the cycler does.
    upper_voltage, lower_voltage
        V, at which the cycler ends the step by itself; None leaves what is set there.
    end_current
        mA; above 0 the cycler holds the last voltage until the current has fallen below this (CC-CV).
    rounds, charge, voltage, duration
        Further limits, the first that is met after a round ends the series: the number of rounds; mAh that have passed
        since the start; V; s.
    interval
        Least number of seconds from the start of a round to that of the next.
    retries
        How often a spectrum that failed (a motor that did not arrive, a counting that did not end) is begun again
        before the series ends with its error. A cycler that is silent or has tripped always ends it.
    series_uid
        Names the series; a new one by default. Give that of an interrupted series to continue it.

    Raises
    ------
    PlanRefused
        Before anything moves: no edges, what `energy_scan` refuses, settings that the cycler does not take, limits
        that are not above 0 or lie beyond the voltage at which the step ends.
    CellError
        By the cycler, at the next reading, when it is silent or has tripped.
    """
    series_uid = series_uid or str(uuid.uuid4())
    arguments = {
        "chambers": chambers, "energy": energy, "shutter": shutter, "cell": cell, "edges": edges, "current": current,
        "step": step, "upper_voltage": upper_voltage, "lower_voltage": lower_voltage, "end_current": end_current,
        "rounds": rounds, "charge": charge, "voltage": voltage, "duration": duration, "interval": interval,
        "retries": retries,
        "foil": foil, "dark_exposure": dark_exposure, "energy_tolerance": energy_tolerance, "monitors": list(monitors),
        "baseline": list(baseline), "series_uid": series_uid,
    }  # fmt: skip
    cycler = cast(Cycler, cell)
    limits = _Limits(rounds=rounds, charge=charge, voltage=voltage, duration=duration, rising=step == "charge")
    limits.check(upper_voltage if step == "charge" else lower_voltage)
    settings = {"current": guards.check_positive(current, name="current", unit="mA"), "end_current": end_current}
    bounds = {"upper_voltage": upper_voltage, "lower_voltage": lower_voltage}
    settings |= {name: value for name, value in bounds.items() if value is not None}
    guards.check_limits(cell, [settings, step])
    retries = guards.check_count(retries, name="retries", least=0)
    if not interval >= 0:
        raise PlanRefused(f"interval {interval} s is below 0 s")
    if not edges:
        raise PlanRefused("edges is empty: at least one element with its regions is needed")

    def spectrum(element: str, number: int) -> MsgGenerator[str]:
        return energy_scan(
            chambers, energy, shutter, element=element, regions=edges[element], foil=foil, dark_exposure=dark_exposure,
            energy_tolerance=energy_tolerance, monitors=[cycler, *monitors], baseline=baseline, series_uid=series_uid,
            md={**(md or {}), "round": number},
        )  # fmt: skip

    for element, regions in edges.items():
        check_spectrum(
            chambers, energy, element=element, regions=regions, foil=foil, dark_exposure=dark_exposure,
            energy_tolerance=energy_tolerance,
        )  # fmt: skip
    metadata = plan_metadata("in_situ", arguments, md) | {"series_uid": series_uid, "detectors": [cycler.name]}
    recorded = (cycler.voltage, cycler.current, cycler.charge, cycler.status)

    def one_round(number: int) -> MsgGenerator[None]:
        for element in edges:
            for left in reversed(range(retries + 1)):
                try:
                    yield from bpp.set_run_key_wrapper(spectrum(element, number), "spectrum")
                    break
                except (FailedStatus, NotInPosition):
                    if not left:
                        raise

    def until_a_limit() -> MsgGenerator[None]:
        yield from bps.prepare(cycler, settings, wait=True)
        before = yield from _kept_state(cycler)
        yield from bps.mv(cycler, step)
        start, number = time.monotonic(), 0
        while True:
            began = time.monotonic()
            yield from one_round(number)
            number += 1
            yield from bps.checkpoint()
            state = yield from _kept_state(cycler)
            while True:
                if state is None or before is None:  # a plan that is only looked at, not run
                    return
                elapsed = time.monotonic() - start
                if limits.reached(state, rounds=number, passed=abs(state.charge - before.charge), elapsed=elapsed):
                    return
                left = interval - (time.monotonic() - began)
                if left <= 0:
                    break
                yield from bps.sleep(min(left, LOOK_EVERY))
                state = yield from _state(cycler)

    @bpp.run_decorator(md=metadata)
    def series() -> MsgGenerator[None]:
        for signal in recorded:
            yield from bps.monitor(signal, name=f"{signal.name}_monitor")
        yield from bpp.finalize_wrapper(until_a_limit(), lambda: bps.mv(cycler, "stop"))
        yield from blocks.save_block("primary", cycler)
        for signal in recorded:
            yield from bps.unmonitor(signal)

    yield from bpp.set_run_key_wrapper(series(), "cell")
    return series_uid


@dataclass(frozen=True, slots=True)
class _CellState:
    """Voltage (V), charge (mAh) and status of the cell."""

    voltage: float
    charge: float
    status: str


def _kept_state(cell: Cycler) -> MsgGenerator[_CellState | None]:
    """The present state of the cell, kept as an event."""
    yield from blocks.save_block("primary", cell)
    return (yield from _state(cell))


def _state(cell: Cycler) -> MsgGenerator[_CellState | None]:
    """The present state of the cell; None in a plan that is only looked at."""
    reading = yield from bps.read(cell)
    if reading is None:
        return None
    voltage, charge, status = (reading[s.name]["value"] for s in (cell.voltage, cell.charge, cell.status))
    return _CellState(float(voltage), float(charge), str(status))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """What ends a series, beside the cycler itself."""

    rounds: int | None
    charge: float | None
    voltage: float | None
    duration: float | None
    rising: bool

    def check(self, last_voltage: float | None) -> None:
        """Refuse limits that are not above 0, and a voltage that is not reached before the step ends."""
        if self.rounds is not None:
            guards.check_count(self.rounds, name="rounds", least=1)
        for name, unit in (("charge", "mAh"), ("voltage", "V"), ("duration", "s")):
            if (value := getattr(self, name)) is not None:
                guards.check_positive(value, name=name, unit=unit)
        if self.voltage is not None and last_voltage is not None and self._beyond(self.voltage, last_voltage):
            raise PlanRefused(f"voltage {self.voltage} V is not reached: the step ends at {last_voltage} V")

    def reached(self, state: _CellState, *, rounds: int, passed: float, elapsed: float) -> bool:
        """Whether the series ends now, after `rounds` rounds, `passed` mAh and `elapsed` s."""
        return (
            state.status == IDLE
            or (self.rounds is not None and rounds >= self.rounds)
            or (self.charge is not None and passed >= self.charge)
            or (self.duration is not None and elapsed >= self.duration)
            or (self.voltage is not None and not self._beyond(self.voltage, state.voltage))
        )

    def _beyond(self, voltage: float, other: float) -> bool:
        return voltage > other if self.rising else voltage < other
