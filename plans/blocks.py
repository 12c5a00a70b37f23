"""Parts of a scan: axes that move together; blocks of darks, flats and projections, one event each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Movable, Preparable, Readable
from bluesky.utils import IllegalMessageSequence, MsgGenerator, short_uid

from plans.grids import check_even
from plans.protocols import Flown, FrameDetector

__all__ = [
    "Block",
    "flight",
    "flown_block",
    "frame_block",
    "make_ready",
    "move_together",
    "save_block",
    "tomogram_block",
]


def move_together(*moves: tuple[Movable[Any], Any]) -> MsgGenerator[None]:
    """Move several axes at the same time and wait for all, also for the others when one fails.

    An axis that is still on its way when a plan cleans up would have its move superseded, and that would count as
    one more failure: the clean-up would end there.
    """
    if not moves:
        return
    (axis, target), *others = moves
    group = short_uid("move")

    def begin() -> MsgGenerator[None]:
        yield from bps.abs_set(axis, target, group=group)
        yield from move_together(*others)

    # What fails can be heard at any message, also while others are still being sent on their way.
    yield from bpp.finalize_wrapper(begin(), lambda: bps.wait(group))


@dataclass(frozen=True, slots=True)
class Block:
    """How a block of frames is taken.

    Attributes
    ----------
    device, settings
        What is prepared for it, and how.
    expose
        Takes the frames once everything is ready.
    moves
        Axes and where they must stand at the first frame.
    """

    device: Preparable
    settings: Mapping[str, float]
    expose: Callable[[], MsgGenerator[None]]
    moves: tuple[tuple[Movable[float], float], ...] = ()


def frame_block(detector: FrameDetector, *, frames: int, exposure: float) -> Block:
    """`frames` frames in one go."""

    def expose() -> MsgGenerator[None]:
        yield from bps.trigger(detector, wait=True)

    return Block(detector, {"frames": frames, "exposure": exposure}, expose)


def tomogram_block(
    detector: FrameDetector, rotation: Movable[float], *, angles: Sequence[float], exposure: float
) -> Block:
    """One frame at each angle (degrees), in the given order, in one block."""

    def expose() -> MsgGenerator[None]:
        for angle in angles:
            yield from bps.mv(rotation, angle)
            yield from bps.trigger(detector, wait=True)

    settings = {"frames": len(angles), "per_trigger": 1, "exposure": exposure}
    return Block(detector, settings, expose, ((rotation, angles[0]),))


def flown_block(fly: Flown, turn: dict[str, float]) -> Block:
    """The frames of one turn (see `flight`) in one block."""

    def expose() -> MsgGenerator[None]:
        yield from bps.trigger(fly, wait=True)

    return Block(fly, turn, expose)


def make_ready(block: Block, *moves: tuple[Movable[Any], Any]) -> MsgGenerator[None]:
    """Prepare a block and move axes, all at the same time, so that nothing is left to do while the shutter is open."""
    group = short_uid("prepare")

    def begin() -> MsgGenerator[None]:
        yield from bps.prepare(block.device, block.settings, group=group)
        yield from move_together(*block.moves, *moves)

    yield from bpp.finalize_wrapper(begin(), lambda: bps.wait(group))


def flight(angles: Sequence[float], *, exposure: float, period: float) -> dict[str, float]:
    """One turn of constant velocity over evenly spaced angles (degrees), a frame of `exposure` s every `period` s."""
    check_even("angles", angles, unit="deg")
    step = (angles[-1] - angles[0]) / (len(angles) - 1)
    return {"start": angles[0], "step": step, "points": len(angles), "exposure": exposure, "period": period}


def save_block(stream: str, detector: Readable[Any], *others: Readable[Any]) -> MsgGenerator[None]:
    """Write the block just taken, and what `others` read now, as one event of `stream`."""
    yield from bps.create(name=stream)
    yield from bpp.contingency_wrapper(_read_each(detector, *others), except_plan=lambda _: _drop())
    yield from bps.save()


def _read_each(*devices: Readable[Any]) -> MsgGenerator[None]:
    for device in devices:
        yield from bps.read(device)


def _drop() -> MsgGenerator[None]:
    """Leave the event that was being read: while it is open the clean-up could write none of its own."""
    try:
        yield from bps.drop()
    except IllegalMessageSequence:
        return  # a pause has dropped it already
