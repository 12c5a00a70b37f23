"""The bulk absorption station to test against, in process and over Channel Access."""

import dataclasses

import pytest

from acquisition import beamline
from acquisition.channel_access import set_timeouts
from acquisition.config import SpectroscopyFile, packaged


@dataclasses.dataclass(frozen=True)
class Bulk:
    """A station, and the records behind it."""

    devices: object
    put: object
    get: object

    def fault(self, text):
        """Set a fault; an empty text heals everything."""
        self.put("SIM:sim:Fault", text)


@pytest.fixture(scope="session")
def bulk_file(tmp_path_factory):
    """The packaged station on the records of the shared simulation."""
    path = tmp_path_factory.mktemp("bulk") / "xas.toml"
    path.write_text(packaged("xas_sim").read_text().replace("XAS:", "SIM:") + "shape = [96, 96]\nspeed = 200.0\n"
                    "specimen = {voxel = 0.5}\n")  # fmt: skip
    return path


@pytest.fixture(scope="session")
def bulk_in_process(bulk_file):
    """The station without any network."""
    from sim.beamline import build
    from sim.control_layer import install
    from sim.simulation import Simulation

    layer = install(build(Simulation.from_toml(bulk_file)).bank)
    try:
        devices = _connected(bulk_file)
    finally:
        layer.restore()
    yield Bulk(devices, layer.put, layer.get)
    layer.close()


@pytest.fixture(scope="session")
def bulk_over_channel_access(bulk_file, channel_access_world):
    """The station on the IOC that all tests share."""
    return Bulk(_connected(bulk_file), channel_access_world.put, channel_access_world.get)


def _connected(path):
    set_timeouts()
    devices = beamline.build_spectroscopy(SpectroscopyFile.load(path))
    beamline.connect(devices)
    return devices


@pytest.fixture(params=["in process", "channel access"])
def bulk(request):
    """The station in process, and over Channel Access; healed after each test."""
    name = "bulk_in_process" if request.param == "in process" else "bulk_over_channel_access"
    found = request.getfixturevalue(name)
    yield found
    found.fault("")
