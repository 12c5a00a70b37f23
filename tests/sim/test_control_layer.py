"""ophyd's own device classes work on the records in this process."""

import threading

import h5py
import pytest
from ophyd import Component, EpicsMotor, EpicsSignal, EpicsSignalRO, HDF5Plugin, ImagePlugin, SimDetector


class Camera(SimDetector):
    """ophyd's own simulation detector with plugins."""

    image = Component(ImagePlugin, "image1:")
    hdf1 = Component(HDF5Plugin, "HDF1:")


@pytest.fixture
def bragg(layer):
    motor = EpicsMotor("SIM:mono:bragg", name="bragg")
    motor.wait_for_connection(timeout=30)
    return motor


def test_every_field_of_an_ophyd_motor_is_there(bragg):
    bragg.wait_for_connection(all_signals=True, timeout=5)
    assert bragg.limits == (10.35, 23.3)
    assert bragg.egu == "deg"


def test_energy_follows_the_bragg_motor(bragg):
    energy = EpicsSignalRO("SIM:mono:EnergyRBV", name="energy")
    bragg.set(14.0).wait(10)
    # h c / (2 d sin 14 deg)
    assert energy.get() == pytest.approx(8172.229, abs=0.01)


def test_a_hundred_moves_all_end(bragg):
    for step in range(100):
        bragg.set(13.7 + 1e-4 * (step % 2)).wait(5)


def test_limits_are_refused_by_ophyd(bragg):
    with pytest.raises(ValueError, match="outside of range"):
        bragg.set(5.0)


def test_every_variable_of_an_ophyd_detector_is_there(layer):
    camera = Camera("SIM:cam:", name="camera")
    camera.wait_for_connection(all_signals=True, timeout=10)
    assert camera.hdf1.file_template.get() == "%s%s_%6.6d.h5"
    assert camera.cam.array_size.get() == (0, 32, 40)


def test_put_completion_waits_for_the_frames(layer, tmp_path):
    camera = Camera("SIM:cam:", name="camera")
    camera.wait_for_connection(timeout=10)
    camera.hdf1.file_path.set(str(tmp_path)).wait(5)
    camera.hdf1.num_capture.set(3).wait(5)
    camera.hdf1.capture.put(1, wait=True)
    camera.cam.image_mode.set("Multiple").wait(5)
    camera.cam.num_images.set(3).wait(5)
    camera.cam.acquire.put(1, wait=True)
    with h5py.File(camera.hdf1.full_file_name.get()) as file:
        assert file["entry/data/data"].shape[0] == 3


def test_a_record_can_go_offline_and_return(layer, bragg):
    lost = threading.Event()
    bragg.user_readback.subscribe(
        lambda connected, **_: None if connected else lost.set(), event_type=bragg.user_readback.SUB_META, run=False
    )
    layer.put("SIM:sim:Fault", "pv=mono:")
    assert lost.wait(10)
    layer.put("SIM:sim:Fault", "")
    bragg.wait_for_connection(timeout=10)
    assert bragg.connected


def test_an_unknown_name_never_connects(layer):
    with pytest.raises(TimeoutError):
        EpicsSignal("SIM:nowhere", name="nowhere").wait_for_connection(timeout=0.05)


def test_a_fault_that_no_device_has_is_refused(layer):
    with pytest.raises(ValueError, match="cam has no fault 'flat tyre'; it has hang"):
        layer.put("SIM:sim:Fault", "cam=flat tyre")
    with pytest.raises(ValueError, match="no device 'kitchen'"):
        layer.put("SIM:sim:Fault", "kitchen=fire")
