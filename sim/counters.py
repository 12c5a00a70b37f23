"""The small records of the beamline: shutter, ring current, flux monitor."""

import math
from collections.abc import Callable

import numpy as np

from sim.clock import Clock
from sim.records import Bank, Record

CLOSED, OPEN = 0, 1
NO_BEAM, STORED = 0, 1


class Shutter:
    """A shutter: ``Cmd`` (Close, Open) and ``Sts`` (Closed, Open), which follows after `delay` s.

    The fault "stuck" leaves ``Sts`` where it is.
    """

    FAULTS = ("stuck",)

    def __init__(self, bank: Bank, prefix: str, clock: Clock, *, delay: float = 0.02, start: int = CLOSED) -> None:
        self.fault: str | None = None
        self._clock, self._delay = clock, delay
        self.command = bank.add(prefix + "Cmd", start, enums=("Close", "Open"), on_put=self._put)
        self.status = bank.add(prefix + "Sts", start, enums=("Closed", "Open"), read_only=True)

    @property
    def open(self) -> bool:
        """Whether light passes."""
        return bool(self.status.value == OPEN)

    async def _put(self, _record: Record, value: int) -> None:
        await self._clock.sleep(self._delay)
        if self.fault != "stuck":
            await self.status.post(value)


class Ring:
    """The storage ring: ``Current`` (mA, decays and is topped up) and ``Status``; the fault "dump" takes the beam.

    Parameters
    ----------
    bank, prefix, clock
        Where, under which name, in whose time.
    nominal : float
        Current after a top-up, mA.
    lifetime : float
        s.
    top_up : float
        Current at which the ring is filled up again, mA.
    decays : callable () -> bool
        Whether the current decays at all.
    """

    FAULTS = ("dump",)

    def __init__(
        self,
        bank: Bank,
        prefix: str,
        clock: Clock,
        *,
        decays: Callable[[], bool],
        nominal: float = 500.0,
        lifetime: float = 9 * 3600.0,
        top_up: float = 490.0,
    ) -> None:
        self.fault: str | None = None
        self._clock, self._decays = clock, decays
        self.nominal, self._lifetime, self._top_up = nominal, lifetime, top_up
        self._period = lifetime * math.log(nominal / top_up)
        self._last = clock.now()
        self.current_record = bank.add(prefix + "Current", nominal, units="mA", precision=3, read_only=True)
        self.status = bank.add(prefix + "Status", STORED, enums=("No beam", "Stored beam"), read_only=True)
        bank.startups.append(self._run)

    def current(self) -> float:
        """Return the present current in mA."""
        if self.fault == "dump":
            return 0.0
        if not self._decays():
            return self.nominal
        return self.nominal * math.exp(-(self._clock.now() % self._period) / self._lifetime)

    async def refresh(self) -> None:
        """Post current and status."""
        current = self.current()
        await self.current_record.post(current)
        status = STORED if current > 1 else NO_BEAM
        if status != self.status.value:
            await self.status.post(status)

    async def _run(self) -> None:
        while True:
            await self.refresh()
            await self._clock.pause(1.0)


class FluxMonitor:
    """The incident flux before the shutter, ``Rate`` (photons/s on the frame), with its counting noise."""

    def __init__(self, bank: Bank, prefix: str, clock: Clock, *, rate: Callable[[], float], seed: int) -> None:
        self._clock, self._rate = clock, rate
        self._noise = np.random.default_rng([seed, 7])
        self.record = bank.add(prefix + "Rate", rate(), units="ph/s", precision=0, read_only=True)
        bank.startups.append(self._run)

    async def refresh(self) -> None:
        """Post the present rate."""
        rate = self._rate()
        await self.record.post(max(0.0, rate * (1 + 1e-4 * self._noise.standard_normal())))

    async def _run(self) -> None:
        while True:
            await self.refresh()
            await self._clock.pause(1.0)
