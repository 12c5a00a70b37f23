"""The simulated transmission X-ray microscope: all its process variables, wired to the physics behind them.

The process variables, their kinds and units are listed in docs/reference/process-variables.md.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sim import optics
from sim.absorption import Material, material
from sim.area_detector import FAULTS as CAMERA_FAULTS
from sim.area_detector import Camera
from sim.cell import Cell, metal_valence
from sim.clock import Clock
from sim.counters import OPEN, FluxMonitor, Ring, Shutter
from sim.effects import Effects
from sim.exposure import Instrument
from sim.faults import Faults, Faulty
from sim.fly import PositionCompare
from sim.ion_chambers import Foil, IonChambers
from sim.microscope import PHYSICS, Microscope, Parts
from sim.monochromator import Monochromator, fixed_exit_gap
from sim.motor_fields import MotorSettings
from sim.motor_record import FAULTS as MOTOR_FAULTS
from sim.motor_record import Motor
from sim.records import Bank, PutRefusedError, Record
from sim.simulation import Simulation, SimulationError
from sim.specimen import Specimen, depth_profile

MOTORS: dict[str, dict[str, Any]] = {
    "mono:bragg": {
        "units": "deg", "velocity": 0.05, "acceleration": 0.1, "limits": (10.35, 23.3), "precision": 6,
        "deadband": 1e-5, "description": "Bragg angle",
    },
    "mono:gap": {"velocity": 0.5, "limits": (12.0, 14.5), "precision": 5, "description": "crystal gap"},
    "mono:pitch": {"units": "urad", "velocity": 50.0, "limits": (-500.0, 500.0), "precision": 3, "deadband": 0.05},
    "zp:x": {"velocity": 0.1, "limits": (-2.0, 2.0), "precision": 6, "deadband": 1e-5},
    "zp:y": {"velocity": 0.1, "limits": (-2.0, 2.0), "precision": 6, "deadband": 1e-5},
    "zp:z": {"velocity": 0.5, "limits": (-20.0, 20.0), "precision": 5, "deadband": 5e-5},
    "sample:x": {"velocity": 0.4, "limits": (-25.0, 25.0), "precision": 5, "deadband": 2e-5},
    "sample:y": {"velocity": 0.4, "limits": (-10.0, 10.0), "precision": 5, "deadband": 2e-5},
    "sample:z": {"velocity": 0.4, "limits": (-10.0, 10.0), "precision": 5, "deadband": 2e-5},
    "sample:rot": {
        "units": "deg", "velocity": 30.0, "acceleration": 0.2, "limits": (-400.0, 400.0), "precision": 4,
        "deadband": 1e-3,
    },
    "osa:x": {"velocity": 0.2, "limits": (-5.0, 5.0), "description": "order-sorting aperture"},
    "osa:y": {"velocity": 0.2, "limits": (-5.0, 5.0), "description": "order-sorting aperture"},
    "detector:z": {"velocity": 5.0, "limits": (-100.0, 100.0), "description": "camera along the beam"},
    "cond:z": {"velocity": 1.0, "limits": (-50.0, 50.0)},
}  # fmt: skip


@dataclass(frozen=True)
class Beamline:
    """A simulated beamline.

    Attributes
    ----------
    bank : Bank
        All its process variables.
    simulation : Simulation
        The settings it was built from.
    clock : Clock
        Its time.
    specimen, materials, instrument, lens
        The physics: what is looked at, and through what.
    parts : Parts
        Its models.
    """

    bank: Bank
    simulation: Simulation
    clock: Clock
    specimen: Specimen
    materials: tuple[Material, ...]
    instrument: Instrument
    lens: optics.ZonePlate
    parts: Parts

    def truth(self) -> dict[str, Any]:
        """Return what the simulation hides, as JSON-able numbers: depth profile, axis, composition of the signal."""
        deepest = float(np.nanmax(self.specimen.depth))
        edges = np.arange(0, max(deepest, 0.2) + 0.2, 0.2)
        profiles = {}
        for element in self.simulation.elements:
            mean, volume = depth_profile(self.specimen, element, edges)
            keep = volume > 0
            profiles[element] = mean[keep].astype(float).tolist()
        return {
            "element": self.simulation.element,
            "depth_um": (0.5 * (edges[1:] + edges[:-1]))[keep].tolist(),
            "valence": profiles[self.simulation.element],
            "valences": profiles,
            "volume_um3": volume[keep].astype(float).tolist(),
            "references": [{"valence": r.valence, "source": r.source} for r in self.materials[0].references],
            "density_g_cm3": self.materials[0].density,
            "amplitudes": asdict(self.simulation.amplitudes),
            "effects": asdict(self.simulation.effects),
            "bragg_error_deg": self.simulation.bragg_error,
            "focus_error_mm": self.simulation.focus_error,
        }

    def write_truth(self, folder: Path) -> None:
        """Write ``truth.json`` and ``truth.h5`` (volumes, axes z, y, x) to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "truth.json").write_text(json.dumps(self.truth(), indent=1), encoding="utf-8")
        with h5py.File(folder / "truth.h5", "w") as file:
            file["density"], file["depth"] = self.specimen.density, self.specimen.depth
            for element, valence in self.specimen.valences.items():
                file[f"valence_{element}"] = valence
            file["valence"] = h5py.SoftLink(f"/valence_{self.simulation.element}")
            file.attrs["voxel_um"] = self.specimen.voxel


def motor_options(simulation: Simulation) -> dict[str, dict[str, Any]]:
    """Return the settings of every motor, the usual ones changed as the simulation says.

    Raises
    ------
    SimulationError
        For a motor or a setting that does not exist.
    """
    options = {name: dict(usual) for name, usual in MOTORS.items()}
    for name, changes in simulation.motors.items():
        if name not in options:
            raise SimulationError(f"simulation motors has no {name!r}; there are {', '.join(options)}")
        for setting, value in changes.items():
            low, high = options[name].get("limits", (-100.0, 100.0))
            if setting in ("low", "high"):
                options[name]["limits"] = (float(value), high) if setting == "low" else (low, float(value))
            elif setting in ("velocity", "acceleration", "delay") and value >= 0:
                options[name][setting] = float(value)
            else:
                raise SimulationError(f"simulation motor {name}: {setting} = {value} is no setting or negative")
    return options


def build(simulation: Simulation) -> Beamline:
    """Build a simulated beamline: records, models and physics; nothing runs until its bank is served."""
    bank, clock, prefix = Bank(), Clock(simulation.speed), simulation.prefix
    lens = optics.ZonePlate(reference_z=simulation.focus_error, reference_magnification=simulation.magnification)
    specimen = simulation.make_specimen()
    matter = [material(simulation.element, simulation.load_references())]
    matter += [material(element) for element in simulation.others]
    instrument = Instrument(
        specimen, matter, lens,
        shape=simulation.shape, pixel=simulation.pixel_size * 1e-3, photon_rate=simulation.photon_rate,
        photons_per_count=simulation.photons_per_count, amplitudes=simulation.amplitudes, seed=simulation.seed,
    )  # fmt: skip
    effects = Effects(**asdict(simulation.effects))
    bragg = optics.bragg_angle(lens.reference_energy)
    start = {"mono:bragg": bragg, "mono:gap": fixed_exit_gap(bragg)}
    options = motor_options(simulation)
    motors = {
        name: Motor(bank, prefix + name, clock, MotorSettings(start=start.get(name, 0.0), **settings))
        for name, settings in options.items()
    }
    ring = Ring(bank, prefix + "ring:", clock, decays=lambda: effects.ring_decay)
    shutter = Shutter(bank, prefix + "shutter:", clock)
    photon_shutter = Shutter(bank, prefix + "photon_shutter:", clock, delay=2.0, start=OPEN)
    mono = Monochromator(
        bank, prefix + "mono:", clock, bragg=motors["mono:bragg"], gap=motors["mono:gap"], pitch=motors["mono:pitch"],
        effects=effects, amplitudes=simulation.amplitudes, bragg_error=simulation.bragg_error, seed=simulation.seed,
    )  # fmt: skip

    def flux() -> float:
        pixels = simulation.shape[0] * simulation.shape[1]
        arriving = mono.throughput() * photon_shutter.open * ring.current() / ring.nominal
        return simulation.photon_rate * pixels * arriving

    frames = bank.add(prefix + "sim:Frames", PHYSICS, enums=("Physics", "Ready made"))
    cell = Cell(bank, prefix + "cell:", clock)
    parts = Parts(motors, mono, shutter, photon_shutter, ring, effects, frames, cell)
    scene = Microscope(simulation, parts, instrument)
    camera = Camera(bank, prefix + "cam:", clock, scene, readout=simulation.readout)
    _add_optics(bank, prefix, lens, simulation.focus_error)
    _add_scale(bank, simulation, parts, camera, instrument)
    PositionCompare(bank, prefix + "fly:", clock, motors["sample:rot"], camera)
    FluxMonitor(bank, prefix + "flux:", clock, rate=flux, seed=simulation.seed)
    station = _add_station(bank, simulation, clock, cell, matter, mono, lambda: flux() * shutter.open)
    _add_controls(bank, prefix + "sim:", clock, effects)
    faulty: dict[str, tuple[Faulty, tuple[str, ...]]] = {n: (m, MOTOR_FAULTS) for n, m in motors.items()}
    faulty |= {"cam": (camera, CAMERA_FAULTS), "shutter": (shutter, Shutter.FAULTS), "ring": (ring, Ring.FAULTS)}
    faulty["mono"] = (mono, Monochromator.FAULTS)
    faulty["photon_shutter"] = (photon_shutter, Shutter.FAULTS)
    faulty |= station
    Faults(bank, prefix + "sim:", faulty)
    return Beamline(bank, simulation, clock, specimen, tuple(matter), instrument, lens, parts)


def _add_optics(bank: Bank, prefix: str, lens: optics.ZonePlate, focus_error: float) -> None:
    """Add what the zone plate says of itself."""
    constants = (
        ("Diameter", lens.diameter, "um"),
        ("OuterZoneWidth", lens.outer_zone_width, "nm"),
        ("ReferenceZ", lens.reference_z - focus_error, "mm"),
        ("ReferenceEnergy", lens.reference_energy, "eV"),
    )
    for name, value, units in constants:
        bank.add(f"{prefix}zp:{name}", value, units=units, read_only=True)


def _add_scale(bank: Bank, simulation: Simulation, parts: Parts, camera: Camera, instrument: Instrument) -> None:
    """Add what turns pixels into lengths and counts into photons; it follows energy, camera, binning and gain."""
    prefix, distance = simulation.prefix, parts.motors["detector:z"]

    def pixel() -> float:
        size = simulation.pixel_size
        if parts.effects.magnification:
            size = 1e3 * instrument.pixel_size(parts.mono.energy.value, distance.position)
        return size * camera.binning[1]

    def photons() -> float:
        return simulation.photons_per_count / camera.gain

    size = bank.add(prefix + "cam:PixelSize", pixel(), units="nm", precision=4, read_only=True)
    per_count = bank.add(prefix + "cam:PhotonsPerCount", photons(), read_only=True)

    async def show() -> None:
        await size.post(pixel())
        if per_count.value != photons():
            await per_count.post(photons())

    for followed in (parts.mono.followers, distance.moved, camera.changed):
        followed.append(show)


def _add_station(
    bank: Bank,
    simulation: Simulation,
    clock: Clock,
    cell: Cell,
    matter: Sequence[Material],
    mono: Monochromator,
    flux: Callable[[], float],
) -> dict[str, tuple[Faulty, tuple[str, ...]]]:
    """Add the bulk absorption station and the cell, whose charge sets the valence of the pellet."""
    prefix = simulation.prefix
    foil = Foil(bank, prefix + "foil:", simulation.element)
    chambers = IonChambers(
        bank, prefix, clock, materials=matter, foil=foil, flux=flux, seed=simulation.seed,
        energy=lambda: mono.true_energy(clock.now()), valence=lambda element: metal_valence(element, cell.soc()),
    )  # fmt: skip
    return {"cell": (cell, Cell.FAULTS), "foil": (foil, Foil.FAULTS), "ic": (chambers, IonChambers.FAULTS)}


def _add_controls(bank: Bank, prefix: str, clock: Clock, effects: Effects) -> None:
    """Add the speed and one switch per effect."""

    async def put_speed(record: Record, value: float) -> None:
        try:
            clock.speed = value
        except ValueError as error:
            raise PutRefusedError(f"{record.name}: {error}") from error

    bank.add(prefix + "Speed", clock.speed, on_put=put_speed)
    for name in Effects.names():

        async def put_effect(_record: Record, value: int, name: str = name) -> None:
            setattr(effects, name, bool(value))

        switch = int(getattr(effects, name))
        bank.add(f"{prefix}Effects:{name}", switch, enums=("Off", "On"), on_put=put_effect)
