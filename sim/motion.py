"""Where a motor is at a moment: a move with trapezoidal velocity."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Motion:
    """A move with constant acceleration, constant velocity and constant deceleration.

    Parameters
    ----------
    start, target : float
        Positions.
    velocity : float
        Speed of the constant part, per second, > 0.
    acceleration_time : float
        Seconds from rest to `velocity`, as the motor record's ACCL.
    begin : float
        Beamline time at which the move begins, s.
    """

    start: float
    target: float
    velocity: float
    acceleration_time: float
    begin: float = 0.0

    @property
    def ramp(self) -> float:
        """Seconds of acceleration; shorter when the way is too short for full velocity."""
        full = max(self.acceleration_time, 1e-6)
        return min(full, math.sqrt(self.distance * full / self.velocity))

    @property
    def distance(self) -> float:
        """Length of the way."""
        return abs(self.target - self.start)

    @property
    def duration(self) -> float:
        """Seconds from rest to rest.

        Examples
        --------
        >>> Motion(0.0, 2.0, velocity=1.0, acceleration_time=0.1).duration
        2.1
        """
        top = self.velocity * self.ramp / max(self.acceleration_time, 1e-6)
        return 0.0 if self.distance == 0 else self.ramp + self.distance / top

    def position(self, moment: float) -> float:
        """Return the position at a beamline time; start before the move, target after it."""
        elapsed = moment - self.begin
        if elapsed <= 0:
            return self.start
        if elapsed >= self.duration:
            return self.target
        acceleration, ramp = self.velocity / max(self.acceleration_time, 1e-6), self.ramp
        remaining = self.duration - elapsed
        if elapsed < ramp:
            way = acceleration * elapsed**2 / 2
        elif remaining < ramp:
            way = self.distance - acceleration * remaining**2 / 2
        else:
            way = acceleration * ramp * (elapsed - ramp / 2)
        return self.start + math.copysign(way, self.target - self.start)

    def moment(self, position: float) -> float:
        """Return the beamline time at which the move passes a position, or NaN when it does not.

        Examples
        --------
        >>> Motion(0.0, 2.0, velocity=1.0, acceleration_time=0.1, begin=5.0).moment(1.0)
        6.05
        """
        way = (position - self.start) * math.copysign(1.0, self.target - self.start)
        if not 0 <= way <= self.distance or self.distance == 0:
            return math.nan
        acceleration, ramp = self.velocity / max(self.acceleration_time, 1e-6), self.ramp
        rise = acceleration * ramp**2 / 2
        if way < rise:
            return self.begin + math.sqrt(2 * way / acceleration)
        if way > self.distance - rise:
            return self.begin + self.duration - math.sqrt(2 * (self.distance - way) / acceleration)
        return self.begin + way / (acceleration * ramp) + ramp / 2
