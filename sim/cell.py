"""A battery cell on a cycler: voltage and charge over time, and the valence its metals have at a state of charge.

The first charge of a lithium-rich layered oxide: the metals oxidise along the slope up to 4.5 V, then a plateau on
which the metals hardly move and oxygen gives the charge (Zhang et al., supplementary figure 6).
"""

import asyncio
import math
from typing import Any

import numpy as np

from sim.clock import Clock
from sim.records import Bank, PutRefusedError, Record, Severity

STOP, CHARGE, DISCHARGE, HOLD = range(4)
IDLE, CHARGING, DISCHARGING, HOLDING, FAULT = range(5)
CAPACITY = 300.0  # mAh/g from 0 to 1
PLATEAU = 0.42  # state of charge at which the 4.5 V plateau begins
SAFE_VOLTAGE = 5.0
HOLD_STEP = 10.0  # s; while a voltage is held the current is followed in steps of at most this
OPEN_CIRCUIT = {
    CHARGING: (
        (0.0, 3.05),
        (0.02, 3.65),
        (0.10, 3.88),
        (0.25, 4.15),
        (0.38, 4.40),
        (0.42, 4.48),
        (0.5, 4.50),
        (0.9, 4.56),
        (1.0, 4.80),
    ),
    DISCHARGING: ((0.0, 2.0), (0.06, 2.9), (0.25, 3.35), (0.5, 3.65), (0.8, 4.05), (0.95, 4.45), (1.0, 4.75)),
}
# valence pristine, at the start of the plateau, fully charged
METALS = {"Mn": (4.0, 4.0, 4.0), "Co": (3.0, 3.45, 3.5), "Ni": (2.0, 3.5, 3.6)}


def metal_valence(element: str, state_of_charge: float) -> float:
    """Return the mean valence of a metal at a state of charge 0..1: the metals first, then the plateau.

    Examples
    --------
    >>> metal_valence("Ni", 0.21), metal_valence("Mn", 0.9)
    (2.75, 4.0)
    """
    return float(np.interp(state_of_charge, (0.0, PLATEAU, 1.0), METALS[element]))


def oxidation(state_of_charge: float) -> float:
    """Return how far the metals' oxidation has come, 0 pristine to 1 charged: nearly all of it before the plateau."""
    return float(np.interp(state_of_charge, (0.0, PLATEAU, 1.0), (0.0, 0.94, 1.0)))


class Cell:
    """The records ``cell:`` of a cycler with one cell.

    ``Cmd`` (Stop, Charge, Discharge, Hold) starts a step with ``CurrentSet`` (mA). A charge or discharge ends by itself
    at ``UpperVoltage`` or ``LowerVoltage``; with an ``EndCurrent`` (mA) above 0 that voltage is held first, until the
    current has fallen below it (CC-CV). Hold keeps the present voltage. Read back: ``Voltage``, ``Current``,
    ``Charge``, ``StateOfCharge`` and ``Status``.

    Faults: "silent" (nothing is posted any more), "over_voltage" (the voltage runs away and the cycler trips), "open"
    (no current flows).
    """

    FAULTS = ("silent", "over_voltage", "open")

    def __init__(self, bank: Bank, prefix: str, clock: Clock, *, mass: float = 7.0, resistance: float = 40.0) -> None:
        self.fault: str | None = None
        self._clock, self._resistance = clock, resistance
        self._charge, self._last, self._branch = 0.0, clock.now(), CHARGING
        self._held, self._ends = 0.0, False  # V while holding; whether that ends at the end current
        self.command = bank.add(prefix + "Cmd", STOP, enums=("Stop", "Charge", "Discharge", "Hold"), on_put=self._put)
        states = ("Idle", "Charging", "Discharging", "Holding", "Fault")
        self.status = bank.add(prefix + "Status", IDLE, enums=states, read_only=True)
        current: dict[str, Any] = {"units": "mA", "limits": (0.0, 100.0), "on_put": self._put_current}
        self.current_set = bank.add(prefix + "CurrentSet", 0.1, **current)
        self.end_current = bank.add(prefix + "EndCurrent", 0.0, **{**current, "on_put": self._put_end_current})
        voltage: dict[str, Any] = {"units": "V", "limits": (0.0, SAFE_VOLTAGE), "on_put": self._put_voltage}
        self.upper = bank.add(prefix + "UpperVoltage", 4.8, **voltage)
        self.lower = bank.add(prefix + "LowerVoltage", 2.0, **voltage)
        self.mass = bank.add(prefix + "Mass", mass, units="mg", read_only=True)
        self.voltage = bank.add(prefix + "Voltage", self._voltage(0.0), units="V", read_only=True)
        self.current = bank.add(prefix + "Current", 0.0, units="mA", read_only=True)
        self.charge = bank.add(prefix + "Charge", 0.0, units="mAh", precision=6, read_only=True)
        self.state_of_charge = bank.add(prefix + "StateOfCharge", 0.0, precision=5, read_only=True)
        bank.startups.append(self._run)

    @property
    def capacity(self) -> float:
        """Charge between the states of charge 0 and 1, mAh."""
        return float(CAPACITY * self.mass.value * 1e-3)

    def soc(self) -> float:
        """Return the present state of charge, 0..1."""
        return min(max(self._charge / self.capacity, 0.0), 1.0)

    def _voltage(self, current: float) -> float:
        if self.fault == "over_voltage":
            return SAFE_VOLTAGE + 0.3
        return self._open_circuit() + current * 1e-3 * self._resistance

    def _open_circuit(self) -> float:
        return float(np.interp(self.soc(), *np.transpose(OPEN_CIRCUIT[self._branch])))

    def _flowing(self) -> float:
        """Return the present current in mA, positive while charging."""
        if self.fault == "open":
            return 0.0
        most = float(self.current_set.value)
        if self.status.value == HOLDING:
            return min(max((self._held - self._open_circuit()) / self._resistance * 1e3, -most), most)
        return {CHARGING: 1.0, DISCHARGING: -1.0}.get(self.status.value, 0.0) * most

    async def _put(self, _record: Record, value: int) -> None:
        self._advance()
        if self.status.value == FAULT and value != STOP:
            raise PutRefusedError(f"{self.command.name}: the cycler has tripped; put Stop first")
        self._held, self._ends = self._voltage(self._flowing()), False
        self._branch = {CHARGE: CHARGING, DISCHARGE: DISCHARGING}.get(value, self._branch)
        await self.status.post((IDLE, CHARGING, DISCHARGING, HOLDING)[value], Severity.NO_ALARM)
        await self.refresh()

    async def _put_current(self, record: Record, value: float) -> None:
        if not 0 < value <= 100:
            raise PutRefusedError(f"{record.name}: {value} mA is outside 0..100 mA")
        self._advance()

    async def _put_end_current(self, record: Record, value: float) -> None:
        if not 0 <= value <= 100:
            raise PutRefusedError(f"{record.name}: {value} mA is outside 0..100 mA")

    async def _put_voltage(self, record: Record, value: float) -> None:
        if not 0 <= value <= SAFE_VOLTAGE:
            raise PutRefusedError(f"{record.name}: {value} V is outside 0..{SAFE_VOLTAGE} V")

    def _advance(self) -> None:
        """Add the charge that has flowed since the last call."""
        now = self._clock.now()
        parts = math.ceil((now - self._last) / HOLD_STEP) if self.status.value == HOLDING else 1
        for _ in range(parts):
            self._charge += self._flowing() * (now - self._last) / parts / 3600
            self._charge = min(max(self._charge, 0.0), self.capacity)
        self._last = now

    async def refresh(self) -> None:
        """Post voltage, current and charge; end the step at its limits."""
        self._advance()
        if self.fault == "silent":
            return
        current = self._flowing()
        voltage = self._voltage(current)
        if voltage > SAFE_VOLTAGE:
            await self.status.post(FAULT, Severity.MAJOR)
        elif self.status.value == HOLDING:
            if self._ends and abs(current) <= self.end_current.value:
                await self._end_step()
        elif (current > 0 and voltage >= self.upper.value) or (current < 0 and voltage <= self.lower.value):
            if self.end_current.value > 0:
                self._held = voltage = float((self.upper if current > 0 else self.lower).value)
                self._ends = True
                await self.status.post(HOLDING)
            else:
                await self._end_step()
        await self.voltage.post(voltage, Severity.MAJOR if voltage > SAFE_VOLTAGE else Severity.NO_ALARM)
        await self.current.post(self._flowing())
        await self.charge.post(self._charge)
        await self.state_of_charge.post(self.soc())

    async def _end_step(self) -> None:
        await self.status.post(IDLE)
        await self.command.post(STOP)

    async def _run(self) -> None:
        while True:
            await self.refresh()
            step = self.capacity / max(abs(self._flowing()), 1e-9) * 3600 / 2000
            await asyncio.sleep(min(max(self._clock.wall(min(step, 1.0)), 0.05), 1.0))
