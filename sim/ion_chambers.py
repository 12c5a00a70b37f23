"""The bulk absorption station: ion chambers with amplifiers, a sample pellet, a reference foil, and a counter.

The light passes ion chamber 0, the pellet, ion chamber 1, a foil of one of its metals, ion chamber 2.
"""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from sim.absorption import Material, attenuation, k_edge, resolution_nodes
from sim.clock import Clock
from sim.optics import SILICON_111_BANDWIDTH
from sim.records import HANDLED, Bank, Handled, Kind, Record, Severity
from sim.references import foil

Array = npt.NDArray[np.float64]
ELECTRON = 1.602176634e-19  # C
PAIR_ENERGY = 35.0  # eV per ion pair in nitrogen
STOPPED = (0.1, 0.5, 0.9)  # part of the light that each chamber absorbs
CHAMBERS = ("ic0", "ic1", "ic2")
GAINS = tuple(f"1e{n} V/A" for n in range(3, 12))
FULL_SCALE = 10.0  # V
FREQUENCY = 1e5  # counts per second and volt
FOIL_DENSITY = {"Mn": 7.21, "Co": 8.90, "Ni": 8.908}  # g/cm3


class Foil:
    """A wheel of metal foils: ``foil:Cmd``, ``foil:Sts`` (Out, Mn, Co, Ni). The fault "missing" leaves a hole."""

    FAULTS = ("missing", "stuck")

    def __init__(self, bank: Bank, prefix: str, element: str, *, thickness: float = 4.0) -> None:
        self.fault: str | None = None
        self._thickness = thickness
        places = ("Out", *FOIL_DENSITY)
        self.command = bank.add(prefix + "Cmd", places.index(element), enums=places, on_put=self._put)
        self.status = bank.add(prefix + "Sts", places.index(element), enums=places, read_only=True)

    async def _put(self, _record: Record, value: int) -> None:
        if self.fault != "stuck":
            await self.status.post(value)

    def absorbance(self, energy: Array) -> Array:
        """Return mu t at energies (eV); 0 when no foil is in, or it is missing."""
        if not self.status.value or self.fault == "missing":
            return np.zeros_like(energy)
        element = ("Out", *FOIL_DENSITY)[self.status.value]
        edge = k_edge(element)
        specific = edge.rest(energy) + edge.step(energy) * foil(element).at(energy)
        return np.asarray(specific * FOIL_DENSITY[element] * self._thickness * 1e-4)


class IonChambers:
    """Records ``ic0: ic1: ic2:`` (Gain, Offset, Voltage, Overload, Counts) and ``counter:``.

    ``counter:Count`` 1 counts for ``counter:Preset`` seconds; the put completes when ``icN:Counts`` are posted.

    Parameters
    ----------
    bank, prefix, clock
        Where, under which name, in whose time.
    materials : sequence of Material
        Of the pellet: one per metal whose edge follows its valence.
    foil : Foil
        Between the last two chambers.
    energy, flux : callable () -> float
        True energy (eV), photons/s before the first chamber.
    valence : callable (element) -> float
        Mean valence of a metal in the pellet.
    thickness : float
        Of the pellet, um of full density.
    seed : int
        Of the noise.
    """

    FAULTS = ("dead",)

    def __init__(
        self,
        bank: Bank,
        prefix: str,
        clock: Clock,
        *,
        materials: Sequence[Material],
        foil: Foil,
        energy: Callable[[], float],
        flux: Callable[[], float],
        valence: Callable[[str], float],
        thickness: float = 35.0,
        seed: int = 1,
    ) -> None:
        self.fault: str | None = None
        self._bank, self._prefix, self._clock = bank, prefix, clock
        self._materials, self._foil, self._thickness = tuple(materials), foil, thickness
        self._energy, self._flux, self._valence = energy, flux, valence
        self._noise = np.random.default_rng([seed, 11])
        for name in CHAMBERS:
            bank.add(f"{prefix}{name}:Gain", GAINS.index("1e8 V/A"), enums=GAINS)
            bank.add(f"{prefix}{name}:Offset", 0.002, units="V")
            bank.add(f"{prefix}{name}:Voltage", 0.0, units="V", read_only=True)
            bank.add(f"{prefix}{name}:Overload", 0, enums=("OK", "Overload"), read_only=True)
            bank.add(f"{prefix}{name}:Counts", 0.0, precision=0, read_only=True)
        self.preset = bank.add(prefix + "counter:Preset", 1.0, units="s")
        self.elapsed = bank.add(prefix + "counter:Elapsed", 0.0, units="s", read_only=True)
        self.count = bank.add(prefix + "counter:Count", 0, Kind.SHORT, on_put=self._put_count)
        self._task: asyncio.Task[None] | None = None
        bank.startups.append(self._run)

    def photons(self) -> Array:
        """Return the photons per second that enter each chamber, averaged over the bandwidth."""
        energies, weights = resolution_nodes(self._energy(), SILICON_111_BANDWIDTH)
        valences = [self._valence(material.element) for material in self._materials]
        pellet = attenuation(self._materials, valences, energies) * self._thickness
        behind = [np.zeros_like(energies), pellet, pellet + self._foil.absorbance(energies)]
        passed = np.cumprod([1.0, 1 - STOPPED[0], 1 - STOPPED[1]])
        return np.array([self._flux() * p * (weights @ np.exp(-b)) for p, b in zip(passed, behind, strict=True)])

    def voltages(self, duration: float) -> Array:
        """Return the amplifiers' output (V) averaged over a duration (s), with photon noise, clipped at full scale."""
        stopped = self.photons() * np.array(STOPPED)
        counted = np.maximum(stopped + np.sqrt(stopped / duration) * self._noise.standard_normal(3), 0.0)
        current = counted * self._energy() / PAIR_ENERGY * ELECTRON
        gain = np.array([10.0 ** (self._record(name, "Gain").value + 3) for name in CHAMBERS])
        offset = np.array([self._record(name, "Offset").value for name in CHAMBERS])
        alive = 0.0 if self.fault == "dead" else 1.0
        return np.asarray(np.clip(alive * current * gain + offset, -FULL_SCALE, FULL_SCALE))

    def _record(self, chamber: str, name: str) -> Record:
        return self._bank[f"{self._prefix}{chamber}:{name}"]

    async def _post(self, voltages: Array) -> None:
        for name, voltage in zip(CHAMBERS, voltages, strict=True):
            over = abs(voltage) >= FULL_SCALE
            await self._record(name, "Voltage").post(float(voltage), Severity.MAJOR if over else Severity.NO_ALARM)
            await self._record(name, "Overload").post(int(over))

    async def _put_count(self, _record: Record, value: int) -> Handled:
        if value and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._counting())
            await asyncio.wait([self._task])
        elif not value and self._task is not None:
            self._task.cancel()
        return HANDLED

    async def _counting(self) -> None:
        duration = max(float(self.preset.value), 1e-3)
        await self.count.post(1)
        try:
            await self._clock.sleep(duration)
            voltages = self.voltages(duration)
            await self._post(voltages)
            for name, voltage in zip(CHAMBERS, voltages, strict=True):
                await self._record(name, "Counts").post(float(np.rint(max(voltage, 0.0) * FREQUENCY * duration)))
            await self.elapsed.post(duration)
        finally:
            await self.count.post(0)

    async def _run(self) -> None:
        while True:
            await self._post(self.voltages(0.5))
            await self._clock.pause(0.5)
