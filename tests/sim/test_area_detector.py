"""The camera exposes, counts and writes as an areaDetector does."""

import asyncio
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest


def put(bank, settings):
    async def work():
        for name, value in settings.items():
            await bank["SIM:" + name].put(value)

    return work()


def capture(folder, frames, **settings):
    return {
        "shutter:Cmd": "Open",
        "cam:HDF1:FilePath": str(folder),
        "cam:HDF1:NumCapture": frames,
        "cam:cam1:ImageMode": "Multiple",
        "cam:cam1:NumImages": frames,
        "cam:cam1:AcquireTime": 0.1,
        "cam:cam1:AcquirePeriod": 0.1,
        **settings,
        "cam:HDF1:Capture": 1,
    }


def value(beamline, name):
    return beamline.bank["SIM:" + name].value


def test_frames_land_in_the_file_before_acquire_is_done(beamline, run, tmp_path):
    run(put(beamline.bank, capture(tmp_path, 5) | {"cam:cam1:Acquire": 1}))
    assert value(beamline, "cam:HDF1:NumCaptured_RBV") == 5
    assert value(beamline, "cam:HDF1:Capture_RBV") == 0  # closed by itself
    with h5py.File(value(beamline, "cam:HDF1:FullFileName_RBV")) as file:
        assert file["entry/data/data"].shape == (5, 32, 40)
        assert file["entry/data/data"].dtype == np.uint16
        attributes = file["entry/instrument/NDAttributes"]
        assert attributes["NDArrayUniqueId"][:].tolist() == [1, 2, 3, 4, 5]
        np.testing.assert_allclose(attributes["Energy"], 8333.0, atol=0.01)
        assert attributes["ShutterOpen"][:].tolist() == [1.0] * 5


def test_file_is_readable_while_it_grows(beamline, run, tmp_path):
    async def work():
        await put(beamline.bank, capture(tmp_path, 4) | {"cam:cam1:NumImages": 3})
        await beamline.bank["SIM:cam:cam1:Acquire"].put(1)
        with h5py.File(value(beamline, "cam:HDF1:FullFileName_RBV"), swmr=True) as file:
            seen = file["entry/data/data"].shape[0]
        await beamline.bank["SIM:cam:HDF1:Capture"].put(0)
        return seen

    assert run(work()) == 3


def test_rotation_angle_is_that_of_each_frame(beamline, run, tmp_path):
    async def work():
        quiet = {"sim:Effects:photon_noise": "Off", "sim:Effects:dark_current": "Off"}
        await put(beamline.bank, quiet | capture(tmp_path, 3) | {"cam:cam1:NumImages": 1})
        for angle in (0.0, 40.0, 80.0):
            await beamline.bank["SIM:sample:rot"].put(angle)
            await beamline.bank["SIM:cam:cam1:Acquire"].put(1)

    run(work())
    with h5py.File(value(beamline, "cam:HDF1:FullFileName_RBV")) as file:
        assert file["entry/instrument/NDAttributes/RotationAngle"][:].tolist() == [0.0, 40.0, 80.0]
        frames = file["entry/data/data"][:].astype(float)
    assert np.abs(frames[0] - frames[1]).max() > 50  # without noise: the particle has turned


def test_file_number_advances(beamline, run, tmp_path):
    for _ in range(2):
        run(put(beamline.bank, capture(tmp_path, 1) | {"cam:cam1:Acquire": 1}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames_000000.h5", "frames_000001.h5"]


def test_stop_ends_an_endless_acquisition(beamline, run):
    async def work():
        acquire = beamline.bank["SIM:cam:cam1:Acquire"]
        await beamline.bank["SIM:cam:cam1:ImageMode"].put("Continuous")
        task = asyncio.ensure_future(acquire.put(1))
        while value(beamline, "cam:cam1:NumImagesCounter_RBV") < 2:
            await asyncio.sleep(0.001)
        await acquire.put(0)
        await task

    run(work())
    assert value(beamline, "cam:cam1:Acquire_RBV") == 0
    assert value(beamline, "cam:cam1:DetectorState_RBV") == 0


def test_a_folder_that_is_not_there_is_said(beamline, run):
    run(put(beamline.bank, capture("/proc/nowhere", 1)))
    assert value(beamline, "cam:HDF1:FilePathExists_RBV") == 0
    assert value(beamline, "cam:HDF1:WriteStatus") == 1
    assert "cannot open file" in value(beamline, "cam:HDF1:WriteMessage")
    assert value(beamline, "cam:HDF1:Capture_RBV") == 0


def test_binning_changes_the_frames(beamline, run, tmp_path):
    bins = {"cam:cam1:BinX": 2, "cam:cam1:BinY": 4}
    run(put(beamline.bank, bins | capture(tmp_path, 1) | {"cam:cam1:Acquire": 1}))
    with h5py.File(value(beamline, "cam:HDF1:FullFileName_RBV")) as file:
        assert file["entry/data/data"].shape == (1, 8, 20)


def test_binning_that_does_not_divide_is_refused(beamline, run):
    run(put(beamline.bank, {"cam:cam1:BinX": 3}))
    assert value(beamline, "cam:cam1:BinX_RBV") == 1


@pytest.mark.parametrize(("fault", "frames"), [("drop", 4), ("lose", 4), ("disk_full", 0)])
def test_faults_lose_frames(beamline, run, tmp_path, fault, frames):
    settings = capture(tmp_path, 6)
    settings |= {"sim:Fault": f"cam={fault}", "cam:cam1:Acquire": 1}
    run(put(beamline.bank, settings))
    assert value(beamline, "cam:HDF1:NumCaptured_RBV") == frames
    assert (value(beamline, "cam:HDF1:WriteStatus") == 1) == (fault == "disk_full")


def test_error_state_has_a_major_alarm(beamline, run):
    run(put(beamline.bank, {"sim:Fault": "cam=error", "cam:cam1:Acquire": 1}))
    state = beamline.bank["SIM:cam:cam1:DetectorState_RBV"]
    assert (state.enums[state.value], state.severity) == ("Error", 2)


def test_a_hung_camera_is_freed_by_stopping_it(beamline, run):
    async def work():
        await put(beamline.bank, {"sim:Fault": "cam=hang"})
        acquire = asyncio.ensure_future(beamline.bank["SIM:cam:cam1:Acquire"].put(1))
        await asyncio.sleep(0.01)
        hung = value(beamline, "cam:cam1:Acquire_RBV")
        await put(beamline.bank, {"sim:Fault": "cam=", "cam:cam1:Acquire": 0})
        await acquire
        return hung

    assert run(work()) == 1
    assert value(beamline, "cam:cam1:Acquire_RBV") == 0


def test_a_bad_file_cannot_be_opened(beamline, run, tmp_path):
    run(put(beamline.bank, capture(tmp_path, 2) | {"sim:Fault": "cam=bad_file", "cam:cam1:Acquire": 1}))
    with pytest.raises(OSError, match="truncated"):
        h5py.File(value(beamline, "cam:HDF1:FullFileName_RBV"))


def test_an_image_that_cannot_be_made_is_an_error_state(beamline, run):
    broken = ValueError("no such specimen")

    def fail(state):
        raise broken

    beamline.instrument.image = fail
    with pytest.raises(ValueError, match="no such specimen"):
        run(put(beamline.bank, {"cam:cam1:Acquire": 1}))
    assert value(beamline, "cam:cam1:Acquire_RBV") == 0
    assert value(beamline, "cam:cam1:DetectorState_RBV") == 6
    assert value(beamline, "cam:cam1:StatusMessage_RBV") == "no such specimen"


KILLED = """
import asyncio, sys
from sim.beamline import build
from sim.simulation import Simulation

async def work():
    small = {"shape": [16, 16], "pixel_size": 800.0, "specimen": {"voxel": 0.5}, "speed": 1000.0}
    beamline = build(Simulation.from_dict(small))
    for name, value in {"HDF1:FilePath": sys.argv[1], "HDF1:Capture": 1, "cam1:ImageMode": 2}.items():
        await beamline.bank["SIM:cam:" + name].put(value)
    asyncio.ensure_future(beamline.bank["SIM:cam:cam1:Acquire"].put(1))
    while beamline.bank["SIM:cam:HDF1:NumCaptured_RBV"].value < 5:
        await asyncio.sleep(0)
    print(beamline.bank["SIM:cam:HDF1:FullFileName_RBV"].value, flush=True)
    await asyncio.Event().wait()

asyncio.run(work())
"""


def test_a_killed_writer_leaves_a_readable_file(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as process:
        path = process.stdout.readline().strip()
        process.kill()
    with h5py.File(path, swmr=True) as file:
        frames = file["entry/data/data"].shape[0]
        assert frames >= 5
        assert file["entry/instrument/NDAttributes/RotationAngle"].shape[0] >= frames
