"""The cell charges as current and time say, with its plateau, and trips when it must."""

import asyncio

import pytest

from sim.cell import Cell, metal_valence
from sim.clock import Clock
from sim.records import Bank, PutRefusedError


@pytest.fixture
def cell():
    return Cell(Bank(), "S:cell:", Clock(3600.0))  # an hour per second


def test_charge_is_current_times_time(cell, run):
    async def work():
        await cell.current_set.put(0.5)
        await cell.command.put("Charge")
        before = cell.charge.value, cell._last
        await asyncio.sleep(0.05)
        await cell.refresh()
        return cell.charge.value - before[0], cell._last - before[1]

    charge, seconds = run(work())
    assert charge == pytest.approx(0.5 * seconds / 3600)


def test_metals_first_then_the_plateau():
    slope = metal_valence("Ni", 0.42) - metal_valence("Ni", 0.0)
    plateau = metal_valence("Ni", 1.0) - metal_valence("Ni", 0.42)
    assert slope > 10 * plateau
    assert metal_valence("Mn", 0.0) == metal_valence("Mn", 1.0) == 4.0


@pytest.mark.parametrize(("state_of_charge", "voltage"), [(0.25, 4.15), (0.5, 4.50), (0.9, 4.56)])
def test_voltage_follows_the_first_charge(cell, run, state_of_charge, voltage):
    cell._charge = state_of_charge * cell.capacity
    run(cell.refresh())
    assert cell.voltage.value == pytest.approx(voltage)


def test_charging_ends_at_the_upper_voltage(cell, run):
    async def work():
        await cell.upper.put(4.2)
        await cell.command.put("Charge")
        cell._charge = 0.4 * cell.capacity
        await cell.refresh()

    run(work())
    assert cell.status.value == 0


def test_over_voltage_trips_until_stopped(cell, run):
    cell.fault = "over_voltage"
    run(cell.command.put("Charge"))
    assert (cell.status.enums[cell.status.value], cell.status.severity) == ("Fault", 2)
    cell.fault = None
    with pytest.raises(PutRefusedError, match="tripped"):
        run(cell.command.put("Charge"))
    run(cell.command.put("Stop"))
    assert cell.status.value == 0


def test_a_silent_cycler_posts_nothing(cell, run):
    before = cell.voltage.timestamp
    cell.fault = "silent"
    run(cell.refresh())
    assert cell.voltage.timestamp == before


@pytest.mark.parametrize("current", [0.0, -1.0, 1000.0])
def test_impossible_currents_are_refused(cell, run, current):
    with pytest.raises(PutRefusedError, match="mA is outside"):
        run(cell.current_set.put(current))


def test_with_an_end_current_the_voltage_is_held_until_the_current_has_fallen(cell, run):
    async def work():
        for record, value in ((cell.upper, 4.7), (cell.current_set, 1.0), (cell.end_current, 0.2)):
            await record.put(value)
        await cell.command.put("Charge")
        cell._charge = 0.95 * cell.capacity  # 4.68 V at rest, 4.72 V with 1 mA through 40 ohm
        await cell.refresh()
        held = cell.status.value, cell.voltage.value, cell.current.value
        cell._last -= 1800.0
        await cell.refresh()
        return held, cell.status.value, cell.current.value

    held, ended, last = run(work())
    assert held == pytest.approx((3, 4.7, 0.5), abs=0.01)
    assert (ended, last) == (0, 0.0)
