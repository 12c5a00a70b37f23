"""Triggers come where the encoder passes, and each frame knows its angle."""

import asyncio

import h5py
import numpy as np
import pytest

from sim.beamline import build
from sim.motion import Motion
from sim.simulation import Simulation


def test_a_move_knows_when_it_passes():
    motion = Motion(1.0, -3.0, velocity=2.0, acceleration_time=0.5, begin=10.0)
    for position in (1.0, 0.9, 0.0, -1.7, -2.95, -3.0):
        assert motion.position(motion.moment(position)) == pytest.approx(position, abs=1e-9)
    assert np.isnan(motion.moment(1.1))


@pytest.fixture
def slow():
    """A beamline whose wall time is long enough for a flight of triggers."""
    return build(
        Simulation.from_dict({"shape": [16, 16], "pixel_size": 800.0, "speed": 20, "specimen": {"voxel": 0.5}})
    )


def fly(beamline, folder, *, step, points, exposure):
    async def put(name, value):
        await beamline.bank["SIM:" + name].put(value)

    async def work():
        await put("shutter:Cmd", "Open")
        await put("cam:HDF1:FilePath", str(folder))
        await put("cam:HDF1:NumCapture", 0)
        await put("cam:HDF1:Capture", 1)
        await put("cam:cam1:TriggerMode", "External")
        await put("cam:cam1:ImageMode", "Multiple")
        await put("cam:cam1:NumImages", points)
        await put("cam:cam1:AcquireTime", exposure)
        await put("fly:Start", 0.0)
        await put("fly:Step", step)
        await put("fly:Points", points)
        await put("sample:rot", -10.0)
        acquire = asyncio.ensure_future(put("cam:cam1:Acquire", 1))
        arm = asyncio.ensure_future(put("fly:Arm", 1))
        await asyncio.sleep(0)
        await put("sample:rot", step * points + 10.0)
        await arm
        if beamline.bank["SIM:fly:Missed"].value:
            await put("cam:cam1:Acquire", 0)
        await acquire
        await put("cam:HDF1:Capture", 0)

    return work()


def test_frames_are_taken_at_constant_steps(slow, run, tmp_path):
    run(fly(slow, tmp_path, step=3.0, points=20, exposure=0.05))
    assert slow.bank["SIM:fly:Triggers"].value == 20
    np.testing.assert_allclose(slow.bank["SIM:fly:Positions"].value, 3.0 * np.arange(20))
    with h5py.File(slow.bank["SIM:cam:HDF1:FullFileName_RBV"].value) as file:
        angles = file["entry/instrument/NDAttributes/RotationAngle"][:]
        times = file["entry/instrument/NDAttributes/NDArrayTimeStamp"][:]
    # the middle of a 50 ms exposure at 30 deg/s lies 0.75 deg behind the trigger
    np.testing.assert_allclose(angles, 3.0 * np.arange(20) + 0.75, atol=1e-6)
    # 3 deg at 30 deg/s, 20 times faster: 5 ms of wall time; two clocks are read one after the other
    assert np.median(np.diff(times)) == pytest.approx(0.005, abs=1e-4)


def test_triggers_during_an_exposure_are_missed(slow, run, tmp_path):
    run(fly(slow, tmp_path, step=3.0, points=20, exposure=0.15))
    assert slow.bank["SIM:fly:Missed"].value == 10  # 0.15 s exposures, a trigger each 0.1 s: every other one
