"""A step runs when the cycler says so, and the values of a silent or tripped cycler are refused."""

import pytest

from devices.errors import CellError, LimitError


@pytest.fixture
def cell(bulk):
    """The cell at rest."""
    device = bulk.devices.cell
    device.set("stop").wait(10)
    yield device
    bulk.fault("")
    device.set("stop").wait(10)


def test_a_charge_step_is_under_way_when_its_status_is_done(bulk, cell):
    cell.prepare({"current": 0.2, "end_current": 0.02, "upper_voltage": 4.6}).wait(10)
    cell.set("charge").wait(10)
    assert cell.end_current.get() == pytest.approx(0.02)
    assert bulk.get("SIM:cell:Status") in (1, "Charging")
    assert cell.read()["cell_status"]["value"] == "Charging"
    assert cell.current_set.get() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"current": 500.0}, r"cell_current_set 500\.0 mA is outside 0\.0\.\.100\.0 mA"),
        ({"upper_voltage": 9.0}, r"cell_upper_voltage 9\.0 V is outside 0\.0\.\.5\.0 V"),
        ({"current": float("nan")}, "nan mA is outside"),
        ({"resistance": 1.0}, "has no setting 'resistance'"),
        ({}, "prepared with nothing"),
    ],
)
def test_a_setting_out_of_range_is_refused(cell, setting, message):
    with pytest.raises(LimitError, match=message):
        cell.prepare(setting)


def test_a_word_that_is_no_step_is_refused(cell):
    with pytest.raises(LimitError, match="'explode' is not one of"):
        cell.set("explode")


def test_a_tripped_cycler_is_an_error(bulk, cell):
    bulk.fault("cell=over_voltage")
    with pytest.raises(CellError, match=r"the cycler has tripped at 5\.300 V"):
        cell.read()
    with pytest.raises(CellError, match=r"did not become Charging within|has tripped"):
        cell.set("charge").wait(10)
    cell.set("stop").wait(10)  # tripped is stopped


def test_a_silent_cycler_is_an_error_at_the_next_reading(bulk, cell):
    bulk.fault("cell=silent")
    cell.stale_after.put(-1.0)  # any silence at all
    try:
        with pytest.raises(CellError, match=r"silent for \d+\.\d s \(limit -1 s\)"):
            cell.read()
    finally:
        cell.stale_after.put(10.0)
