"""The 2D sequence of SSRL 6-2C and our series on equal simulated hardware: seconds per energy and photon duty.

Run ``python -m benchmarks.bench_sequence --energies 62``. The hardware is that of SSRL: 1 s dead per frame, 36 s for
the 13.5 mm between sample and reference, 4 s to settle an energy. SSRL's sequence is energy, 3 x 0.5 s frames and
10 x 0.3 s flats in ABBA order, one long way per energy; our series takes 3 and 10 x 0.5 s, two long ways per energy.
Beamline seconds are wall seconds times the speed of the simulation: our own overhead counts as often as that says.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._table import show

SPEED = 10.0
SSRL = (
    f"shape = [16, 16]\npixel_size = 800.0\nspecimen = {{voxel = 0.5}}\nspeed = {SPEED}\nreadout = 1.0\n"
    'motors = {"sample:x" = {velocity = 0.375}, "mono:bragg" = {delay = 4.0}}\n'
)
LIGHT = 3 * 0.5 + 10 * 0.3  # s of exposure per energy
OUT = 13.5  # mm
GRID = [  # eV
    *range(8250, 8311, 15),
    8324,
    *range(8325, 8361),
    *range(8364, 8401, 4),
    *range(8408, 8441, 8),
    *range(8490, 8691, 50),
]


def main() -> None:
    """Run both and print them."""
    line = argparse.ArgumentParser(description=__doc__)
    line.add_argument("--energies", type=int, default=4)
    energies = [float(energy) for energy in GRID[: line.parse_args().energies]]
    with tempfile.TemporaryDirectory() as name:
        rows = measure(Path(name), energies)
    show(f"{len(energies)} energies, beamline seconds", ["sequence", "s per energy", "photon duty / %"], rows)


def measure(folder: Path, energies: list[float]) -> list[list[Any]]:
    """Rows of the table."""
    from acquisition.config import packaged
    from acquisition.session import Session

    path = folder / "beamline.toml"
    path.write_text(packaged("txm_sim").read_text() + SSRL)
    with Session(path, folder) as session:
        session.start_simulation()
        control = session.connect()
        from plans.xanes_tomography import xanes_tomography

        b = control.beamline
        axes = (b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter)
        frames = {"angles": [0.0] * 3, "exposure": 0.5, "flats": 10, "darks": 1}
        series = xanes_tomography(*axes, energies=energies, sample_in=0.0, sample_out=OUT, **frames)
        begin = time.monotonic()
        control.engine(series)
        ours = (time.monotonic() - begin) * SPEED / len(energies)
        begin = time.monotonic()
        control.engine(ssrl(b, energies))
        theirs = (time.monotonic() - begin) * SPEED / len(energies)
    our_light = 13 * 0.5
    return [
        ["SSRL, one way per energy", theirs, 100 * LIGHT / theirs],
        ["series of ours", ours, 100 * our_light / ours],
    ]


def ssrl(b: Any, energies: list[float]) -> Any:
    """SSRL's sequence as a plan: no darks, the order of sample and reference alternates."""
    import bluesky.plan_stubs as bps
    import bluesky.preprocessors as bpp

    def take(stream: str, frames: int, exposure: float) -> Any:
        yield from bps.prepare(b.detector, {"frames": frames, "exposure": exposure}, wait=True)
        yield from bps.trigger(b.detector, wait=True)
        yield from bps.create(stream)
        yield from bps.read(b.detector)
        yield from bps.read(b.energy)
        yield from bps.save()

    @bpp.stage_decorator([b.detector])
    @bpp.run_decorator(md={"plan_name": "ssrl_sequence"})
    def run() -> Any:
        yield from bps.mv(b.shutter, "open")
        for number, energy in enumerate(energies):
            yield from bps.mv(b.energy, energy)
            if number % 2 == 0:
                yield from take("primary", 3, 0.5)
                yield from bps.mv(b.sample.x, OUT)
                yield from take("flat", 10, 0.3)
            else:
                yield from take("flat", 10, 0.3)
                yield from bps.mv(b.sample.x, 0.0)
                yield from take("primary", 3, 0.5)
        yield from bps.mv(b.shutter, "closed")

    yield from run()


if __name__ == "__main__":
    main()
