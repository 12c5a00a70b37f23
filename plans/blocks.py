"""Parts of a scan: axes that move together; blocks of darks, flats and projections, one event each."""

from collections.abc import Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator, short_uid

from plans.grids import check_even
from plans.protocols import Flown, FrameDetector

__all__ = ["flight", "flown_block", "frame_block", "move_together", "save_block", "tomogram_block"]


def move_together(*moves: tuple[Movable[Any], Any]) -> MsgGenerator[None]:
    """Move several axes at the same time and wait for all, also for the others when one fails.

    An axis that is still on its way when a plan cleans up would have its move superseded, and that would count as
    one more failure: the clean-up would end there.
    """
    groups = [short_uid("move") for _ in moves]
    for (axis, target), group in zip(moves, groups, strict=True):
        yield from bps.abs_set(axis, target, group=group)
    yield from _wait_for_each(groups)


def _wait_for_each(groups: Sequence[str]) -> MsgGenerator[None]:
    first, *others = groups
    if others:
        yield from bpp.finalize_wrapper(bps.wait(first), lambda: _wait_for_each(others))
    else:
        yield from bps.wait(first)


def frame_block(detector: FrameDetector, *, frames: int, exposure: float) -> MsgGenerator[None]:
    """Take `frames` frames in one go."""
    yield from bps.prepare(detector, {"frames": frames, "exposure": exposure}, wait=True)
    yield from bps.trigger(detector, wait=True)


def tomogram_block(
    detector: FrameDetector, rotation: Movable[float], *, angles: Sequence[float], exposure: float
) -> MsgGenerator[None]:
    """Take one frame at each angle (degrees), in the given order, into one block."""
    block = {"frames": len(angles), "per_trigger": 1, "exposure": exposure}
    yield from bps.abs_set(rotation, angles[0], group="ready")
    yield from bps.prepare(detector, block, group="ready")
    yield from bps.wait(group="ready")
    for angle in angles:
        yield from bps.mv(rotation, angle)
        yield from bps.trigger(detector, wait=True)


def flight(angles: Sequence[float], *, exposure: float, period: float) -> dict[str, float]:
    """One turn of constant velocity over evenly spaced angles (degrees), a frame of `exposure` s every `period` s."""
    check_even("angles", angles, unit="deg")
    step = (angles[-1] - angles[0]) / (len(angles) - 1)
    return {"start": angles[0], "step": step, "points": len(angles), "exposure": exposure, "period": period}


def flown_block(fly: Flown, turn: dict[str, float]) -> MsgGenerator[None]:
    """Take the frames of one turn (see `flight`) into one block."""
    yield from bps.prepare(fly, turn, wait=True)
    yield from bps.trigger(fly, wait=True)


def save_block(stream: str, detector: Readable[Any], *others: Readable[Any]) -> MsgGenerator[None]:
    """Write the block just taken, and what `others` read now, as one event of `stream`."""
    yield from bps.create(name=stream)
    for device in (detector, *others):
        yield from bps.read(device)
    yield from bps.save()
