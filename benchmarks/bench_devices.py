"""Time of connecting the whole beamline and of a move beyond its motion, over Channel Access.

Run ``python -m benchmarks.bench_devices``: it starts the simulated beamline on loopback and prints both beside the
limits, with ophyd's own motor on a record alike, taking turns.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._table import show

FAST = "shape = [32, 40]\npixel_size = 400.0\nspeed = 1e5\nspecimen = {voxel = 0.3}\n"  # motion takes microseconds


def main(moves: int = 200) -> None:
    """Print the two numbers."""
    with beamline() as (devices, connecting):
        from ophyd import EpicsMotor  # the Channel Access environment must stand before ophyd

        stock = EpicsMotor(devices.sample.y.prefix, name="stock")  # alike; on one record they would disturb each other
        stock.wait_for_connection(timeout=10)
        times, theirs = [], []
        for i in range(moves):
            times.append(put_to_done(devices.sample.x, 1e-3 * (i % 2)))
            theirs.append(put_to_done(stock, 1e-3 * (i % 2)))
        energy = [put_to_done(devices.energy, 8333.0 + (i % 2)) for i in range(moves // 5)]
    rows: list[list[object]] = [
        ["connecting all devices", 1e3 * connecting, "", 2000.0],
        ["move of a motor", *_median_and_tail(times), 8.0],
        ["move of a motor alike by ophyd's EpicsMotor", *_median_and_tail(theirs), ""],
        ["move of the energy: bragg, gap, zone plate", *_median_and_tail(energy), ""],
    ]
    show("devices over Channel Access", ["what", "median / ms", "95 % / ms", "limit / ms"], rows)


def put_to_done(axis: Any, position: float) -> float:
    """Seconds from the put to the end of the status."""
    begin = time.perf_counter()
    axis.set(position).wait(20)
    return time.perf_counter() - begin


@contextmanager
def beamline() -> Iterator[tuple[Any, float]]:
    """The connected microscope on a simulation of its own, and the seconds it took to connect."""
    from acquisition import channel_access
    from acquisition.config import BeamlineFile, packaged
    from acquisition.simulation import SimulatedBeamline

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "beamline.toml"
        path.write_text(packaged("txm_sim").read_text() + FAST)
        simulated = SimulatedBeamline(path, folder / "truth", log=folder / "ioc.log")
        with simulated.service:
            simulated.wait_until_ready()
            channel_access.configure([simulated.server], repeater_port=simulated.port + 1)
            from acquisition import beamline

            channel_access.set_timeouts()
            begin = time.perf_counter()
            devices = beamline.build(BeamlineFile.load(path))
            beamline.connect(devices)
            yield devices, time.perf_counter() - begin


def _median_and_tail(seconds: list[float]) -> tuple[float, float]:
    return 1e3 * statistics.median(seconds), 1e3 * sorted(seconds)[int(0.95 * len(seconds))]


if __name__ == "__main__":
    main()
