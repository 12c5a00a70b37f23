"""The motor record moves as a motor does and says what ophyd needs to hear."""

import asyncio

import pytest

from sim.clock import Clock
from sim.motion import Motion
from sim.motor_fields import MotorSettings
from sim.motor_record import Motor
from sim.records import Bank


@pytest.fixture
def motor() -> Motor:
    return Motor(Bank(), "S:m", Clock(100.0), MotorSettings(velocity=1.0, acceleration=0.1, limits=(-5.0, 5.0)))


def history(record):
    """Return a list that fills with every value posted."""
    values = []

    async def note(record, metadata):
        if not metadata:
            values.append(record.value)

    record.sinks.append(note)
    return values


def test_trapezoid_covers_the_way_at_the_velocity():
    motion = Motion(0.0, 2.0, velocity=1.0, acceleration_time=0.1)
    assert motion.duration == pytest.approx(2.1)
    assert motion.position(1.05) == pytest.approx(1.0)  # half of the way at half of the time
    assert motion.position(1.5) - motion.position(1.0) == pytest.approx(0.5)  # velocity 1/s in the middle


def test_short_moves_never_reach_full_velocity():
    motion = Motion(0.0, 0.001, velocity=1.0, acceleration_time=0.1)
    assert motion.duration == pytest.approx(2 * (0.001 * 0.1) ** 0.5)
    assert motion.position(motion.duration / 2) == pytest.approx(0.0005)


def test_put_completes_at_the_target(motor, run):
    run(motor.val.put(2.0))
    assert motor.rbv.value == 2.0
    assert motor.dmov.value == 1
    assert motor.movn.value == 0


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_every_put_pulses_done_moving(motor, run, target):
    done = history(motor.dmov)
    run(motor.val.put(target))
    assert done == [0, 1]


def test_readback_is_final_before_done_moving(motor, run):
    seen = []

    async def note(record, metadata):
        if record.value == 1:
            seen.append(motor.rbv.value)

    motor.dmov.sinks.append(note)
    run(motor.val.put(1.5))
    assert seen == [1.5]


@pytest.mark.parametrize("target", [5.1, -5.1, float("nan"), float("inf")])
def test_beyond_the_limits_nothing_moves(motor, run, target):
    run(motor.val.put(target))
    assert (motor.lvio.value, motor.rbv.value, motor.dmov.value) == (1, 0.0, 1)


def test_stop_holds_the_present_position(motor, run):
    async def work():
        await motor.velocity.put(0.02)  # 2.5 s of wall time, of which little passes here
        move = asyncio.ensure_future(motor.val.put(5.0))
        while motor.position < 0.01:
            await asyncio.sleep(0.001)
        await motor.stop.put(1)
        await move

    run(work())
    assert 0.01 <= motor.rbv.value < 5.0
    assert motor.val.value == motor.rbv.value
    assert motor.dmov.value == 1


def test_set_mode_redefines_the_position_without_moving(motor, run):
    async def work():
        await motor.set_mode.put("Set")
        await motor.val.put(3.0)
        await motor.set_mode.put("Use")

    run(work())
    assert (motor.rbv.value, motor.drbv.value, motor.offset.value) == (3.0, 0.0, 3.0)
    assert (motor.low_limit.value, motor.high_limit.value) == (-2.0, 8.0)


def test_reversed_direction_mirrors_position_and_limits(motor, run):
    async def work():
        await motor.low_limit.put(-1.0)
        await motor.direction.put("Neg")
        await motor.val.put(0.5)

    run(work())
    assert motor.drbv.value == -0.5
    assert (motor.low_limit.value, motor.high_limit.value) == (-5.0, 1.0)


def test_new_limits_reach_the_metadata(motor, run):
    run(motor.high_limit.put(1.0))
    assert motor.val.limits == (-5.0, 1.0)


def test_a_new_target_replaces_the_old_one(motor, run):
    async def work():
        first = asyncio.ensure_future(motor.val.put(5.0))
        await asyncio.sleep(0.005)
        await motor.val.put(-1.0)
        await first

    run(work())
    assert motor.rbv.value == -1.0


def test_past_positions_are_remembered(motor, run):
    run(motor.val.put(2.0))
    begin = motor._history[1].begin  # after the rest, before the rest
    assert motor.position_at(begin - 1) == 0.0
    assert motor.position_at(begin + 1.05) == pytest.approx(1.0)  # half of the 2.1 s
    assert motor.position_at(begin + 1e4) == 2.0


@pytest.mark.parametrize(("fault", "reached"), [("stall", 1.0), ("limit", 1.0), ("alarm", 2.0)])
def test_faults_end_where_they_should(motor, run, fault, reached):
    motor.fault = fault
    run(motor.val.put(2.0))
    assert motor.rbv.value == pytest.approx(reached, abs=1e-6)
    assert motor.hls.value == (fault == "limit")
    assert (motor.rbv.severity > 0) == (fault != "stall")


@pytest.mark.parametrize("fault", ["stuck", "no_dmov"])
def test_a_motor_that_never_says_done_does_after_stop_or_healing(motor, run, fault):
    async def work():
        motor.fault = fault
        move = asyncio.ensure_future(motor.val.put(0.1))
        await asyncio.sleep(0.02)
        busy = motor.dmov.value
        motor.fault = None
        await motor.stop.put(1)
        await motor.val.put(0.2)
        await move
        return busy

    assert run(work()) == 0
    assert (motor.dmov.value, motor.rbv.value) == (1, 0.2)
