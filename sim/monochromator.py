"""The double-crystal monochromator: what it shows, what light it really lets through, and how much of it."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from sim import optics
from sim.clock import Clock
from sim.effects import Amplitudes, Effects
from sim.motor_record import Motor
from sim.records import Bank, PutRefusedError, Record

EXIT_OFFSET = 25.0  # mm between incoming and outgoing beam
ROCKING_WIDTH = 40.0  # urad, full width at half maximum, Si(111) at 8 keV folded with itself
SLIT_WIDTH = 0.6  # mm, full width at half maximum of what passes the exit slit


class Monochromator:
    """Two crystals: Bragg angle, gap (fixed exit) and pitch of the second crystal.

    Records: ``EnergyRBV`` (from the Bragg read-back and the calibration), ``DSpacing``, ``BraggOffset``,
    ``ExitOffset``. What the light really is follows the true angle, with the hidden calibration error and, each on
    its switch, backlash, slow drift and jitter.

    Parameters
    ----------
    bank, prefix, clock
        Where, under which name, in whose time.
    bragg, gap, pitch : Motor
        deg, mm, urad.
    effects, amplitudes
        Switches and strengths.
    bragg_error : float
        True Bragg angle minus the one shown, deg.
    seed : int
        Of the jitter.
    """

    def __init__(
        self,
        bank: Bank,
        prefix: str,
        clock: Clock,
        *,
        bragg: Motor,
        gap: Motor,
        pitch: Motor,
        effects: Effects,
        amplitudes: Amplitudes,
        bragg_error: float,
        seed: int,
    ) -> None:
        self.fault: str | None = None
        self._clock, self._bragg, self._gap, self._pitch = clock, bragg, gap, pitch
        self._effects, self._amplitudes, self._error = effects, amplitudes, bragg_error
        self._jitter = np.random.default_rng([seed, 3])
        calibration: dict[str, Any] = {"on_put": self._recalibrate}
        self.spacing = bank.add(prefix + "DSpacing", optics.SILICON_111, units="A", precision=5, **calibration)
        self.offset = bank.add(prefix + "BraggOffset", 0.0, units="deg", precision=6, **calibration)
        self.exit_offset = bank.add(prefix + "ExitOffset", EXIT_OFFSET, units="mm", read_only=True)
        self.energy = bank.add(prefix + "EnergyRBV", self._read(), units="eV", precision=3, read_only=True)
        self.followers: list[Callable[[], Awaitable[None]]] = []
        bragg.moved.append(self.show)

    FAULTS = ("off_energy",)

    def _read(self) -> float:
        shown = optics.bragg_energy(self._bragg.position + self.offset.value, self.spacing.value)
        return shown + (5.0 if self.fault == "off_energy" else 0.0)

    async def show(self) -> None:
        """Post the energy read-back and what follows it."""
        await self.energy.post(self._read())
        for follow in self.followers:
            await follow()

    async def _recalibrate(self, record: Record, value: float) -> float:
        if record is self.spacing and not 0.5 <= value <= 20:
            raise PutRefusedError(f"{record.name}: {value} A is outside 0.5..20 A")
        if record is self.offset and not abs(value) <= 1:
            raise PutRefusedError(f"{record.name}: {value} deg is outside -1..1 deg")
        record.value = value
        await self.show()
        return value

    def true_energy(self, moment: float, *, jitter: bool = True) -> float:
        """Return the energy (eV) of the light at a beamline time, which the read-back need not show."""
        size = self._amplitudes
        angle = self._bragg.position_at(moment) + self._error
        if self._effects.backlash:
            angle += 0.5 * size.backlash * (1 if self._bragg.tdir.value else -1)
        energy = optics.bragg_energy(angle)
        if self._effects.energy_drift:
            energy += size.energy_drift * math.sin(2 * math.pi * moment / 7200)
        if jitter and self._effects.energy_jitter:
            energy += size.energy_jitter * float(self._jitter.standard_normal())
        return energy

    def throughput(self) -> float:
        """Return the part of the beam that passes, 0..1, for the present pitch and gap."""
        passed = 1.0
        if self._effects.rocking_curve:
            thermal = self._amplitudes.pitch_drift * math.sin(2 * math.pi * self._clock.now() / 3600)
            passed *= _bell(self._pitch.position - thermal, ROCKING_WIDTH)
        if self._effects.fixed_exit:
            exit_now = 2 * self._gap.position * math.cos(math.radians(self._bragg.position))
            passed *= _bell(exit_now - EXIT_OFFSET, SLIT_WIDTH)
        return passed


def fixed_exit_gap(bragg: float) -> float:
    """Return the gap (mm) that keeps the exit beam in place at a Bragg angle (deg).

    Examples
    --------
    >>> round(fixed_exit_gap(13.7246), 4)
    12.8674
    """
    return EXIT_OFFSET / (2 * math.cos(math.radians(bragg)))


def _bell(distance: float, width: float) -> float:
    return math.exp(-4 * math.log(2) * (distance / width) ** 2)
