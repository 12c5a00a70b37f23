"""A move ends in position, or with the reason: in process and over Channel Access alike."""

import math

import pytest
from ophyd.utils import DisconnectedError

from devices.errors import LimitError, MotionError


@pytest.fixture
def x(world):
    """The sample's x motor."""
    motor = world.devices.sample.x
    motor.set(0.0).wait(20)
    return motor


def test_a_move_arrives_within_the_tolerance(x):
    x.set(0.25).wait(20)
    assert abs(x.position - 0.25) <= x.tolerance


def test_a_move_to_the_present_position_ends(x):
    x.set(x.position).wait(20)


def test_many_moves_in_a_row_all_end(x):
    for i in range(200):
        x.set(0.001 * (i % 3)).wait(20)
    assert abs(x.position - 0.001) <= x.tolerance


def test_a_position_outside_the_soft_limits_is_refused_with_name_value_and_limit(x):
    with pytest.raises(LimitError, match=r"sample_x 99\.0 mm is outside -25\.0\.\.25\.0 mm"):
        x.set(99.0)


def test_a_position_that_is_not_a_number_is_refused(x):
    with pytest.raises(LimitError, match="not a finite position"):
        x.set(math.nan)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("stall", r"stopped .* away \(tolerance"),
        ("limit", "limit switch"),
        ("alarm", "in alarm"),
        ("stuck", "it is told to stop"),
        ("no_dmov", "it is told to stop"),
    ],
)
def test_a_motor_that_does_not_arrive_says_why(world, x, fault, message):
    x.margin = 0.5  # seconds beyond the motion before a motor counts as stuck
    try:
        world.fault(f"sample:x={fault}")
        with pytest.raises(MotionError, match=message):
            x.set(x.position + 0.2).wait(20)
    finally:
        del x.margin
        world.fault("")
        x.stop()


def test_a_motor_stopped_by_somebody_else_is_not_in_position(world, x):
    status = x.set(20.0)
    world.put("SIM:sample:x.STOP", 1)
    with pytest.raises(MotionError, match="stopped"):
        status.wait(20)


def test_a_second_move_supersedes_the_first(x):
    first = x.set(20.0)
    x.set(0.1).wait(20)
    with pytest.raises(MotionError, match="superseded"):
        first.wait(20)
    assert abs(x.position - 0.1) <= x.tolerance


def test_a_motor_that_is_lost_in_mid_move_fails_at_once(in_process_world):
    motor = in_process_world.devices.sample.x
    status = motor.set(20.0)
    in_process_world.fault("pv=sample:x")
    with pytest.raises(DisconnectedError, match="lost its connection during the operation"):
        status.wait(20)
    in_process_world.fault("")
