"""Frames count when they are in the file."""

import event_model
import h5py
import numpy as np
import pytest

from devices.errors import DetectorError, LimitError, ShutterError


@pytest.fixture
def detector(world):
    """The detector, staged."""
    device = world.devices.detector
    device.stage()
    yield device
    world.fault("")
    device.unstage()


def take(detector, frames=3, per_trigger=None, exposure=0.1):
    """Take one block and return its documents."""
    block = {"frames": frames, "exposure": exposure, "per_trigger": per_trigger or frames}
    detector.prepare(block).wait(30)
    for _ in range(frames // block["per_trigger"]):
        detector.trigger().wait(30)
    described = detector.describe()
    detector.read()
    return described, list(detector.collect_asset_docs())


def test_every_frame_of_a_block_is_in_its_file(detector):
    take(detector, frames=4)
    with h5py.File(detector.writer.file_name_now, "r", swmr=True) as file:
        assert file["entry/data/data"].shape == (4, 32, 40)


def test_a_block_taken_frame_by_frame_is_one_block(detector):
    take(detector, frames=3, per_trigger=1)
    with h5py.File(detector.writer.file_name_now, "r", swmr=True) as file:
        assert file["entry/data/data"].shape[0] == 3


def test_each_frame_carries_the_angle_at_which_it_was_taken(world, detector):
    rotation = world.devices.sample.rotation
    detector.prepare({"frames": 3, "per_trigger": 1, "exposure": 0.1}).wait(30)
    for angle in (0.0, 30.0, 60.0):
        rotation.set(angle).wait(30)
        detector.trigger().wait(30)
    with h5py.File(detector.writer.file_name_now, "r", swmr=True) as file:
        angles = file["entry/instrument/NDAttributes/RotationAngle"][()]
    np.testing.assert_allclose(angles, (0.0, 30.0, 60.0), atol=rotation.tolerance)


def test_the_documents_of_a_block_are_valid_and_describe_it(detector):
    described, documents = take(detector, frames=2)
    assert described["detector_frames"]["shape"] == [2, 32, 40]
    assert described["detector_frames"]["dtype_numpy"] == "<u2"
    resources = [doc for name, doc in documents if name == "stream_resource"]
    assert {doc["data_key"] for doc in resources} == {"detector_frames", "detector_angle", "detector_time"}
    for doc in resources:
        event_model.schema_validators[event_model.DocumentNames.stream_resource].validate({**doc, "run_start": "x"})


def test_a_block_is_pointed_to_once(detector):
    take(detector)
    assert list(detector.collect_asset_docs()) == []


def test_an_incomplete_block_cannot_be_read(detector):
    detector.prepare({"frames": 2, "per_trigger": 1, "exposure": 0.1}).wait(30)
    detector.trigger().wait(30)
    with pytest.raises(DetectorError, match="1 of 2 frames reached"):
        detector.read()


def test_a_trigger_without_a_prepared_block_is_refused(detector):
    with pytest.raises(DetectorError, match="before a block of frames was prepared"):
        detector.trigger()


@pytest.mark.parametrize("block", [{"frames": 0, "exposure": 0.1}, {"frames": 3, "per_trigger": 2, "exposure": 0.1},
                                   {"frames": 1, "exposure": 0.0}, {"frames": 1, "exposure": -1.0}])  # fmt: skip
def test_an_impossible_block_is_refused(detector, block):
    with pytest.raises(DetectorError, match="cannot be taken"):
        detector.prepare(block)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("hang", r"0 of 3 frames after .* s; detector state .* told to stop"),
        ("error", "the detector state is Error"),
        ("drop", "2 of 3 frames reached the file"),
    ],
)
def test_a_detector_that_loses_frames_or_hangs_says_so(world, detector, fault, message):
    detector.margin = 1.0
    detector._count._grace = 0.5
    try:
        detector.prepare({"frames": 3, "exposure": 0.1}).wait(30)
        world.fault(f"cam={fault}")
        with pytest.raises(DetectorError, match=message):
            detector.trigger().wait(30)
    finally:
        del detector.margin


def test_a_full_disk_is_reported_when_the_file_is_opened(world, detector):
    world.fault("cam=disk_full")
    with pytest.raises(DetectorError, match=r"No space left|disk"):
        take(detector)


def test_a_folder_the_detector_cannot_write_to_is_refused(world):
    device = world.devices.detector
    path, device._write_path = device._write_path, "/proc/nowhere"
    try:
        with pytest.raises(DetectorError, match=r"cannot write to folder '/proc/nowhere'"):
            device.stage()
    finally:
        device._write_path = path
        device.unstage()


def test_the_shutter_has_moved_when_its_status_says_so(world):
    shutter = world.devices.shutter
    shutter.set("open").wait(10)
    assert world.get("SIM:shutter:Sts") in (1, "Open")
    shutter.set("closed").wait(10)
    assert world.get("SIM:shutter:Sts") in (0, "Closed")


def test_a_stuck_shutter_is_an_error(world):
    shutter = world.devices.shutter
    shutter.set("closed").wait(10)
    shutter.timeout.put(0.3)
    world.fault("shutter=stuck")
    try:
        with pytest.raises(ShutterError, match=r"shutter did not become Open within 0\.3 s; it is Closed"):
            shutter.set("open").wait(10)
    finally:
        world.fault("")
        shutter.timeout.put(5.0)
        shutter.set("closed").wait(10)


def test_a_word_that_is_no_state_of_the_shutter_is_refused(world):
    with pytest.raises(LimitError, match="'ajar' is not one of"):
        world.devices.shutter.set("ajar")
