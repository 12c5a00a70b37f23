"""The IOC process serves the records over Channel Access, and ends cleanly.

The client runs in a process of its own: libca reads its environment once, when it is loaded.
"""

import json
import os
import signal
import subprocess
import sys

import h5py
import pytest

pytestmark = pytest.mark.system

CLIENT = """
import json, sys, time
from ophyd import EpicsMotor, EpicsSignal, EpicsSignalRO
from ophyd.signal import EpicsSignalBase
EpicsSignalBase.set_defaults(timeout=5, connection_timeout=5, write_timeout=10)
rotation = EpicsMotor("SIM:sample:rot", name="rotation")
rotation.wait_for_connection(timeout=10)
rotation.set(33.0).wait(10)
def put(name, value, text=False):
    EpicsSignal("SIM:" + name, name="s", string=text).put(value, wait=True)
put("shutter:Cmd", "Open", True)
put("cam:HDF1:FilePath", sys.argv[1], True)
put("cam:HDF1:NumCapture", 4)
put("cam:HDF1:Capture", 1)
put("cam:cam1:ImageMode", "Multiple", True)
put("cam:cam1:NumImages", 2)
put("cam:cam1:Acquire", 1)
stage = EpicsMotor("SIM:sample:x", name="stage")
stage.wait_for_connection(timeout=10)
put("sim:Fault", "pv=sample:x", True)
end = time.monotonic() + 10
while stage.connected and time.monotonic() < end:
    time.sleep(0.01)
read = lambda name, **k: EpicsSignalRO("SIM:" + name, name="r", **k).get()
print(json.dumps({
    "angle": rotation.position, "limits": rotation.limits,
    "stage": stage.connected, "rotation": rotation.connected,
    "energy": read("mono:EnergyRBV"), "shutter": read("shutter:Sts", string=True),
    "file": read("cam:HDF1:FullFileName_RBV", string=True), "frames": read("cam:HDF1:NumCaptured_RBV"),
}))
"""


@pytest.fixture(scope="module")
def answer(ioc):
    _, port, folder = ioc
    address = {"EPICS_CA_ADDR_LIST": f"127.0.0.1:{port}", "EPICS_CA_AUTO_ADDR_LIST": "NO"}
    environment = os.environ | address | {"EPICS_CA_REPEATER_PORT": str(port + 1)}
    command = [sys.executable, "-c", CLIENT, str(folder)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_motors_move_over_channel_access(answer):
    assert answer["angle"] == pytest.approx(33.0, abs=1e-4)
    assert answer["limits"] == [-400.0, 400.0]


def test_records_have_their_values(answer):
    assert answer["energy"] == pytest.approx(8333.0, abs=0.01)
    assert answer["shutter"] == "Open"
    assert answer["frames"] == 2


def test_single_records_go_offline(answer):
    assert (answer["stage"], answer["rotation"]) == (False, True)


def test_sigterm_closes_the_file_and_ends_with_success(ioc, answer):
    process, _, folder = ioc
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    with h5py.File(answer["file"]) as file:
        assert file["entry/data/data"].shape == (2, 32, 40)
    assert "Traceback" not in (folder / "stderr.txt").read_text()


def test_the_truth_is_on_disk(ioc):
    _, _, folder = ioc
    truth = json.loads((folder / "truth" / "truth.json").read_text())
    assert truth["valence"][0] < truth["valence"][-1]
    with h5py.File(folder / "truth" / "truth.h5") as file:
        assert file["valence"].shape == file["density"].shape


def test_a_bad_configuration_is_named_and_ends_with_2(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("[simulation]\nspeed = -1\n")
    command = [sys.executable, "-m", "sim.ioc", "--config", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "speed -1 must be positive" in run.stderr


def test_one_process_serves_several_beamlines(tmp_path, free_port):
    files = []
    for prefix in ("A:", "B:"):
        path = tmp_path / f"{prefix[0]}.toml"
        path.write_text(
            f'[simulation]\nprefix = "{prefix}"\nshape = [16, 16]\npixel_size = 800.0\nspecimen = {{voxel = 0.5}}\n'
        )
        files += ["--config", str(path)]
    command = [sys.executable, "-m", "sim.ioc", *files, "--port", str(free_port), "--truth", str(tmp_path / "truth")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
    assert line.rstrip().endswith("prefix=A: B:")
    assert process.returncode == 0
    assert sorted(folder.name for folder in (tmp_path / "truth").iterdir()) == ["A", "B"]
