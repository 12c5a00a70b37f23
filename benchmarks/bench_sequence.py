"""The sequences of SSRL 6-2C and of FXI and our series on equal simulated hardware: seconds per energy, photon duty.

``python -m benchmarks.bench_sequence`` runs both, each in a process of its own; ``ssrl --energies 62`` takes 15
minutes. Every sequence of a table exposes sample and flats for equally long per energy.

*SSRL*: 1 s dead per frame, 36 s for the 13.5 mm between sample and reference, 4 s for an energy to settle. Their
sequence takes 3 x 0.5 s frames and 10 x 0.3 s flats in ABBA order. *FXI*: tomograms flown at 3 deg/s with 1200 frames
of 0.048 s, 20 flats, and 20 darks, which they take at each energy and we once.

Motion and exposure are compressed by the speed, the overhead of documents, Channel Access and files is not: "measured"
holds it `SPEED` times. "At speed 1" holds it once: it is what the measured time has beyond that of the hardware, which
is known from the velocities and dead times of the simulation.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks._table import show
from plans.estimate import Timing, estimate_xanes_tomography

SPEED = 10.0
OUT = 13.5  # mm
GRID = [  # eV
    *range(8250, 8311, 15),
    8324,
    *range(8325, 8361),
    *range(8364, 8401, 4),
    *range(8408, 8441, 8),
    *range(8490, 8691, 50),
]
TINY = f"\nshape = [16, 16]\npixel_size = 800.0\nspecimen = {{voxel = 0.5}}\nspeed = {SPEED}\n"
SSRL = TINY + 'readout = 1.0\nmotors = {"sample:x" = {velocity = 0.375}, "mono:bragg" = {delay = 4.0}}\n'
SSRL_LIGHT = 3 * 0.5 + 10 * 0.3  # s of exposure per energy
FXI_ANGLES = [0.15 * k for k in range(1200)]
FXI_EXPOSURE, FXI_PERIOD = 0.048, 0.05  # s
FXI_LIGHT = (1200 + 20) * FXI_EXPOSURE  # s of exposure per energy, without darks
FXI_SLEEPS = 0.1 + 1.0 + 1.0 + 1.0  # s per energy; one of them lasts up to 2 s
COLUMNS = ["sequence", "s per energy, measured", "hardware / s", "s per energy, speed 1", "photon duty / %"]


def main() -> None:
    """Run what was asked for, or both."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("which", nargs="?", choices=("ssrl", "fxi"))
    line.add_argument("--energies", type=int, default=4)
    line.add_argument("--only", default="", help="only the sequences with this in their name")
    options = line.parse_args()
    if options.which is None:
        for which in ("ssrl", "fxi"):
            again = [sys.executable, "-m", "benchmarks.bench_sequence", which, "--energies", str(options.energies)]
            again += ["--only", options.only]
            subprocess.run(again, check=True)
        return
    energies = [float(energy) for energy in GRID[: options.energies]]
    station, settings, light, sequences = {
        "ssrl": ("txm_sim", SSRL, SSRL_LIGHT, ssrl_sequences),
        "fxi": ("fxi_sim", TINY, FXI_LIGHT, fxi_sequences),
    }[options.which]
    chosen = [sequence for sequence in sequences(energies) if options.only in sequence.name]
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), station, settings, light, chosen, energies)


@dataclass(frozen=True)
class Sequence:
    """A plan for a beamline, and the seconds that its hardware needs for all of it."""

    name: str
    plan: Callable[[Any], Any]
    hardware: float


def measure(
    folder: Path, station: str, settings: str, light: float, sequences: list[Sequence], energies: list[float]
) -> None:
    """Run every sequence and print the table; rows appear as they are measured."""
    from acquisition.config import packaged
    from acquisition.session import Session

    path = folder / "beamline.toml"
    path.write_text(packaged(station).read_text() + settings)
    rows: list[list[Any]] = []
    with Session(path, folder) as session:
        session.start_simulation()
        control = session.connect()
        from epics import caput

        prefix = control.beamline.ring.prefix.removesuffix("ring:")
        caput(prefix + "sim:Frames", "Ready made", wait=True, timeout=10)
        for sequence in sequences:
            begin = time.monotonic()
            control.engine(sequence.plan(control.beamline))
            measured = (time.monotonic() - begin) * SPEED / len(energies)
            hardware = sequence.hardware / len(energies)
            real = hardware + (measured - hardware) / SPEED
            rows.append([sequence.name, measured, hardware, real, 100 * light / real])
            print(*rows[-1], flush=True)
    show(f"{len(energies)} energies, beamline seconds, {light:.4g} s of light per energy", COLUMNS, rows)


def settling(energies: list[float]) -> float:
    """Mean seconds of a change of energy: the Bragg angle at 0.05 deg/s, 0.1 s to full velocity, and its delay."""
    angles = [math.degrees(math.asin(12398.42 / (2 * 3.1356 * energy))) for energy in (8333.0, *energies)]
    return 0.1 + sum(abs(b - a) for a, b in pairwise(angles)) / 0.05 / len(energies)


def ours(
    energies: list[float], name: str, timing: Timing, frames: dict[str, Any], *, fly: bool, **order: Any
) -> Sequence:
    """Our series, and what its own estimate says of it."""
    estimated = {key: value for key, value in frames.items() if not key.startswith("sample")} | order
    if fly:
        estimated["period"] = FXI_PERIOD
    cost = estimate_xanes_tomography(energies=energies, frame_bytes=1, timing=timing, **estimated)

    def plan(b: Any) -> Any:
        from plans.xanes_tomography import xanes_tomography

        axes = (b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter)
        flown = {"fly": b.fly, "period": FXI_PERIOD} if fly else {}
        return xanes_tomography(*axes, energies=energies, **frames, **flown, **order)

    return Sequence(name, plan, cost.seconds)


def ssrl_sequences(energies: list[float]) -> list[Sequence]:
    """SSRL's own sequence, and our series with the same light: flats as long as frames, so fewer of them."""
    change = 4.0 + settling(energies)
    travel = 0.1 + OUT / 0.375
    theirs = len(energies) * (change + travel + SSRL_LIGHT + 13 * 1.0)
    # each frame of a tomogram is a trigger of its own and so reads out after it, too
    timing = Timing(readout=1.0, trigger=1.0, energy_step=change, sample_travel=travel, shutter=0.02)
    frames = {"angles": [0.0] * 3, "exposure": 0.5, "flats": 6, "darks": 1, "sample_in": 0.0, "sample_out": OUT}
    return [
        Sequence("SSRL", lambda b: ssrl(b, energies), theirs),
        ours(energies, "ours, alternating", timing, frames, fly=False, order="alternating"),
        ours(
            energies, "ours, alternating, 4 energies a visit", timing, frames, fly=False, order="alternating", group=4
        ),
    ]


def fxi_sequences(energies: list[float]) -> list[Sequence]:
    """FXI's own sequence, and our flown series with the same frames."""
    change, travel, back = settling(energies), 0.1 + 2.0 / 0.4, 0.2 + 180.0 / 30.0
    turn = len(FXI_ANGLES) * FXI_PERIOD
    shots = 2 * 20 * FXI_PERIOD
    theirs = len(energies) * (change + FXI_SLEEPS + turn + shots + 2 * travel + back)
    timing = Timing(rotation_speed=30.0, energy_step=change, sample_travel=travel, shutter=0.02)
    frames = {
        "angles": FXI_ANGLES,
        "exposure": FXI_EXPOSURE,
        "flats": 20,
        "darks": 20,
        "sample_in": 0.0,
        "sample_out": 2.0,
    }
    return [
        Sequence("FXI", lambda b: fxi(b, energies), theirs),
        ours(energies, "ours, flats first", timing, frames, fly=True),
        ours(energies, "ours, alternating", timing, frames, fly=True, order="alternating"),
    ]


def take(b: Any, stream: str, frames: int, exposure: float) -> Any:
    """One block of frames as an event."""
    import bluesky.plan_stubs as bps

    yield from bps.prepare(b.detector, {"frames": frames, "exposure": exposure}, wait=True)
    yield from bps.trigger(b.detector, wait=True)
    yield from save(b, stream)


def save(b: Any, stream: str) -> Any:
    """The block just taken as an event."""
    import bluesky.plan_stubs as bps

    yield from bps.create(stream)
    yield from bps.read(b.detector)
    yield from bps.read(b.energy)
    yield from bps.save()


def ssrl(b: Any, energies: list[float]) -> Any:
    """SSRL's sequence as a plan: no darks, the order of sample and reference alternates."""
    import bluesky.plan_stubs as bps
    import bluesky.preprocessors as bpp

    @bpp.stage_decorator([b.detector])
    @bpp.run_decorator(md={"plan_name": "ssrl_sequence"})
    def run() -> Any:
        yield from bps.mv(b.shutter, "open", b.sample.x, 0.0)
        for number, energy in enumerate(energies):
            yield from bps.mv(b.energy, energy)
            if number % 2 == 0:
                yield from take(b, "primary", 3, 0.5)
                yield from bps.mv(b.sample.x, OUT)
                yield from take(b, "flat", 10, 0.3)
            else:
                yield from take(b, "flat", 10, 0.3)
                yield from bps.mv(b.sample.x, 0.0)
                yield from take(b, "primary", 3, 0.5)
        yield from bps.mv(b.shutter, "closed")

    yield from run()


def fxi(b: Any, energies: list[float]) -> Any:
    """FXI's sequence as a plan: an energy and a run of its own, every wait and repeated move as they have it."""
    import bluesky.plan_stubs as bps
    import bluesky.preprocessors as bpp
    from epics import caget

    def change(energy: float) -> Any:
        yield from bps.mv(b.energy.zone_plate.x, 0.0, b.energy.zone_plate.y, 0.0)
        for _ in range(2):
            yield from bps.mv(b.energy.monochromator.pitch, 0.0)
        yield from bps.mv(b.energy, energy)
        yield from bps.mv(b.aperture.x, 0.0, b.aperture.y, 0.0)
        yield from bps.sleep(FXI_SLEEPS / caget("FXI:sim:Speed"))

    @bpp.stage_decorator([b.detector, b.fly])
    @bpp.run_decorator(md={"plan_name": "fxi_sequence"})
    def one_run() -> Any:
        turn = {"start": FXI_ANGLES[0], "step": FXI_ANGLES[1], "points": len(FXI_ANGLES)}
        turn |= {"exposure": FXI_EXPOSURE, "period": FXI_PERIOD}
        yield from bps.mv(b.shutter, "closed")
        yield from take(b, "dark", 20, FXI_EXPOSURE)
        yield from bps.mv(b.shutter, "open")
        yield from bps.prepare(b.fly, turn, wait=True)
        yield from bps.trigger(b.fly, wait=True)
        yield from save(b, "primary")
        for _ in range(2):
            yield from bps.mv(b.sample.x, 2.0)
        yield from take(b, "flat", 20, FXI_EXPOSURE)
        yield from bps.mv(b.shutter, "closed")
        for _ in range(3):
            yield from bps.mv(b.sample.x, 0.0)
        yield from bps.mv(b.sample.rotation, 0.0)

    for energy in energies:
        yield from change(energy)
        yield from one_run()


if __name__ == "__main__":
    main()
