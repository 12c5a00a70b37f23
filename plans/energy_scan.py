"""Bulk absorption: one transmission spectrum across an edge, with its foil measured in the same pass."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Movable, Readable
from bluesky.utils import FailedStatus, MsgGenerator

from plans import blocks, guards
from plans.grids import counted_grid
from plans.metadata import plan_metadata
from plans.protocols import Axis, Counters

__all__ = ["PlannedSpectrum", "check_spectrum", "energy_scan"]


BEAM_NEWS = 3.0  # s within which the word of a lost beam arrives


@dataclass(frozen=True, slots=True)
class PlannedSpectrum:
    """What a spectrum takes: energies (eV), seconds of counting at each, and seconds of the dark."""

    energies: list[float]
    seconds: list[float]
    dark: float


def check_spectrum(
    chambers: Readable[Any],
    energy: Movable[float],
    *,
    element: str,
    regions: Sequence[Sequence[float]],
    foil: Movable[str] | None = None,
    dark_exposure: float | None = None,
    energy_tolerance: float = 0.3,
) -> PlannedSpectrum:
    """Refuse, with `PlanRefused`, what `energy_scan` cannot carry out with these arguments; nothing moves."""
    energies, seconds = counted_grid(regions)
    guards.check_positive(energy_tolerance, name="energy_tolerance", unit="eV")
    dark = max(seconds) if dark_exposure is None else dark_exposure
    dark = guards.check_positive(dark, name="dark_exposure", unit="s")
    guards.check_limits(energy, energies)
    guards.check_limits(chambers, [{"exposure": time} for time in sorted({dark, *seconds})])
    if foil is not None:
        guards.check_limits(foil, [element])
    return PlannedSpectrum(energies, seconds, dark)


def energy_scan(
    chambers: Readable[Any],
    energy: Movable[float],
    shutter: Movable[str],
    *,
    element: str,
    regions: Sequence[tuple[float, float, float, float]],
    foil: Movable[str] | None = None,
    dark_exposure: float | None = None,
    energy_tolerance: float = 0.3,
    monitors: Sequence[Readable[Any]] = (),
    baseline: Sequence[Readable[Any]] = (),
    series_uid: str | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Count the ion chambers at each energy of a spectrum.

    The run has the streams ``dark`` (one event: the chambers with the shutter closed, and the foil), ``primary`` (one
    event per energy: planned and read-back energy, counts of all chambers, monitors) and ``baseline``. At each energy
    the read-back is compared with the plan before anything is counted. Whatever happens, the shutter ends closed.

    Parameters
    ----------
    chambers, energy, shutter
        The ion chambers, the energy axis (eV) and the fast shutter ("open" / "closed").
    element
        The metal whose K edge it is, e.g. "Ni".
    regions
        ``(first, last, step, seconds)`` each: energies in eV, increasing, and the counting time of each point.
    foil
        The wheel of reference foils before the last chamber: the foil of `element` is put in, so that the spectrum
        carries its own energy scale. None leaves whatever is there alone.
    dark_exposure
        Seconds for which the dark is counted; the longest counting time when not given.
    energy_tolerance
        Largest distance in eV between read-back and plan at which is counted.
    monitors
        Read at each energy: the cell, ring current, incident flux.
    baseline
        Read once before and once after.
    series_uid
        Names the series this spectrum belongs to; a new one by default.
    md
        Further metadata.

    Raises
    ------
    PlanRefused
        Before anything moves: no regions, regions that are not increasing, energies outside the limits, counting
        times or a tolerance not above 0 or beyond the counter, an element that the wheel has no foil of.
    NotInPosition
        When the energy read-back disagrees with the plan; nothing is counted there.
    """
    series_uid = series_uid or str(uuid.uuid4())
    arguments = {
        "chambers": chambers, "energy": energy, "shutter": shutter, "element": element, "regions": regions,
        "foil": foil, "dark_exposure": dark_exposure, "energy_tolerance": energy_tolerance, "monitors": list(monitors),
        "baseline": list(baseline), "series_uid": series_uid,
    }  # fmt: skip
    counters, mono = cast(Counters, chambers), cast(Axis, energy)
    planned = check_spectrum(
        chambers, energy, element=element, regions=regions, foil=foil, dark_exposure=dark_exposure,
        energy_tolerance=energy_tolerance,
    )  # fmt: skip
    metadata = plan_metadata("energy_scan", arguments, md) | {
        "series_uid": series_uid,
        "element": element,
        "edge": "K",
        "detectors": [counters.name],
        "motors": [mono.name],
        "num_points": len(planned.energies),
        "hints": {"dimensions": [([mono.name], "primary")]},
    }

    def point(target: float, exposure: float) -> MsgGenerator[None]:
        yield from bps.checkpoint()
        yield from bps.prepare(counters, {"exposure": exposure, "light": True}, wait=True)
        # A pause has closed the shutter, so it is opened for each point; while the energy moves this takes no time.
        yield from blocks.move_together((mono, target), (shutter, "open"))
        yield from guards.gate(mono, target, tolerance=energy_tolerance, unit="eV")
        yield from _counted(counters)
        yield from blocks.save_block("primary", counters, mono, *monitors)

    @bpp.stage_decorator([counters])
    @bpp.baseline_decorator(list(baseline))
    @bpp.run_decorator(md=metadata)
    def spectrum() -> MsgGenerator[None]:
        foils: list[tuple[Movable[Any], Any]] = [] if foil is None else [(foil, element)]
        yield from blocks.move_together((shutter, "closed"), (mono, planned.energies[0]), *foils)
        yield from bps.prepare(counters, {"exposure": planned.dark, "light": False}, wait=True)
        yield from bps.trigger(counters, wait=True)
        yield from blocks.save_block("dark", counters, *[cast(Readable[Any], wheel) for wheel, _ in foils])
        for target, exposure in zip(planned.energies, planned.seconds, strict=True):
            yield from point(target, exposure)
        yield from bps.checkpoint()  # the last energy is complete: not to be taken again

    yield from bpp.finalize_wrapper(spectrum(), bps.mv(shutter, "closed"))
    return series_uid


def _counted(counters: Counters) -> MsgGenerator[None]:
    """Count; once more when it fails, for the chambers see that the beam is lost before the ring says so.

    Where somebody watches the ring the plan is suspended during the sleep, and what follows is done with beam.
    """
    try:
        yield from bps.trigger(counters, wait=True)
    except FailedStatus:
        yield from bps.sleep(BEAM_NEWS)
        yield from bps.trigger(counters, wait=True)
