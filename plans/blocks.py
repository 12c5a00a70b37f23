"""Blocks of frames: darks, flats and projections, one event each."""

from collections.abc import Sequence
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator

from plans.protocols import FrameDetector

__all__ = ["frame_block", "save_block", "tomogram_block"]


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


def save_block(stream: str, detector: Readable[Any], *others: Readable[Any]) -> MsgGenerator[None]:
    """Write the block just taken, and what `others` read now, as one event of `stream`."""
    yield from bps.create(name=stream)
    for device in (detector, *others):
        yield from bps.read(device)
    yield from bps.save()
