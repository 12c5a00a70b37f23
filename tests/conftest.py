"""The small simulated beamline that tests of devices, plans and the service share, in process and as an IOC."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import event_model
import numpy as np
import pytest

from acquisition.channel_access import free_port_pair
from acquisition.config import BeamlineFile, packaged
from acquisition.processes import Service

SMALL = """
shape = [32, 40]
pixel_size = 400.0
speed = 200.0
specimen = {voxel = 0.3}
"""
BULK = """
shape = [96, 96]
speed = 200.0
specimen = {voxel = 0.5}
"""
_port = free_port_pair(30000)
Documents = list[tuple[str, dict[str, Any]]]


def pytest_configure(config: pytest.Config) -> None:
    """Point libca at this run's IOC before anything imports it; it reads its environment once."""
    os.environ.update(
        EPICS_CA_ADDR_LIST=f"127.0.0.1:{_port}",
        EPICS_CA_AUTO_ADDR_LIST="NO",
        EPICS_CA_REPEATER_PORT=str(_port + 1),
    )


@dataclass(frozen=True)
class World:
    """A beamline to test against: its devices, and the records behind them."""

    name: str
    devices: Any
    put: Callable[[str, Any], None]
    get: Callable[[str], Any]
    settings: Callable[[], dict[str, Any]] = dict  # what a client may write, and its values; in process only

    def fault(self, text: str) -> None:
        """Set a fault, e.g. ``cam=hang``; an empty text heals everything."""
        self.put("SIM:sim:Fault", text)


@pytest.fixture(scope="session")
def measured_data() -> Path:
    """Folder of measured data: EDGEWISE_DATA, or ../shared/data beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("EDGEWISE_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no measured data: EDGEWISE_DATA is not set and {beside} does not exist")
    return folder


@pytest.fixture
def run_documents() -> Callable[..., Documents]:
    """Return a maker of the documents of one run with `events` numbers read."""

    def make(events: int = 3, *, stop: bool = True, **start: Any) -> Documents:
        run = event_model.compose_run(metadata={"plan_name": "count", **start}, time=1.7e9)
        stream = run.compose_descriptor(
            name="primary",
            data_keys={"current": {"source": "ring", "dtype": "number", "shape": [], "dtype_numpy": "<f8"}},
        )
        documents: Documents = [("start", dict(run.start_doc)), ("descriptor", dict(stream.descriptor_doc))]
        for i in range(events):
            event = stream.compose_event(data={"current": np.float64(i) + 0.5}, timestamps={"current": 1.7e9 + i})
            documents.append(("event", dict(event)))
        if stop:
            documents.append(("stop", dict(run.compose_stop())))
        return documents

    return make


@pytest.fixture(scope="session")
def beamline_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged beamline with a small, fast simulation."""
    path = tmp_path_factory.mktemp("beamline") / "beamline.toml"
    path.write_text(packaged("txm_sim").read_text() + SMALL)
    return path


@pytest.fixture(scope="session")
def ioc(beamline_path: Path) -> Iterator[Service]:
    """The simulated beamline as a process of its own."""
    arguments = ["-m", "sim.ioc", "--config", str(beamline_path), "--port", str(_port)]
    arguments += ["--repeater-port", str(_port + 1)]
    with Service("ioc", arguments, log=beamline_path.with_name("ioc.log")) as service:
        service.wait_for("READY", timeout=60)
        yield service


@pytest.fixture(scope="session")
def channel_access_world(ioc: Service, beamline_path: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Devices that reach the IOC with pyepics."""
    import ophyd
    from epics import caget, caput

    assert ophyd.cl.name == "pyepics"

    def put(name: str, value: Any) -> None:
        assert caput(name, value, wait=True, timeout=10) == 1

    devices = _connected(beamline_path, tmp_path_factory.mktemp("frames"))
    return World("channel access", devices, put, lambda name: caget(name, timeout=10))


@pytest.fixture(scope="session")
def in_process_world(beamline_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same devices on the same records without any network."""
    from sim.beamline import build
    from sim.control_layer import install
    from sim.simulation import Simulation

    layer = install(build(Simulation.from_toml(beamline_path)).bank)
    try:
        devices = _connected(beamline_path, tmp_path_factory.mktemp("frames"))
    finally:
        layer.restore()

    def settings() -> dict[str, Any]:
        return {name: record.value for name, record in layer.bank.items() if not record.read_only}

    yield World("in process", devices, layer.put, layer.get, settings)
    layer.close()


def _connected(path: Path, frames: Path) -> Any:
    from acquisition import beamline
    from acquisition.channel_access import set_timeouts

    set_timeouts()
    file = BeamlineFile.load(path)
    devices = beamline.build(file.model_copy(update={"storage": file.storage.model_copy(update={"frames": frames})}))
    beamline.connect(devices)
    return devices


@pytest.fixture(params=["in process", "channel access"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The beamline in process, and over Channel Access; healed after each test."""
    name = "in_process_world" if request.param == "in process" else "channel_access_world"
    found: World = request.getfixturevalue(name)
    yield found
    found.fault("")


@pytest.fixture(scope="session")
def bulk_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged station for bulk absorption on the records of the shared simulation."""
    path = tmp_path_factory.mktemp("bulk") / "xas.toml"
    path.write_text(packaged("xas_sim").read_text().replace("XAS:", "SIM:") + BULK)
    return path


@pytest.fixture(scope="session")
def bulk_in_process(bulk_file: Path) -> Iterator[World]:
    """The station without any network."""
    from sim.beamline import build
    from sim.control_layer import install
    from sim.simulation import Simulation

    layer = install(build(Simulation.from_toml(bulk_file)).bank)
    try:
        devices = _connected_station(bulk_file)
    finally:
        layer.restore()
    yield World("in process", devices, layer.put, layer.get)
    layer.close()


@pytest.fixture(scope="session")
def bulk_over_channel_access(bulk_file: Path, channel_access_world: World) -> World:
    """The station on the IOC that all tests share."""
    return World("channel access", _connected_station(bulk_file), channel_access_world.put, channel_access_world.get)


def _connected_station(path: Path) -> Any:
    from acquisition import beamline
    from acquisition.channel_access import set_timeouts
    from acquisition.config import SpectroscopyFile

    set_timeouts()
    devices = beamline.build_spectroscopy(SpectroscopyFile.load(path))
    beamline.connect(devices)
    return devices


@pytest.fixture(params=["in process", "channel access"])
def bulk(request: pytest.FixtureRequest) -> Iterator[World]:
    """The station in process, and over Channel Access; healed after each test."""
    name = "bulk_in_process" if request.param == "in process" else "bulk_over_channel_access"
    found: World = request.getfixturevalue(name)
    yield found
    found.fault("")
