"""The EPICS motor record: what puts to its fields do, and how it moves."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable

from sim.clock import Clock
from sim.motion import Motion
from sim.motor_fields import MSTA_DONE, MotorFields, MotorSettings
from sim.records import HANDLED, Bank, Handled, OnPut, Record, Severity

STOP, PAUSE = 0, 1  # of SPMG; Move and Go let motions begin
MSTA_DIRECTION, MSTA_HIGH_LIMIT, MSTA_PROBLEM = 1, 4, 512
MSTA_MOVING, MSTA_LOW_LIMIT = 1024, 8192
FAULTS = ("stuck", "stall", "limit", "alarm", "no_dmov")


class Motor(MotorFields):
    """A motor record with the fields that ophyd's ``EpicsMotor`` and display panels use.

    Every put to ``.VAL`` gives a 1-0-1 pulse of DMOV, the present position included; RBV is final before DMOV
    returns to 1; the put completes at the end of the motion. Beyond the soft limits LVIO is set and nothing
    moves.

    Parameters
    ----------
    bank : Bank
        Where the records go.
    name : str
        Name of the record, which is also an alias of ``.VAL``.
    clock : Clock
        Beamline time.
    settings : MotorSettings
        Units, velocity, limits and so on.
    """

    def __init__(self, bank: Bank, name: str, clock: Clock, settings: MotorSettings | None = None) -> None:
        settings = settings or MotorSettings()
        super().__init__(bank, name, settings)
        self._clock = clock
        self.fault: str | None = None
        self.moved: list[Callable[[], Awaitable[None]]] = []
        self.started: list[Callable[[], None]] = []
        rest = Motion(settings.start, settings.start, settings.velocity, settings.acceleration, clock.now())
        self._history = deque([rest], maxlen=16)
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()  # two puts at once must not both start a motion
        self._under_way = False
        self._superseded = False  # a new target has come before this motion was over
        self._poll = 0.05
        for record, action in self._actions():
            record.on_put = action

    def _actions(self) -> list[tuple[Record, OnPut]]:
        return [
            (self.val, self._put_val),
            (self.dval, self._put_dval),
            (self.offset, self._put_offset),
            (self.direction, self._put_direction),
            (self.high_limit, self._put_limit),
            (self.low_limit, self._put_limit),
            (self.velocity, self._put_positive),
            (self.acceleration, self._put_positive),
            (self.spmg, self._put_spmg),
            (self.stop, self._put_stop),
            (self.home_forward, self._put_home),
            (self.home_reverse, self._put_home),
            (self.jog_forward, self._put_jog),
            (self.jog_reverse, self._put_jog),
            (self.tweak_forward, self._put_tweak),
            (self.tweak_reverse, self._put_tweak),
            (self.relative, self._put_relative),
        ]

    # --- coordinates

    @property
    def dial(self) -> float:
        """Present dial position."""
        return self._history[-1].position(self._clock.now())

    @property
    def position(self) -> float:
        """Present position in user coordinates."""
        return self.user(self.dial)

    def position_at(self, moment: float) -> float:
        """Return the user position at a beamline time, back to some moves ago."""
        motion = next((m for m in reversed(self._history) if m.begin <= moment), self._history[0])
        return self.user(motion.position(moment))

    @property
    def moving(self) -> bool:
        """Whether a move is under way."""
        return self._task is not None and not self._task.done()

    def moment_at(self, position: float) -> float:
        """Return the beamline time at which the present move passes a user position, or NaN."""
        return self._history[-1].moment(self.to_dial(position)) if self.moving else math.nan

    def user(self, dial: float) -> float:
        """Return the user coordinate of a dial position."""
        return float((-dial if self.direction.value else dial) + self.offset.value)

    def to_dial(self, user: float) -> float:
        """Return the dial coordinate of a user position."""
        return float((user - self.offset.value) * (-1 if self.direction.value else 1))

    async def _post_position(self, severity: Severity | None = None) -> None:
        await self.drbv.post(self.dial)
        await self.rbv.post(self.position, severity)
        for hook in self.moved:
            await hook()

    async def _hold(self) -> None:
        """Take the present position as the demanded one."""
        await self.dval.post(self.dial)
        await self.val.post(self.position)

    # --- puts

    async def _put_val(self, _record: Record, value: float) -> Handled:
        if self.set_mode.value:
            await self._redefine(value)
            return HANDLED
        if not self.within_limits(value) or self.spmg.value in (STOP, PAUSE):
            await self._refuse(value)
            return HANDLED
        if self.lvio.value:
            await self.lvio.post(0)
        task = await self._start(self.to_dial(value))
        await self.val.post(value)
        await self.dval.post(self.to_dial(value))
        await asyncio.wait([task])
        return HANDLED

    def within_limits(self, value: float) -> bool:
        """Whether a user position is within the soft limits (none when low >= high)."""
        if not math.isfinite(value):
            return False
        low, high = self.low_limit.value, self.high_limit.value
        return bool(low >= high or low <= value <= high)

    async def _refuse(self, value: float) -> None:
        await self.lvio.post(int(not self.within_limits(value)))
        await self.dmov.post(0)
        await self.val.post(self.val.value)
        await self.dmov.post(1)

    async def _redefine(self, value: float) -> None:
        dial = self.dial
        if self.freeze_offset.value:
            self._rest_at(self.to_dial(value))
        else:
            await self.offset.post(value - (-dial if self.direction.value else dial))
            await self._shift_limits()
        await self.dmov.post(0)
        await self._post_position()
        await self._hold()
        await self.dmov.post(1)

    async def _shift_limits(self) -> None:
        limits = sorted((self.user(self.dial_low_limit.value), self.user(self.dial_high_limit.value)))
        await self._post_limits(limits[0], limits[1])

    async def _post_limits(self, low: float, high: float) -> None:
        await self.low_limit.post(low)
        await self.high_limit.post(high)
        for record in (self.val, self.rbv):
            await record.set_metadata(limits=(low, high))

    async def _put_limit(self, record: Record, value: float) -> Handled:
        low, high = self.low_limit.value, self.high_limit.value
        low, high = (value, high) if record is self.low_limit else (low, value)
        await self._post_limits(low, high)
        dial = sorted((self.to_dial(low), self.to_dial(high)))
        await self.dial_low_limit.post(dial[0])
        await self.dial_high_limit.post(dial[1])
        return HANDLED

    async def _put_offset(self, record: Record, value: float) -> Handled:
        await record.post(value)
        await self._shift_limits()
        await self._post_position()
        await self._hold()
        return HANDLED

    async def _put_direction(self, record: Record, value: int) -> Handled:
        return await self._put_offset(record, value)

    async def _put_dval(self, _record: Record, value: float) -> Handled:
        await self.val.put(self.user(value))
        return HANDLED

    async def _put_positive(self, record: Record, value: float) -> float:
        return value if value > 0 and math.isfinite(value) else float(record.value)

    async def _put_spmg(self, _record: Record, value: int) -> None:
        if value in (STOP, PAUSE):
            await self._halt()

    async def _put_stop(self, _record: Record, value: int) -> int:
        if value:
            await self._halt()
        return 0

    async def _put_home(self, _record: Record, value: int) -> int:
        if value:
            await self.val.put(self.user(0.0))
        return 0

    async def _put_jog(self, record: Record, value: int) -> None:
        if value:
            end = self.high_limit.value if record is self.jog_forward else self.low_limit.value
            await self._start(self.to_dial(end))
        else:
            await self._halt()

    async def _put_tweak(self, record: Record, value: int) -> int:
        if value:
            step = self.tweak.value if record is self.tweak_forward else -self.tweak.value
            await self.val.put(self.val.value + step)
        return 0

    async def _put_relative(self, _record: Record, value: float) -> float:
        await self.val.put(self.val.value + value)
        return 0.0

    # --- motion

    def _rest_at(self, dial: float) -> None:
        rest = Motion(dial, dial, self.velocity.value, self.acceleration.value, self._clock.now())
        self._history.append(rest)

    async def _start(self, target: float) -> asyncio.Task[None]:
        async with self._starting:
            self._superseded = self.moving
            await self._cancel()
            self._superseded = False
            await self.tdir.post(int(target > self.dial))
            await self.dmov.post(0)
            await self.movn.post(1)
            await self.msta.post(MSTA_MOVING | (MSTA_DIRECTION if target > self.dial else 0))
            self._under_way = False
            self._task = asyncio.ensure_future(self._run(target))
            return self._task

    async def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._under_way and not self._superseded:  # cancelled before its first step: nobody said done
                await self._finish(upwards=True)

    async def _halt(self) -> None:
        if self.moving:
            await self._cancel()
            await self._hold()

    async def _run(self, target: float) -> None:
        self._under_way = True
        start, now = self.dial, self._clock.now()
        motion = Motion(start, target, self.velocity.value, self.acceleration.value, now)
        if self.fault == "stuck":
            motion = Motion(start, start, 1.0, 1.0, now)
        end = now + motion.duration
        if self.fault in ("stall", "limit"):
            end -= motion.duration / 2
        self._history.append(motion)
        for begin in self.started:
            begin()
        try:
            if self.fault == "stuck":
                await asyncio.Event().wait()
            while (left := end - self._clock.now()) > 0:
                await self._post_position()
                await asyncio.sleep(min(self._poll, self._clock.wall(left)))
            self._rest_at(motion.position(end) if self.fault else target)
            await self._clock.sleep(self.delay.value)
        except asyncio.CancelledError:
            self._rest_at(motion.position(min(end, self._clock.now())))
            raise
        finally:
            await self._finish(motion.target > motion.start)

    async def _finish(self, upwards: bool) -> None:
        """Post the end of a motion, DMOV last: the read-back is final when DMOV is 1."""
        at_limit = self.fault == "limit"
        await self.hls.post(int(at_limit and upwards))
        await self.lls.post(int(at_limit and not upwards))
        alarm = at_limit or self.fault == "alarm"
        await self.severity.post(int(Severity.MAJOR if alarm else Severity.NO_ALARM))
        await self._post_position(Severity.MAJOR if alarm else Severity.NO_ALARM)
        if self.fault in ("stall", "limit"):
            await self._hold()
        await self.movn.post(0)
        limit = (MSTA_HIGH_LIMIT if upwards else MSTA_LOW_LIMIT) if at_limit else 0
        await self.msta.post(MSTA_DONE | limit | (MSTA_PROBLEM if alarm else 0))
        if self.fault != "no_dmov" and not self._superseded:  # a new target: DMOV stays 0, as in the record
            await self.dmov.post(1)
