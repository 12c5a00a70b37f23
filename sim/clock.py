"""The time of a simulated beamline: seconds of motion and exposure, compressed by a speed factor."""

import asyncio
import time


class Clock:
    """Monotonic beamline time that runs `speed` times faster than the wall.

    Positions, exposures and the decay of the ring follow beamline time; time stamps stay wall-clock time.

    Parameters
    ----------
    speed : float
        Beamline seconds per wall-clock second, > 0.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = check_speed(speed)
        self._origin = 0.0
        self._wall = time.monotonic()

    @property
    def speed(self) -> float:
        """Beamline seconds per wall-clock second."""
        return self._speed

    @speed.setter
    def speed(self, value: float) -> None:
        now = self.now()
        self._speed = check_speed(value)
        self._origin, self._wall = now, time.monotonic()

    def now(self) -> float:
        """Return the beamline time in s."""
        return self._origin + (time.monotonic() - self._wall) * self._speed

    def wall(self, duration: float) -> float:
        """Return how many wall-clock seconds a beamline duration takes."""
        return duration / self._speed

    def timestamp(self, moment: float) -> float:
        """Return the wall-clock time (POSIX s) of a beamline time."""
        return time.time() + (moment - self.now()) / self._speed

    async def sleep_until(self, moment: float) -> None:
        """Sleep until the beamline time, also when the speed changes meanwhile."""
        while (left := moment - self.now()) > 0:
            await asyncio.sleep(min(self.wall(left), 0.5))

    async def sleep(self, duration: float) -> None:
        """Sleep for a beamline duration in s."""
        await self.sleep_until(self.now() + duration)

    async def pause(self, duration: float) -> None:
        """Sleep for a beamline duration (s), but 0.2..5 s of wall time: between two posts of a reading."""
        await asyncio.sleep(min(max(0.2, self.wall(duration)), 5.0))


def check_speed(speed: float) -> float:
    """Return the speed factor, or raise ValueError when it is not within 1e-3..1e6."""
    if not 1e-3 <= speed <= 1e6:
        raise ValueError(f"simulation speed {speed} is outside 0.001..1000000")
    return float(speed)
