"""What stands before the camera: the true state of the beamline at each exposure, and the image it makes."""

from collections.abc import Callable
from dataclasses import dataclass

from sim.area_detector import Exposure, Image
from sim.cell import Cell, oxidation
from sim.counters import Ring, Shutter
from sim.effects import Effects
from sim.exposure import Instrument, State
from sim.monochromator import Monochromator
from sim.motor_record import Motor
from sim.records import Record
from sim.simulation import Simulation

PHYSICS, READY_MADE = 0, 1


@dataclass(frozen=True)
class Parts:
    """The models that an exposure depends on."""

    motors: dict[str, Motor]
    mono: Monochromator
    shutter: Shutter
    photon_shutter: Shutter
    ring: Ring
    effects: Effects
    frames: Record
    cell: Cell


class Microscope:
    """Reads the true state of the beamline from its records and has the instrument make images of it."""

    attributes: tuple[str, ...] = ("RotationAngle", "Energy", "RingCurrent", "ShutterOpen")

    def __init__(self, simulation: Simulation, parts: Parts, instrument: Instrument) -> None:
        self.shape = simulation.shape
        self._simulation, self._parts, self._instrument = simulation, parts, instrument
        self._ready_made: list[Image] = []
        self._taken = 0

    def snapshot(self, exposure: Exposure) -> tuple[dict[str, float], Callable[[], Image]]:
        """Return what is read during an exposure, and a function that makes its image."""
        middle = exposure.begin + exposure.duration / 2
        place = {name: motor.position_at(middle) for name, motor in self._parts.motors.items()}
        rotation = self._parts.motors["sample:rot"]
        current = self._parts.ring.current()
        shutter = self._parts.shutter.open and self._parts.photon_shutter.open
        passed = self._parts.mono.throughput()
        state = State(
            energy=self._parts.mono.true_energy(middle),
            angle=place["sample:rot"],
            sweep=rotation.position_at(exposure.begin + exposure.duration) - rotation.position_at(exposure.begin),
            sample=(place["sample:x"] * 1e3, place["sample:y"] * 1e3, place["sample:z"]),
            zone_plate=(place["zp:x"] * 1e3, place["zp:y"] * 1e3, place["zp:z"]),
            camera=place["detector:z"],
            condenser=place["cond:z"],
            aperture=(place["osa:x"] * 1e3, place["osa:y"] * 1e3),
            beam=passed * current / self._parts.ring.nominal if shutter else 0.0,
            duration=exposure.duration,
            time=middle,
            binning=exposure.binning,
            gain=exposure.gain,
            oxidation=oxidation(self._parts.cell.soc()) if self._simulation.follows_cell else 1.0,
            effects=frozenset(name for name in Effects.names() if getattr(self._parts.effects, name)),
        )
        read = (place["sample:rot"], self._parts.mono.energy.value, current, float(shutter))
        attributes = dict(zip(self.attributes, map(float, read), strict=True))
        if self._parts.frames.value == READY_MADE:
            return attributes, lambda: self._prepared(state)
        return attributes, lambda: self._instrument.image(state)

    def _prepared(self, state: State) -> Image:
        """Return one of eight images made beforehand, for tests of throughput."""
        wanted = tuple(n // b for n, b in zip(self.shape, state.binning, strict=True))
        if not self._ready_made or self._ready_made[0].shape != wanted:
            self._ready_made = [self._instrument.image(state) for _ in range(8)]
        self._taken += 1
        return self._ready_made[self._taken % 8]
