"""What a series is said to cost is what it costs."""

import h5py
import pytest

from analysis.live.series import SeriesReader
from plans.errors import PlanRefused
from plans.estimate import Timing, estimate_xanes_tomography

ARGUMENTS = {"energies": [8320.0, 8340.0], "angles": [0.0, 60.0, 120.0], "exposure": 0.05, "flats": 2, "darks": 4}


def test_frames_bytes_and_exposure_are_those_of_a_real_run(scan):
    detector = scan.world.devices.detector
    expected = estimate_xanes_tomography(**ARGUMENTS, frame_bytes=detector.frame_bytes)
    reader = SeriesReader()
    tomograms = [tomogram for name, doc in scan.run(**ARGUMENTS) for tomogram in reader(name, doc)]
    blocks = [tomograms[0].dark, *(t.flat for t in tomograms), *(t.projections for t in tomograms)]
    assert sum(block.shape[0] for block in blocks) == expected.frames
    assert sum(block.shape[0] * block.exposure for block in blocks) == pytest.approx(expected.exposed)
    size = 0
    for block in blocks:
        with h5py.File(block.frames[0], "r", swmr=True) as file:
            size += file[block.frames[1]].nbytes
    assert size == expected.size


def test_a_run_takes_at_least_its_exposures(scan):
    documents = scan.run(**ARGUMENTS)
    least = estimate_xanes_tomography(**ARGUMENTS, frame_bytes=1).seconds
    speed = scan.world.get("SIM:sim:Speed")  # motion and exposure are compressed by this factor
    assert (documents[-1][1]["time"] - documents[0][1]["time"]) * speed > least


def test_each_motion_is_counted_as_often_as_the_plan_makes_it():
    still = estimate_xanes_tomography(**ARGUMENTS, frame_bytes=1)
    slow = Timing(rotation_speed=60.0, energy_step=7.0, sample_travel=5.0, shutter=0.1)
    moving = estimate_xanes_tomography(**ARGUMENTS, frame_bytes=1, timing=slow)
    # per energy: 7 s (energy and sample out together), 5 s back (it turns to the first angle meanwhile), 2 s of turning
    assert moving.seconds - still.seconds == pytest.approx(2 * (7 + 5 + 2 + 4 * 0.1))


@pytest.mark.parametrize(
    ("order", "group", "seconds"),
    [
        ("flats first", 1, 4 * (36 + 36)),  # out with the change of energy, back
        ("alternating", 1, 4 + 36 + 4 + 36 + 4 + 36 + 4 + 36),
        ("flats first", 2, 2 * (36 + 4 + 36 + 4)),  # the way back hides the change to the first energy
        ("alternating", 2, 2 * (4 + 4 + 36 + 4)),
    ],
)
def test_fewer_long_ways_are_counted_as_fewer(order, group, seconds):
    series = {
        **ARGUMENTS,
        "energies": [8320.0, 8330.0, 8340.0, 8350.0],
        "frame_bytes": 1,
        "order": order,
        "group": group,
    }
    slow = Timing(energy_step=4.0, sample_travel=36.0)
    moving = estimate_xanes_tomography(**series, timing=slow).seconds - estimate_xanes_tomography(**series).seconds
    assert moving == pytest.approx(seconds)


def test_turning_with_an_open_shutter_is_dose():
    turning = Timing(rotation_speed=60.0)
    cost = estimate_xanes_tomography(**ARGUMENTS, frame_bytes=1, timing=turning, dose_rate=100.0)
    assert cost.dose == pytest.approx(100.0 * 2 * (3 * 0.05 + 2.0))
    assert cost.duty < 1


def test_what_the_plan_refuses_has_no_cost():
    with pytest.raises(PlanRefused, match="energies is empty"):
        estimate_xanes_tomography(**{**ARGUMENTS, "energies": []}, frame_bytes=1)
