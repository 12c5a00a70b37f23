"""Wait while the storage ring has no beam, then take again what it spoiled."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from bluesky.suspenders import SuspendFloor
from bluesky.utils import Msg

from devices.beam import Ring

if TYPE_CHECKING:
    from bluesky import RunEngine

__all__ = ["BeamGuard", "install_beam_guard"]

log = logging.getLogger("edgewise.beam")
HYSTERESIS = 1.2  # the beam is back at this many times the least current


class BeamGuard(SuspendFloor):
    """A suspender: below `least_current` a scan waits, its shutter closed.

    When the current is back above 1.2 times that, and `settle` seconds for the optics have passed, the scan goes on
    from its last checkpoint: a series takes the whole energy again, flats and all. The RunEngine calls itself
    "running" all the while; `state` says what is true.

    Parameters
    ----------
    ring
        The storage ring.
    least_current
        mA.
    settle
        Seconds.
    announce
        Told `state` whenever it changes; a line in the log by default.
    """

    def __init__(
        self, ring: Ring, *, least_current: float, settle: float, announce: Callable[[str], None] = log.warning
    ) -> None:
        resume = HYSTERESIS * least_current
        super().__init__(ring.current, least_current, resume_thresh=resume, sleep=settle)  # type: ignore[no-untyped-call]
        self.signal, self.least_current, self.settle = ring.current, least_current, settle
        self._announce = announce
        self._lost = self._back = 0.0  # POSIX times of the last loss and return; 0: never

    def __call__(self, value: float, **kwargs: Any) -> None:
        """Take a new ring current (mA)."""
        tripped = self.tripped
        super().__call__(value, **kwargs)  # type: ignore[no-untyped-call]
        if self.tripped is not tripped:
            if self.tripped:
                self._lost = time.time()
            else:
                self._back = time.time()
            self._announce(self.state)

    @property
    def state(self) -> str:
        """Whether there is beam, since when there is none, and until when the optics settle."""
        current = f"{float(self.signal.get()):.1f} mA"
        if self.tripped:
            return f"waiting for beam, {current}, since {_clock(self._lost)}"
        if self._back and time.time() < self._back + self.settle:
            return f"beam is back, {current}; the optics settle until {_clock(self._back + self.settle)}"
        return f"beam, {current}"

    def waiting(self) -> str:
        """`state` while a scan waits for the beam or its optics; an empty text otherwise."""
        return self.state if self.tripped or time.time() < self._back + self.settle else ""

    def is_dark(self) -> bool:
        """Whether the ring's own last word is that the current is too low, perhaps before a scan was told to wait."""
        return self.tripped or float(self.signal.get()) < self.least_current


def install_beam_guard(engine: "RunEngine", guard: BeamGuard) -> None:
    """Let `guard` suspend every plan of `engine`, and let no plan pass a checkpoint in the dark.

    The word of a lost beam takes some milliseconds from the ring to the RunEngine. A checkpoint passed within them
    would leave a point behind that was exposed in the dark, and would not be taken again.
    """
    take_checkpoint: Callable[[Msg], Awaitable[None]] = engine._checkpoint

    async def checkpoint(message: Msg) -> None:
        while guard.is_dark():
            await asyncio.sleep(0.02)  # the suspension ends this wait, and goes back to the checkpoint before
        await take_checkpoint(message)

    engine.register_command("checkpoint", checkpoint)
    engine.install_suspender(guard)


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))
