"""A bank keeps what clients put, and refuses what no record can hold."""

import pytest

from sim.clock import Clock
from sim.records import HANDLED, Bank, Kind, PutRefusedError


def test_enum_takes_states_and_numbers(run):
    record = Bank().add("S:mode", 0, enums=("Off", "On"))
    run(record.put("On"))
    assert record.value == 1
    run(record.put([0]))
    assert record.value == 0


@pytest.mark.parametrize("value", ["Half", 2, -1])
def test_enum_refuses_other_states(run, value):
    record = Bank().add("S:mode", 0, enums=("Off", "On"))
    with pytest.raises(PutRefusedError, match="S:mode"):
        run(record.put(value))


def test_number_refuses_text(run):
    with pytest.raises(PutRefusedError, match="S:x: 'far' is not a number"):
        run(Bank().add("S:x", 1.0).put("far"))


def test_long_string_takes_character_codes(run):
    record = Bank().add("S:path", "", Kind.LONG_STRING, length=256)
    run(record.put([47, 116, 109, 112, 0, 0]))
    assert record.value == "/tmp"


def test_on_put_decides_what_is_kept(run):
    async def half(record, value):
        return value / 2

    async def ignore(record, value):
        return HANDLED

    bank = Bank()
    run(bank.add("S:a", 0.0, on_put=half).put(4))
    run(bank.add("S:b", 0.0, on_put=ignore).put(4))
    assert (bank["S:a"].value, bank["S:b"].value) == (2.0, 0.0)


def test_names_are_unique():
    bank = Bank()
    bank.add("S:a", 1)
    with pytest.raises(ValueError, match="S:a exists already"):
        bank.add("S:a", 2)


def test_changing_the_speed_keeps_the_time_continuous():
    clock = Clock(1000.0)
    before = clock.now()
    clock.speed = 0.001
    after = clock.now()
    assert 0 <= after - before < 5000  # the 5 s of wall time allowed here are 5000 s at the old speed


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), 1e9])
def test_impossible_speeds_are_refused(speed):
    with pytest.raises(ValueError, match="speed"):
        Clock(speed)
