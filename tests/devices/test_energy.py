"""The energy axis moves what must move together and is done when the read-back agrees."""

import pytest

from devices.errors import LimitError, MotionError


@pytest.fixture
def energy(world):
    """The energy axis at 8300 eV."""
    axis = world.devices.energy
    axis.set(8300.0).wait(30)
    return axis


def test_the_read_back_agrees_with_the_target(energy):
    energy.set(8350.0).wait(30)
    assert abs(energy.position - 8350.0) <= energy.tolerance.get()


def test_the_zone_plate_follows_by_its_focal_length(world, energy):
    before = energy.zone_plate.z.position
    energy.set(8400.0).wait(30)
    moved = energy.zone_plate.z.position - before
    focal = energy.zone_plate.focal_length(8400.0) - energy.zone_plate.focal_length(8300.0)
    assert moved == pytest.approx(focal, abs=1e-4)
    assert moved / 100.0 == pytest.approx(5.09e-3, rel=0.01)  # mm/eV of the SSRL zone plate


@pytest.fixture
def leaning(energy):
    """The axis with a zone plate whose slides run out across the beam."""
    for name, value in (("x_slope", 2e-5), ("y_slope", -1e-5), ("x_reference", 0.01)):
        getattr(energy, name).put(value)
    yield energy
    for name in ("x_slope", "y_slope", "x_reference"):
        getattr(energy, name).put(0.0)


def test_the_zone_plate_follows_across_the_beam_where_the_file_says_so(leaning):
    leaning.set(8433.0).wait(30)  # 100 eV above the reference energy
    assert leaning.zone_plate.x.position == pytest.approx(0.012, abs=1e-5)
    assert leaning.zone_plate.y.position == pytest.approx(-0.001, abs=1e-5)


def test_the_zone_plate_stays_where_it_is_across_the_beam_otherwise(energy):
    energy.zone_plate.x.set(0.003).wait(30)
    energy.set(8350.0).wait(30)
    assert energy.zone_plate.x.position == pytest.approx(0.003, abs=1e-5)


def test_the_limits_across_the_beam_are_limits_of_the_energy(leaning):
    leaning.y_slope.put(-2.0 / 500.0)  # 2 mm, the limit of the motor, in 500 eV
    low, high = leaning.limits
    assert (low, high) == pytest.approx((8333.0 - 500.0, 8333.0 + 500.0))
    with pytest.raises(LimitError, match=r"8900.0 eV is outside 7833.0..8833.0 eV of energy"):
        leaning.set(8900.0)


def test_planned_and_read_back_energy_are_recorded(energy):
    energy.set(8333.0).wait(30)
    reading = energy.read()
    assert reading["energy_setpoint"]["value"] == 8333.0
    assert reading["energy"]["value"] == pytest.approx(8333.0, abs=0.2)


@pytest.mark.parametrize("value", [3000.0, 12000.0, float("nan"), float("inf")])
def test_an_energy_outside_the_limits_is_refused_before_anything_moves(energy, value):
    before = energy.monochromator.bragg.position
    with pytest.raises(LimitError, match=r"energy .* eV is outside .* eV of energy"):
        energy.set(value)
    assert energy.monochromator.bragg.position == before


def test_an_energy_that_is_never_reached_fails_with_both_numbers(energy):
    energy.settling_time.put(0.3)
    energy.tolerance.put(-1.0)  # no read-back can agree
    try:
        with pytest.raises(MotionError, match=r"energy read-back 83\d\d\.\d+ eV is .* eV from 8377\.000 eV"):
            energy.set(8377.0).wait(30)
    finally:
        energy.settling_time.put(5.0)
        energy.tolerance.put(0.2)


@pytest.mark.parametrize("motor", ["mono:bragg", "zp:z"])
def test_the_axis_fails_with_the_motor_that_did_not_arrive(world, energy, motor):
    world.fault(f"{motor}=stall")
    with pytest.raises(MotionError, match=motor.replace("mono:", "monochromator_").replace("zp:", "zone_plate_")):
        energy.set(8500.0).wait(30)
