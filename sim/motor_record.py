"""The EPICS motor record: its fields, and what puts to them do."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from sim.clock import Clock
from sim.motion import Motion
from sim.records import HANDLED, Bank, Handled, Kind, Record, Severity

STOP, PAUSE, MOVE, GO = range(4)
MSTA_DIRECTION, MSTA_DONE, MSTA_HIGH_LIMIT, MSTA_PROBLEM, MSTA_MOVING, MSTA_LOW_LIMIT = (
    1,
    2,
    4,
    512,
    1024,
    8192,
)
FAULTS = ("stuck", "stall", "limit", "alarm", "no_dmov")


class Motor:
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
    units, velocity, acceleration, limits, precision, start
        EGU; per second; ACCL in s; soft limits (low, high) or (0, 0) for none; PREC; position at the start.
    deadband : float
        RDBD, the tolerance that the read-back is meant to reach.
    """

    def __init__(
        self,
        bank: Bank,
        name: str,
        clock: Clock,
        *,
        units: str = "mm",
        velocity: float = 1.0,
        acceleration: float = 0.1,
        limits: tuple[float, float] = (-100.0, 100.0),
        precision: int = 4,
        start: float = 0.0,
        deadband: float = 1e-4,
        description: str = "",
    ) -> None:
        self.name, self._clock, self._bank = name, clock, bank
        self.fault: str | None = None
        self.moved: list[Callable[[], Awaitable[None]]] = []
        self.started: list[Callable[[], None]] = []
        self._history = deque([Motion(start, start, velocity, acceleration, clock.now())], maxlen=16)
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()  # two puts at once must not both start a motion
        self._superseded = False  # a new target has come before this motion was over
        self._poll = 0.05
        self._add_positions(units, precision, limits, start)
        self._add_motion(units, precision, velocity, acceleration, deadband)
        self._add_status()
        self._add_commands()
        for field, text in (("DESC", description or name), ("RTYP", "motor"), ("EGU", units)):
            self._add(field, text)

    def _add(self, field: str, value: Any, kind: Kind | None = None, **metadata: Any) -> Record:
        return self._bank.add(f"{self.name}.{field}", value, kind, **metadata)

    def _add_positions(self, units: str, precision: int, limits: tuple[float, float], start: float) -> None:
        shown: dict[str, Any] = {"units": units, "precision": precision}
        self.val = self._add("VAL", start, on_put=self._put_val, limits=limits, **shown)
        self._bank.alias(self.name, self.val)
        self.rbv = self._add("RBV", start, read_only=True, limits=limits, **shown)
        self.drbv = self._add("DRBV", start, read_only=True, **shown)
        self.dval = self._add("DVAL", start, on_put=self._put_dval, **shown)
        self.offset = self._add("OFF", 0.0, on_put=self._put_offset, **shown)
        self.direction = self._add("DIR", 0, enums=("Pos", "Neg"), on_put=self._put_direction)
        self.freeze_offset = self._add("FOFF", 0, enums=("Variable", "Frozen"))
        self.set_mode = self._add("SET", 0, enums=("Use", "Set"))
        self.high_limit = self._add("HLM", limits[1], on_put=self._put_limit, **shown)
        self.low_limit = self._add("LLM", limits[0], on_put=self._put_limit, **shown)
        self.dial_high_limit = self._add("DHLM", limits[1], read_only=True, **shown)
        self.dial_low_limit = self._add("DLLM", limits[0], read_only=True, **shown)

    def _add_motion(self, units: str, precision: int, velocity: float, acceleration: float, deadband: float) -> None:
        rate: dict[str, Any] = {"units": f"{units}/s", "precision": precision}
        self.velocity = self._add("VELO", velocity, on_put=self._put_positive, **rate)
        self._add("VBAS", 0.0, **rate)
        self._add("VMAX", 0.0, **rate)
        self.acceleration = self._add("ACCL", acceleration, units="s", on_put=self._put_positive)
        self._add("PREC", precision, Kind.SHORT)
        self._add("MRES", deadband / 10 or 1e-5, units=units, precision=8)
        self._add("RDBD", deadband, units=units, precision=precision)
        self._add("BDST", 0.0, units=units)
        self._add("DLY", 0.0, units="s")

    def _add_status(self) -> None:
        def flag(field: str, value: int = 0) -> Record:
            return self._add(field, value, Kind.SHORT, read_only=True)

        self.dmov, self.movn = flag("DMOV", 1), flag("MOVN")
        self.hls, self.lls, self.lvio = flag("HLS"), flag("LLS"), flag("LVIO")
        self.tdir, self.miss, self.severity = flag("TDIR"), flag("MISS"), flag("SEVR")
        self.stat = flag("STAT")
        self.msta = self._add("MSTA", MSTA_DONE, read_only=True)

    def _add_commands(self) -> None:
        self.spmg = self._add("SPMG", GO, enums=("Stop", "Pause", "Move", "Go"), on_put=self._put_spmg)
        self.stop = self._add("STOP", 0, Kind.SHORT, on_put=self._put_stop)
        for field in ("HOMF", "HOMR"):
            self._add(field, 0, Kind.SHORT, on_put=self._put_home)
        self.jog_forward = self._add("JOGF", 0, Kind.SHORT, on_put=self._put_jog)
        self.jog_reverse = self._add("JOGR", 0, Kind.SHORT, on_put=self._put_jog)
        self.tweak = self._add("TWV", 0.1)
        self.tweak_forward = self._add("TWF", 0, Kind.SHORT, on_put=self._put_tweak)
        self.tweak_reverse = self._add("TWR", 0, Kind.SHORT, on_put=self._put_tweak)
        self._add("RLV", 0.0, on_put=self._put_relative)

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
            self._task = asyncio.ensure_future(self._run(target))
            return self._task

    async def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _halt(self) -> None:
        if self.moving:
            await self._cancel()
            await self._hold()

    async def _run(self, target: float) -> None:
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
