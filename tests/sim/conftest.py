"""A small simulated beamline, in process and as an IOC process over Channel Access."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from ctypes import CDLL
from pathlib import Path
from typing import Any

import pytest

from acquisition.channel_access import set_timeouts
from sim.beamline import Beamline, build
from sim.control_layer import InProcess, install
from sim.simulation import Simulation

ROOT = Path(__file__).parents[2]
SMALL = {"shape": [32, 40], "pixel_size": 400.0, "speed": 200.0, "specimen": {"voxel": 0.3}}


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    """Settings of a small, fast beamline."""
    return Simulation.from_dict(SMALL)


@pytest.fixture
def beamline(simulation: Simulation) -> Beamline:
    """A beamline that nobody serves."""
    return build(simulation)


@pytest.fixture
def layer(beamline: Beamline) -> Iterator[InProcess]:
    """The beamline's records behind ophyd in this process."""
    set_timeouts()  # before the first signal of this process, whatever test it is
    layer = install(beamline.bank)
    yield layer
    layer.close()


@pytest.fixture
def run() -> Callable[[Awaitable[Any]], Any]:
    """Run a coroutine to its end, at most 20 s."""

    def run(work: Awaitable[Any]) -> Any:
        async def limited() -> Any:
            return await asyncio.wait_for(work, 20)

        return asyncio.run(limited())

    return run


def find_port() -> int:
    """Return a port free for TCP and UDP."""
    for port in range(21000 + os.getpid() % 9000, 60000, 2):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


@pytest.fixture(scope="module")
def ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """An IOC process on loopback: (process, port, folder of the truth)."""
    folder, port = tmp_path_factory.mktemp("ioc"), find_port()
    config = folder / "beamline.toml"
    config.write_text("[simulation]\nshape = [32, 40]\npixel_size = 400.0\nspeed = 200.0\nspecimen = {voxel = 0.3}\n")
    command = [sys.executable, "-m", "sim.ioc", "--config", str(config), "--port", str(port)]
    with (folder / "stderr.txt").open("w") as errors:
        process = subprocess.Popen(
            [*command, "--truth", str(folder / "truth")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=lambda: CDLL(None).prctl(1, signal.SIGKILL),
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(f"READY port={port}"), (folder / "stderr.txt").read_text()
        yield process, port, folder
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def free_port() -> int:
    """A port free for TCP and UDP."""
    return find_port()
