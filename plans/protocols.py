"""What the plans ask of a device beyond bluesky's own protocols.

Signatures of public plans name bluesky's protocols only, since those are what the queue server can check; inside,
these say the rest.
"""

from typing import Any, Protocol

from bluesky.protocols import Movable, Preparable, Readable, Stageable, Triggerable

__all__ = ["Axis", "Counters", "Cycler", "Flown", "FrameDetector", "FrameWriter"]


class Axis(Movable[float], Readable[Any], Protocol):
    """Something that moves and can be read back."""


class Flown(Triggerable, Preparable, Stageable, Protocol):
    """Something that turns the sample at constant velocity and triggers the detector at even angles."""


class FrameWriter(Protocol):
    """What writes the frames of a detector to disk."""

    free_space: Readable[Any]


class FrameDetector(Readable[Any], Triggerable, Preparable, Protocol):
    """A detector that takes blocks of frames into files."""

    writer: FrameWriter

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame on disk."""
        ...


class Counters(Readable[Any], Triggerable, Preparable, Protocol):
    """Counters that count together: prepared with ``exposure`` (s) and ``light`` (whether there must be some)."""


class Cycler(Movable[str], Readable[Any], Preparable, Protocol):
    """What cycles a cell: set to "charge", "discharge", "hold" or "stop"; its status is "Idle" when no step runs.

    Reading it fails when what it shows is not the present state of the cell.
    """

    voltage: Readable[Any]
    current: Readable[Any]
    charge: Readable[Any]
    status: Readable[Any]
