"""An IOC that dies ends what was under way at once, and the same devices work again when it is back."""

import re

import pytest

pytestmark = [pytest.mark.system, pytest.mark.soak, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def answer(scenarios):
    """What the scenarios gave."""
    return scenarios("ioc_death.py")


@pytest.mark.parametrize(
    ("what", "row"), [("move", "IOC killed in mid-move"), ("exposure", "IOC killed in mid-exposure")]
)
def test_the_operation_fails_with_the_process_variable_that_was_lost(answer, rows, what, row):
    assert re.search(rows[row].pattern, answer[what]["error"]), answer[what]["error"]


@pytest.mark.parametrize(
    ("what", "row"), [("move", "IOC killed in mid-move"), ("stock exposure", "IOC killed in mid-exposure")]
)
def test_stock_ophyd_does_not_notice(answer, rows, what, row):
    found = answer[what] if what.startswith("stock") else answer[what]["stock"]
    assert found == rows[row].stock  # both would have been over by themselves only long after


def test_a_lost_exposure_fails_long_before_its_limit(answer):
    # The run ends when the connection is lost, 1 s into the flats, not 10 s after the exposures; the shutter and the
    # sample stage, which cannot be reached either, add their own time-outs.
    assert answer["exposure"]["told"] < 10


def test_a_lost_move_fails_long_before_its_limit(answer):
    assert answer["move"]["seconds"] < 10  # the motion would have taken 50 s


def test_nothing_is_recorded_of_the_exposure_that_died(answer):
    assert answer["exposure"]["exit_status"] == "fail"
    assert answer["exposure"]["events"] == 1  # the dark


def test_the_same_devices_work_again(answer):
    assert answer["move"]["back"]
    assert answer["exposure"]["back"]
    assert answer["again"] == "idle"
