"""A tomogram in one flight: the rotation turns at constant speed while its encoder triggers the camera.

Two ways to use it. ``prepare`` and ``trigger`` take a whole flight as one block, which the detector then gives like any
other block: one event per tomogram. ``prepare``, ``kickoff``, ``complete`` and ``collect`` are bluesky's flyer
interface: a stream of its own with one row per frame.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from ophyd import Component as Cpt
from ophyd import Device, EpicsSignal, EpicsSignalRO
from ophyd.status import DeviceStatus, StatusBase

from devices.detector import Detector
from devices.errors import FlyError, LimitError
from devices.motors import Motor
from devices.status import fail, fail_on_disconnect, finish, put_if_connected, run_beside

__all__ = ["Flight", "FlyScan"]


@dataclass(frozen=True, slots=True)
class Flight:
    """One constant-velocity turn.

    Attributes
    ----------
    start, step : float
        Angle of the first trigger and distance to the next, degrees; a negative step turns backwards.
    points : int
        Number of triggers.
    exposure, period : float
        Seconds per frame, and from frame to frame; the camera must read out in between.
    """

    start: float
    step: float
    points: int
    exposure: float
    period: float

    @classmethod
    def of(cls, value: dict[str, float]) -> Self:
        """The flight that a mapping of these fields describes; ``period`` is the exposure when it is not given."""
        return cls(
            float(value["start"]), float(value["step"]), int(value["points"]), float(value["exposure"]),
            float(value.get("period", value["exposure"])),
        )  # fmt: skip

    @property
    def velocity(self) -> float:
        """Degrees per second."""
        return abs(self.step) / self.period

    def way(self, acceleration: float) -> tuple[float, float]:
        """Where the turn begins and ends (degrees): `acceleration` seconds and half a step beyond the exposures.

        >>> Flight(start=0.0, step=1.0, points=180, exposure=0.1, period=0.2).way(acceleration=0.4)
        (-1.5, 181.0)
        """
        sense = math.copysign(1.0, self.step)
        ramp = self.velocity * acceleration / 2 + abs(self.step) / 2
        last = self.start + self.step * (self.points - 1) + sense * self.velocity * self.exposure
        return self.start - sense * ramp, last + sense * ramp


class FlyScan(Device):
    """Position-compare triggers on the rotation for the camera.

    A flight succeeds when the rotation has arrived, no trigger was missed and every frame is in the file. Otherwise it
    fails with the reason, the rotation and the camera are stopped, and the triggers are disarmed. The velocity
    of the rotation is put back in either case.

    Parameters
    ----------
    rotation : Motor
    detector : Detector
    """

    start = Cpt(EpicsSignal, "Start", kind="config")
    step = Cpt(EpicsSignal, "Step", kind="config")
    points = Cpt(EpicsSignal, "Points", kind="config")
    arm = Cpt(EpicsSignal, "Arm", kind="omitted")
    disarm = Cpt(EpicsSignal, "Disarm", kind="omitted")
    state = Cpt(EpicsSignalRO, "State", string=True, kind="omitted", auto_monitor=True)
    triggers = Cpt(EpicsSignalRO, "Triggers", kind="normal")
    missed = Cpt(EpicsSignalRO, "Missed", kind="normal")
    positions = Cpt(EpicsSignalRO, "Positions", kind="omitted")
    times = Cpt(EpicsSignalRO, "Times", kind="omitted")

    margin = 10.0  # s beyond the flight before it has failed

    def __init__(self, prefix: str, *, name: str, rotation: Motor, detector: Detector, **kwargs: Any) -> None:
        self._rotation, self._detector = rotation, detector
        self._flight: Flight | None = None
        self._usual_velocity: float | None = None
        self._turn: StatusBase | None = None
        self._frames: StatusBase | None = None
        self._under_way: list[StatusBase] = []
        self._preparing = threading.Lock()
        self._acting = threading.Lock()  # between a pause and what a flight sets going
        self._pauses = 0
        super().__init__(prefix, name=name, **kwargs)

    def check_value(self, value: dict[str, float]) -> None:
        """Refuse what `prepare` would refuse, before anything moves."""
        self.check_flight(Flight.of(value))

    def check_flight(self, flight: Flight) -> None:
        """Refuse a flight that is empty, too fast, or leaves the limits of the rotation."""
        if flight.points < 1 or flight.step == 0 or not 0 < flight.exposure <= flight.period:
            raise LimitError(f"{self.name} cannot fly {flight}: it needs points, a step, and 0 < exposure <= period")
        fastest = self._usual_velocity or float(self._rotation.velocity.get())
        if flight.velocity > fastest:
            raise LimitError(
                f"{self.name} velocity {flight.velocity:.4g} deg/s is above {fastest:.4g} deg/s of"
                f" {self._rotation.name}: {abs(flight.step):.4g} deg in {flight.period:.4g} s"
            )
        for position in flight.way(float(self._rotation.acceleration.get())):
            self._rotation.check_value(position)

    def prepare(self, value: dict[str, float]) -> StatusBase:
        """Turn to where the flight begins, open the file, and load the triggers.

        A second call, as after a pause, waits for the first and replaces its flight.

        Parameters
        ----------
        value : dict
            The fields of `Flight`; ``period`` defaults to the exposure.
        """
        flight = Flight.of(value)
        self.check_flight(flight)
        begin, _ = flight.way(float(self._rotation.acceleration.get()))
        status = DeviceStatus(self)
        self._under_way = [status]
        turn = self._rotation.set(begin)

        def work() -> None:
            with self._preparing:
                block = {"frames": flight.points, "exposure": flight.exposure, "period": flight.period}
                opened = self._detector.prepare({**block, "hardware_triggers": True})
                self.disarm.put(1, wait=True)
                for signal, number in (
                    (self.start, flight.start),
                    (self.step, flight.step),
                    (self.points, flight.points),
                ):
                    signal.set(number, timeout=5).wait(5)
                opened.wait(30)
                turn.wait()  # a motor's move has a limit of its own
                self._flight = flight

        run_beside(work, status, f"prepare {self.name}")
        return status

    def kickoff(self) -> StatusBase:
        """Arm the triggers and the camera, then let the rotation turn; done when it does."""
        flight = self._flight
        if flight is None:
            raise FlyError(f"{self.name} was started before a flight was prepared")
        self._flight = None
        status, pauses = DeviceStatus(self), self._pauses
        self._under_way.append(status)

        def work() -> None:
            _, end = flight.way(float(self._rotation.acceleration.get()))
            with self._unless_paused(pauses):
                self._usual_velocity = float(self._rotation.velocity.get())
                self._rotation.velocity.set(flight.velocity, timeout=5).wait(5)
                limit = self._rotation.travel_time(end) + self.margin
                self._frames = self._detector.acquire(limit)
                self.arm.put(1, wait=False)
            self._wait_until_armed()
            with self._unless_paused(pauses):
                self._turn = self._rotation.set(end)

        def clean(_: StatusBase) -> None:
            if status.exception() is not None and pauses == self._pauses:  # a pause has made safe by itself
                self._make_safe(failed=True)

        status.add_callback(clean)
        run_beside(work, status, f"kickoff {self.name}")
        return status

    def complete(self) -> StatusBase:
        """Wait for the flight to end; fails as soon as anything in it does."""
        turn, frames = self._turn, self._frames
        if turn is None or frames is None:
            raise FlyError(f"{self.name} was to be completed, but was not started")
        self._turn = self._frames = None
        status = DeviceStatus(self)
        fail_on_disconnect(status, self.state)

        def turned(_: StatusBase) -> None:
            if (reason := turn.exception()) is not None:
                fail(status, reason)
            elif missed := int(self.missed.get()):
                fail(status, self._missed(missed))

        def taken(_: StatusBase) -> None:
            if (reason := frames.exception()) is not None:
                fail(status, reason)
            else:
                turn.add_callback(lambda _: finish(status) if turn.exception() is None else None)

        self._under_way += [status, turn, frames]
        status.add_callback(lambda _: self._make_safe(failed=status.exception() is not None))
        turn.add_callback(turned)
        frames.add_callback(taken)
        return status

    def trigger(self) -> StatusBase:
        """The whole flight as one block of frames."""
        status = DeviceStatus(self)
        self._under_way = [status]

        def work() -> None:
            self.kickoff().wait(30)
            self.complete().wait()  # has limits of its own

        run_beside(work, status, f"fly {self.name}")
        return status

    def pause(self) -> None:
        """End a flight without an error: the RunEngine calls this when a plan pauses, which then flies again."""
        with self._acting:
            self._pauses += 1
            under_way = [s for s in (*self._under_way, self._turn, self._frames) if s is not None and not s.done]
            self._under_way, self._turn, self._frames = [], None, None
        if under_way:
            for status in under_way:
                finish(status)
            self._rotation.stop(success=True)
            self._make_safe(failed=True)

    @contextmanager
    def _unless_paused(self, pauses: int) -> Iterator[None]:
        """Keep a pause from coming in between; nothing is set going any more for a flight from before the last one."""
        with self._acting:
            if pauses != self._pauses:
                raise FlyError(f"{self.name} was paused before it flew")
            yield

    def resume(self) -> None:
        """Nothing: the plan prepares the flight anew. The RunEngine pauses only what can also resume."""

    def unstage(self) -> list[object]:
        """Put the velocity of the rotation back and disarm the triggers."""
        self._make_safe(failed=False)
        put_if_connected(self.disarm, 1)
        return list(super().unstage())

    def describe_collect(self) -> dict[str, Any]:
        """Data keys of the stream of a flight: one row per frame."""
        return self._detector.describe_block(1)

    def get_index(self) -> int:
        """Frames that can be collected."""
        return int(self.triggers.get()) if self._detector.get_index() else 0

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Point to the frames of the flight, each a row."""
        if index != 0:
            yield from self._detector.point_to_block(rows=int(self._detector.frames.get()))

    def _missed(self, missed: int) -> FlyError:
        return FlyError(
            f"{self.name}: {missed} of {int(self.points.get())} triggers came while the camera was busy or not waiting;"
            " a longer period is needed"
        )

    def _wait_until_armed(self) -> None:
        ready = threading.Event()

        def look(**_: Any) -> None:
            if self.state.get() == "Armed" and self._detector.cam.acquire.get():
                ready.set()

        watched = (self.state, self._detector.cam.acquire)
        tokens = [(signal, signal.subscribe(look, run=True)) for signal in watched]
        try:
            if not ready.wait(5.0):
                raise FlyError(f"{self.name}: triggers {self.state.get()}, camera not waiting for them within 5 s")
        finally:
            for signal, token in tokens:
                signal.unsubscribe(token)

    def _make_safe(self, *, failed: bool) -> None:
        """Put the velocity back; after a failure also stop rotation, triggers and camera."""
        if failed:
            put_if_connected(self.disarm, 1)
            put_if_connected(self._rotation.motor_stop, 1)
            put_if_connected(self._detector.cam.acquire, 0)
        velocity, self._usual_velocity = self._usual_velocity, None
        if velocity is not None:
            put_if_connected(self._rotation.velocity, velocity)
