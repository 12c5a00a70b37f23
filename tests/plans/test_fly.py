"""A tomogram flown in one turn is an event like one that stopped at each angle."""

import numpy as np
import pytest

from analysis.live.series import SeriesReader
from plans.errors import PlanRefused

ANGLES = tuple(np.arange(0.0, 180.0, 12.0))


@pytest.fixture
def slower(scan):
    """Let the turn take long enough for the simulated triggers."""
    scan.world.put("SIM:sim:Speed", 20.0)
    yield scan
    scan.world.put("SIM:sim:Speed", 200.0)


def test_a_flown_series_is_read_like_a_stepped_one(slower):
    reader = SeriesReader()
    documents = slower.run(
        energies=[8320.0, 8340.0], angles=ANGLES, exposure=0.1, fly=slower.world.devices.fly, period=0.5
    )
    tomograms = [tomogram for name, doc in documents for tomogram in reader(name, doc)]
    assert [tomogram.planned for tomogram in tomograms] == [8320.0, 8340.0]
    blur = 12.0 * 0.1 / 0.5 / 2  # half of the way turned during an exposure, degrees
    np.testing.assert_allclose(tomograms[0].projections.read_angles(), np.array(ANGLES) + blur, atol=0.01)
    np.testing.assert_allclose(
        tomograms[0].projections.read_angles(), tomograms[1].projections.read_angles(), atol=0.01
    )
    assert documents[0][1]["plan_args"]["fly"] == "fly"
    assert slower.safe()


@pytest.mark.parametrize(
    ("angles", "message"),
    [((0.0, 10.0, 30.0), "a flight needs even steps"), ((0.0,), "needs at least two"), ((0.0, 0.0), "even steps")],
)
def test_angles_that_cannot_be_flown_are_refused(scan, angles, message):
    with pytest.raises(PlanRefused, match=message):
        scan.run(angles=angles, fly=scan.world.devices.fly)


def test_a_turn_that_is_too_fast_is_refused_before_anything_moves(scan):
    with pytest.raises(PlanRefused, match=r"fly velocity 120 deg/s is above 30 deg/s of sample_rotation"):
        scan.run(angles=ANGLES, exposure=0.1, fly=scan.world.devices.fly)
    assert not list(scan.folder.glob("*.jsonl"))


@pytest.mark.parametrize(("command", "number"), [("prepare", 2), ("trigger", 2)])
def test_a_flown_series_that_was_paused_flies_again(slower, interrupted, command, number):
    from bluesky.utils import RunEngineInterrupted

    plan = slower.plan(energies=[8320.0, 8340.0], angles=ANGLES, exposure=0.1, fly=slower.world.devices.fly, period=0.5)
    with pytest.raises(RunEngineInterrupted):
        slower.engine(interrupted(plan, command, number, "fly"))
    slower.engine.resume()
    reader = SeriesReader()
    tomograms = [tomogram for name, doc in slower.documents() for tomogram in reader(name, doc)]
    assert [tomogram.planned for tomogram in tomograms] == [8320.0, 8340.0]
    assert slower.safe()
