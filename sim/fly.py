"""Position-synchronised triggers: the rotation's encoder starts exposures while the motor turns.

As a PandA or a position-compare card does: armed with a first position, a step and a number, it starts the camera (in
TriggerMode External) each time the encoder passes the next position, and keeps position and time of each trigger.
"""

import asyncio
from typing import Any

import numpy as np

from sim.area_detector import Camera
from sim.clock import Clock
from sim.motor_record import Motor
from sim.records import HANDLED, Bank, Handled, Kind, Record

MOST = 10000
IDLE, ARMED = 0, 1


class PositionCompare:
    """The records ``fly:``: Start, Step, Points, Arm, Disarm, State, Triggers, Missed, Positions, Times.

    The put of ``Arm`` completes when all triggers were given or it was disarmed.

    Parameters
    ----------
    bank, prefix, clock
        Where, under which name, in whose time.
    motor : Motor
        Whose position is compared.
    camera : Camera
        Which is triggered.
    """

    def __init__(self, bank: Bank, prefix: str, clock: Clock, motor: Motor, camera: Camera) -> None:
        self._clock, self._motor, self._camera = clock, motor, camera
        self._task: asyncio.Task[None] | None = None
        self._moving = asyncio.Event()
        self._armed_at = 0.0
        motor.started.append(self._moving.set)
        self._start = bank.add(prefix + "Start", 0.0, units="deg", precision=5)
        self._step = bank.add(prefix + "Step", 1.0, units="deg", precision=5)
        self._points = bank.add(prefix + "Points", 180)
        self._arm = bank.add(prefix + "Arm", 0, Kind.SHORT, on_put=self._put_arm)
        bank.add(prefix + "Disarm", 0, Kind.SHORT, on_put=self._put_disarm)
        self.state = bank.add(prefix + "State", IDLE, enums=("Idle", "Armed"), read_only=True)
        self.triggers = bank.add(prefix + "Triggers", 0, read_only=True)
        self.missed = bank.add(prefix + "Missed", 0, read_only=True)
        array: dict[str, Any] = {"length": MOST, "read_only": True}
        self.positions = bank.add(prefix + "Positions", np.zeros(0), Kind.ARRAY, units="deg", **array)
        self.times = bank.add(prefix + "Times", np.zeros(0), Kind.ARRAY, units="s", **array)

    async def _put_arm(self, _record: Record, value: int) -> Handled:
        if value and (self._task is None or self._task.done()):
            await self._arm.post(1)
            self._task = asyncio.ensure_future(self._run())
            await asyncio.wait([self._task])
            await self._arm.post(0)
        elif not value:
            await self.disarm()
        return HANDLED

    async def _put_disarm(self, _record: Record, value: int) -> int:
        if value:
            await self.disarm()
        return 0

    async def disarm(self) -> None:
        """Give no more triggers."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        points = min(max(0, self._points.value), MOST)
        wanted = self._start.value + self._step.value * np.arange(points)
        passed: list[tuple[float, float]] = []
        await self.triggers.post(0)
        await self.missed.post(0)
        await self.state.post(ARMED)
        self._armed_at = self._clock.now()
        try:
            for position in wanted:
                moment = await self._passing(float(position))
                await self._clock.sleep_until(moment)
                passed.append((float(position), self._clock.timestamp(moment)))
                count = self.triggers if self._camera.trigger(moment) else self.missed
                await count.post(count.value + 1)
        finally:
            table = np.array(passed).reshape(-1, 2)
            await self.positions.post(table[:, 0])
            await self.times.post(table[:, 1])
            await self.state.post(IDLE)

    async def _passing(self, position: float) -> float:
        """Return the time at which the motor passes a position, waiting for a move that does after arming."""
        while not (moment := self._motor.moment_at(position)) >= self._armed_at:
            self._moving.clear()
            await self._moving.wait()
        return moment
