"""Energy-stepped tomography: a tomogram at each energy across an absorption edge."""

import uuid
from collections.abc import Sequence
from typing import Any, cast

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Movable, Readable, Triggerable
from bluesky.utils import MsgGenerator

from plans import blocks, guards
from plans.grids import check_grid
from plans.metadata import plan_metadata
from plans.protocols import Axis, Flown, FrameDetector
from plans.schedule import Order, Visit, schedule

__all__ = ["xanes_tomography"]


def xanes_tomography(
    detector: Readable[Any],
    energy: Movable[float],
    rotation: Movable[float],
    sample_x: Movable[float],
    shutter: Movable[str],
    *,
    energies: Sequence[float],
    angles: Sequence[float],
    exposure: float,
    sample_in: float,
    sample_out: float,
    flats: int = 10,
    darks: int = 10,
    fly: Triggerable | None = None,
    period: float | None = None,
    order: Order = "flats first",
    group: int = 1,
    energy_tolerance: float = 0.3,
    least_travel: float = 1e-3,
    monitors: Sequence[Readable[Any]] = (),
    baseline: Sequence[Readable[Any]] = (),
    series_uid: str | None = None,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Take a tomogram at each energy, with flats at each energy and darks once.

    The run has the streams ``dark``, ``flat``, ``primary`` (one event per tomogram: planned and read-back
    energy, pixel size, monitors, and the frames with their angles as external blocks) and ``baseline``. Before
    each exposure the energy read-back is compared with the plan. Whatever happens, the shutter ends closed and
    the sample back in place.

    Parameters
    ----------
    detector, energy, rotation, sample_x, shutter
        The detector, the energy axis (eV), the rotation (degrees), the axis that takes the sample out of the
        beam, and the fast shutter ("open" / "closed").
    energies
        Photon energies in eV, in the order they are to be taken: pre- and post-edge first is a good one.
    angles
        Rotation angles in degrees, in the order they are to be taken.
    exposure
        Seconds per frame.
    sample_in, sample_out
        Positions of `sample_x` with the sample in and out of the beam.
    flats, darks
        Frames of a flat (at each energy) and of a dark (once).
    fly
        Takes the angles of a tomogram in one turn of constant velocity, triggered by the encoder; they must then be
        evenly spaced. None stops at each angle.
    period
        Seconds from frame to frame in such a turn; the exposure when not given.
    order
        "flats first" takes the sample out and back once per visit, "alternating" one way only: flats come first in
        every second visit. Where the sample travels far, that halves the long ways.
    group
        Energies of one visit. More of them share the way of the sample; their flats are then older, and more is
        taken again when a visit is interrupted.
    energy_tolerance
        Largest distance in eV between read-back and plan at which frames are taken.
    least_travel
        Smallest distance between `sample_in` and `sample_out` that is believed to clear the beam.
    monitors
        Read with every block: ring current, incident flux, the cell.
    baseline
        Read once before and once after.
    series_uid
        Names the series this run belongs to; a new one by default. Give that of an interrupted run to continue it.
    md
        Further metadata.

    Raises
    ------
    PlanRefused
        Before anything moves: empty grids, duplicate or non-finite energies, energies or positions outside the
        limits, a sample-out position that is the sample-in position, an exposure or tolerance that is not above 0,
        too little room on the disk.
    NotInPosition
        When the energy read-back disagrees with the plan; nothing is exposed there.
    """
    series_uid = series_uid or str(uuid.uuid4())
    arguments = {
        "detector": detector, "energy": energy, "rotation": rotation, "sample_x": sample_x, "shutter": shutter,
        "energies": list(energies), "angles": list(angles), "exposure": exposure, "sample_in": sample_in,
        "sample_out": sample_out, "flats": flats, "darks": darks, "fly": fly, "period": period, "order": order,
        "group": group, "energy_tolerance": energy_tolerance, "least_travel": least_travel,
        "monitors": list(monitors), "baseline": list(baseline), "series_uid": series_uid,
    }  # fmt: skip
    energy_grid = check_grid("energies", energies, unit="eV", unique=True)
    angle_grid = check_grid("angles", angles, unit="deg", unique=False)
    visits = schedule(energy_grid, order=order, group=group)
    exposure = guards.check_positive(exposure, name="exposure", unit="s")
    energy_tolerance = guards.check_positive(energy_tolerance, name="energy_tolerance", unit="eV")
    flats = guards.check_count(flats, name="flats", least=1)
    darks = guards.check_count(darks, name="darks", least=1)
    guards.check_positions_differ(sample_in, sample_out, least=least_travel)
    period = max(exposure, guards.check_positive(exposure if period is None else period, name="period", unit="s"))
    flight = None if fly is None else blocks.flight(angle_grid, exposure=exposure, period=period)
    if flight is not None:
        guards.check_limits(fly, [flight])
    guards.check_limits(energy, energy_grid)
    guards.check_limits(rotation, angle_grid)
    guards.check_limits(sample_x, (sample_in, sample_out))
    camera, mono = cast(FrameDetector, detector), cast(Axis, energy)
    metadata = plan_metadata("xanes_tomography", arguments, md)
    metadata |= {
        "series_uid": series_uid,
        "detectors": [camera.name],
        "motors": [mono.name, cast(Axis, rotation).name],
        "hints": {"dimensions": [([mono.name], "primary")]},
    }
    frames = darks + len(energy_grid) * (flats + len(angle_grid))
    yield from guards.check_room(camera.writer.free_space, frames * camera.frame_bytes)

    def closed_and_in() -> MsgGenerator[None]:
        # The sample goes back even when the shutter does not close.
        yield from bpp.finalize_wrapper(bps.mv(shutter, "closed"), bps.mv(sample_x, sample_in))

    of_kind = {
        "flat": blocks.frame_block(camera, frames=flats, exposure=exposure),
        "primary": blocks.tomogram_block(camera, rotation, angles=angle_grid, exposure=exposure)
        if flight is None
        else blocks.flown_block(cast(Flown, fly), flight),
    }

    def one_visit(visit: Visit) -> MsgGenerator[None]:
        yield from bps.checkpoint()
        yield from bps.mv(shutter, "closed")
        at: float | None = None
        for kind, target in visit.blocks():
            aside = (sample_x, sample_out if kind == "flat" else sample_in)
            yield from blocks.make_ready(of_kind[kind], *([aside] if target == at else [(mono, target), aside]))
            at = target
            yield from guards.gate(mono, target, tolerance=energy_tolerance, unit="eV")
            yield from bps.mv(shutter, "open")
            yield from of_kind[kind].expose()
            yield from bps.mv(shutter, "closed")
            yield from blocks.save_block(kind, camera, mono, *monitors)

    @bpp.stage_decorator([camera] if fly is None else [camera, cast(Flown, fly)])
    @bpp.baseline_decorator(list(baseline))
    @bpp.run_decorator(md=metadata)
    def series() -> MsgGenerator[None]:
        dark = blocks.frame_block(camera, frames=darks, exposure=exposure)
        yield from blocks.make_ready(dark, (shutter, "closed"))
        yield from dark.expose()
        yield from blocks.save_block("dark", camera, *monitors)
        for visit in visits:
            yield from one_visit(visit)
        yield from bps.checkpoint()  # the last energy is complete: not to be taken again

    yield from bpp.finalize_wrapper(series(), closed_and_in)
    return series_uid
