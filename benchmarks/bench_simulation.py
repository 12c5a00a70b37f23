"""Frames per second of the simulated camera, from one IOC process through HDF5, and the dead time of a move.

Run ``python benchmarks/bench_simulation.py``: it starts an IOC on loopback per case and prints one line each.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from ctypes import CDLL
from pathlib import Path

ROOT = Path(__file__).parents[1]
PORT = 22064
CASES = ((256, "Physics", 240), (1024, "Physics", 60), (1024, "Ready made", 300))


def main() -> None:
    """Time the cases."""
    os.environ |= {"EPICS_CA_ADDR_LIST": f"127.0.0.1:{PORT}", "EPICS_CA_AUTO_ADDR_LIST": "NO"}
    os.environ["EPICS_CA_REPEATER_PORT"] = str(PORT + 1)
    for index, (size, frames, count) in enumerate(CASES):
        with tempfile.TemporaryDirectory() as folder:
            process = start(Path(folder), size)
            try:
                if index == 0:
                    print(f"move, median: {1e3 * move_time():.1f} ms")
                rate = frame_rate(folder, frames, count)
                print(f"{size} x {size}, {frames.lower()}: {rate:.0f} frames/s, {rate * size * size * 2e-6:.0f} MB/s")
            finally:
                process.terminate()
                process.wait(10)


def start(folder: Path, size: int) -> "subprocess.Popen[str]":
    """Start an IOC and wait until it serves."""
    config = folder / "simulation.toml"
    config.write_text(f"[simulation]\nshape = [{size}, {size}]\npixel_size = {14400 / size}\nspeed = 1e5\n")
    command = [sys.executable, "-m", "sim.ioc", "--config", str(config), "--port", str(PORT)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: CDLL(None).prctl(1, signal.SIGKILL)
    )
    assert process.stdout is not None
    print(process.stdout.readline().strip(), file=sys.stderr)
    return process


def put(name: str, value: object, *, text: bool = False, timeout: float = 10.0) -> None:
    """Put with completion."""
    from ophyd import EpicsSignal

    signal_ = EpicsSignal("SIM:" + name, name="s", string=text)
    signal_.wait_for_connection(timeout=30)
    signal_.put(value, wait=True, timeout=timeout)


def frame_rate(folder: str, frames: str, count: int) -> float:
    """Return frames per second from Acquire to its completion, all frames in the file."""
    put("sim:Frames", frames, text=True)
    put("shutter:Cmd", "Open", text=True)
    put("cam:HDF1:FilePath", folder, text=True)
    put("cam:cam1:ImageMode", "Multiple", text=True)
    put("cam:cam1:NumImages", 1)
    put("cam:cam1:Acquire", 1)  # caches
    put("cam:HDF1:NumCapture", count)
    put("cam:HDF1:Capture", 1)
    put("cam:cam1:NumImages", count)
    begin = time.perf_counter()
    put("cam:cam1:Acquire", 1, timeout=120)
    return count / (time.perf_counter() - begin)


def move_time() -> float:
    """Return the median seconds from set() to done of a motor that is there at once."""
    from ophyd import EpicsMotor

    motor = EpicsMotor("SIM:sample:rot", name="rotation")
    motor.wait_for_connection(timeout=30)
    times = []
    for step in range(300):
        begin = time.perf_counter()
        motor.set(1e-6 * (step % 2)).wait(10)
        times.append(time.perf_counter() - begin)
    return sorted(times)[150]


if __name__ == "__main__":
    main()
