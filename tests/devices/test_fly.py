"""A flight is a block of frames at the angles that were asked for, or an error."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import event_model
import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from devices.errors import FlyError, LimitError, MotionError
from devices.fly import Flight

FLIGHT = {"start": 0.0, "step": 6.0, "points": 30, "exposure": 0.1, "period": 0.25}


@pytest.fixture
def fly(world):
    """The flyer with its detector staged, in simulated seconds that are not too short for the triggers."""
    detector, flyer = world.devices.detector, world.devices.fly
    world.put("SIM:sim:Speed", 20.0)
    detector.stage()
    yield flyer
    world.fault("")
    flyer.unstage()
    detector.unstage()
    world.put("SIM:sim:Speed", 200.0)


def angles_in(detector):
    with h5py.File(detector.writer.file_name_now, "r", swmr=True) as file:
        return file["entry/instrument/NDAttributes/RotationAngle"][()]


@pytest.mark.parametrize("step", [6.0, -6.0])
def test_frames_are_taken_where_they_were_asked_for(world, fly, step):
    fly.prepare({**FLIGHT, "step": step}).wait(30)
    fly.trigger().wait(60)
    expected = step * np.arange(30) + np.sign(step) * 24.0 * 0.05  # the middle of 0.1 s at 24 deg/s
    # the rotation runs at constant velocity; angles are those of the encoder
    np.testing.assert_allclose(angles_in(world.devices.detector), expected, atol=1e-3)


def test_the_velocity_of_the_rotation_is_put_back(world, fly):
    before = world.get("SIM:sample:rot.VELO")
    fly.prepare(FLIGHT).wait(30)
    fly.trigger().wait(60)
    world.devices.sample.rotation.velocity.set(before, timeout=5).wait(5)  # put without waiting for it
    assert world.get("SIM:sample:rot.VELO") == pytest.approx(before)


def test_a_flown_block_is_read_like_any_other_and_the_next_may_be_stepped(world, fly):
    detector = world.devices.detector
    fly.prepare(FLIGHT).wait(30)
    fly.trigger().wait(60)
    detector.read()
    documents = [doc for name, doc in detector.collect_asset_docs() if name == "stream_datum"]
    assert [doc["indices"] for doc in documents] == [{"start": 0, "stop": 1}] * 3
    detector.prepare({"frames": 2, "exposure": 0.1}).wait(30)
    detector.trigger().wait(30)
    detector.read()


def test_the_flyer_interface_gives_a_stream_with_a_row_per_frame(world, fly):
    documents = []
    engine = RunEngine()
    engine.subscribe(lambda name, doc: documents.append((name, doc)))

    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(fly, FLIGHT, wait=True)
        yield from bps.declare_stream(fly, name="flight", collect=True)
        yield from bps.kickoff(fly, wait=True)
        yield from bps.complete(fly, wait=True)
        yield from bps.collect(fly, name="flight")

    engine(plan())
    validate = event_model.schema_validators
    for name, doc in documents:
        validate[event_model.DocumentNames[name]].validate(doc)
    rows = [doc for name, doc in documents if name == "stream_datum"]
    assert [doc["seq_nums"] for doc in rows] == [{"start": 1, "stop": 31}] * 3
    (descriptor,) = [doc for name, doc in documents if name == "descriptor"]
    assert descriptor["data_keys"]["detector_frames"]["shape"] == [1, 32, 40]


def test_triggers_that_come_too_fast_are_an_error(world, fly):
    fly.prepare({**FLIGHT, "exposure": 0.25}).wait(30)  # the period leaves no time
    world.put("SIM:cam:cam1:AcquireTime", 0.4)
    with pytest.raises(FlyError, match=r"\d+ of 30 triggers came while the camera was busy"):
        fly.trigger().wait(60)


@pytest.mark.parametrize("fault", ["stall", "limit"])
def test_a_rotation_that_does_not_arrive_ends_the_flight(world, fly, fault):
    fly.prepare(FLIGHT).wait(30)
    world.fault(f"sample:rot={fault}")
    with pytest.raises(MotionError, match="sample_rotation"):
        fly.trigger().wait(60)
    world.fault("")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": 0}, "cannot fly"),
        ({"step": 0.0}, "cannot fly"),
        ({"exposure": 0.0}, "cannot fly"),
        ({"exposure": 0.3}, "cannot fly"),
        ({"step": 30.0}, r"velocity 120 deg/s is above 30 deg/s of sample_rotation: 30 deg in 0\.25 s"),
        ({"start": 390.0}, r"sample_rotation .* deg is outside -400\.0\.\.400\.0 deg"),
    ],
)
def test_an_impossible_flight_is_refused(fly, change, message):
    with pytest.raises(LimitError, match=message):
        fly.prepare({**FLIGHT, **change})


def test_a_flight_must_be_prepared(fly):
    with pytest.raises(FlyError, match="before a flight was prepared"):
        fly.kickoff()
    with pytest.raises(FlyError, match="was not started"):
        fly.complete()


def test_a_flight_has_the_velocity_of_its_steps():
    assert Flight(0.0, 0.5, 360, 0.1, 0.25).velocity == 2.0
