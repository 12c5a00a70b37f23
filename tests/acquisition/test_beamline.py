"""A beamline is what its file says, and devices that do not connect are all named."""

import pytest

from acquisition import beamline
from acquisition.channel_access import set_timeouts
from acquisition.config import BeamlineFile, load_file, packaged
from acquisition.errors import ConnectionFailed
from devices.focused_energy import FollowingEnergy


@pytest.fixture(autouse=True)
def nowhere():
    """A control layer without any record, so that no device made here is looked for over Channel Access.

    Searches that nobody answers become rarer and rarer; the devices of other tests would wait for theirs.
    """
    from sim.control_layer import install
    from sim.records import Bank

    set_timeouts()
    layer = install(Bank())
    yield
    layer.close()


def test_devices_that_do_not_connect_are_all_named_at_once(tmp_path):
    path = tmp_path / "lost.toml"
    text = packaged("txm_sim").read_text()
    path.write_text(text.replace("SIM:ring:", "LOST:ring:").replace("SIM:shutter:", "LOST:shutter:"))
    devices = beamline.build(BeamlineFile.load(path))
    with pytest.raises(ConnectionFailed, match="did not connect within") as caught:
        beamline.connect(devices, timeout=0.2)
    notes = " ".join(note for reason in caught.value.exceptions for note in reason.__notes__)
    assert "'ring'" in notes
    assert "'shutter'" in notes
    assert any("LOST:ring:Current" in str(reason) for reason in caught.value.exceptions)


def test_optional_devices_are_left_out(tmp_path):
    path = tmp_path / "small.toml"
    text = packaged("txm_sim").read_text()
    path.write_text(text.replace('[devices.condenser]\nprefix = "SIM:cond:"\n', ""))
    devices = beamline.build(BeamlineFile.load(path))
    assert devices.condenser is None
    assert "condenser" not in {device.name for device in devices.devices()}


def test_a_following_camera_is_part_of_the_energy():
    devices = beamline.build_station(load_file(packaged("fxi_sim")))
    assert isinstance(devices.energy, FollowingEnergy)
