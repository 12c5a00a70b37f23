"""Spectra while a cell charges: one series, a record of the cell without gaps, and a cycler that ends stopped."""

import json

import numpy as np
import pytest
from bluesky.utils import FailedStatus, RunEngineInterrupted

from acquisition.config import BeamSettings
from acquisition.engine import protect
from analysis.absorption_runs import read_scans
from analysis.cell_runs import cell_record
from devices.errors import CellError
from plans.errors import PlanRefused

SHORT = [(8320.0, 8340.0, 10.0, 0.5)]
REFUSED = {
    "no edges": ({"edges": {}}, "edges is empty"),
    "an edge that cannot be taken": ({"edges": {"Ni": [(99000.0, 99001.0, 1.0, 1.0)]}}, "energy 99000.0 eV is outside"),
    "no current": ({"current": 0.0}, "current 0.0 mA is not above 0 mA"),
    "too much current": ({"current": 500.0}, r"cell_current_set 500.0 mA is outside 0.0..100.0 mA"),
    "too high a voltage": ({"upper_voltage": 6.0}, r"cell_upper_voltage 6.0 V is outside 0.0..5.0 V"),
    "no such step": ({"step": "explode"}, r"cell 'explode' is not one of"),
    "no rounds": ({"rounds": 0}, "rounds 0 is not a whole number of at least 1"),
    "no charge": ({"charge": 0.0}, "charge 0.0 mAh is not above 0 mAh"),
    "no time": ({"duration": -1.0}, "duration -1.0 s is not above 0 s"),
    "a voltage that is not reached": ({"voltage": 4.9}, "voltage 4.9 V is not reached: the step ends at 4.8 V"),
    "half a retry": ({"retries": 0.5}, "retries 0.5 is not a whole number of at least 0"),
    "time backwards": ({"interval": -1.0}, "interval -1.0 s is below 0 s"),
}


@pytest.fixture
def charging(bulk_scan):
    """The station with its cell at rest, and its clock not so fast that a cell is full at once."""
    yield bulk_scan
    bulk_scan.world.devices.cell.prepare({"current": 0.1, "end_current": 0.0, "upper_voltage": 4.8}).wait(10)


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_before_the_cycler_starts(charging, case):
    changes, message = REFUSED[case]
    with pytest.raises(PlanRefused, match=message):
        charging.engine(charging.charge(**changes))
    assert list(charging.folder.iterdir()) == []
    assert charging.safe()


def test_each_spectrum_is_a_run_of_one_series_and_the_cell_has_one_of_its_own(charging):
    documents = charging.run(charging.charge(edges={"Ni": SHORT, "Co": [(7700.0, 7710.0, 5.0, 0.5)]}))
    starts = [doc for name, doc in documents if name == "start"]
    assert {start["plan_name"]: start["series_uid"] for start in starts}.keys() == {"energy_scan", "in_situ"}
    assert len({start["series_uid"] for start in starts}) == 1
    assert [(s.get("element"), s.get("round")) for s in starts if s["plan_name"] == "energy_scan"] == [
        ("Ni", 0), ("Co", 0), ("Ni", 1), ("Co", 1)
    ]  # fmt: skip
    arguments = next(start for start in starts if start["plan_name"] == "in_situ")["plan_args"]
    assert json.loads(json.dumps(arguments, allow_nan=False)) == arguments
    assert all(doc["exit_status"] == "success" for name, doc in documents if name == "stop")
    assert charging.safe()


def test_the_record_of_the_cell_goes_on_between_the_spectra(charging):
    documents = charging.run(charging.charge(edges={"Ni": SHORT}, rounds=3))
    record, scans = cell_record(documents), read_scans(documents)
    assert record.time[0] < scans[0].time[0]
    assert record.time[-1] > scans[-1].time[-1]
    assert (np.diff(record.charge) >= 0).all()
    assert record.charge[-1] > record.charge[0]
    assert record.mass_mg == 7.0
    # The state read at each energy is that of the record at that time. The clock runs 200 times faster: half a second
    # between the cycler's posts on a busy machine are 100 s of charge.
    there = record.at(scans[1].time).charge
    np.testing.assert_allclose(scans[1].readings["cell_charge"], there, atol=0.5 * 100 / 3600)


@pytest.mark.parametrize(("limit", "value"), [("charge", 1e-4), ("voltage", 2.5), ("duration", 1e-3), ("rounds", 1)])
def test_the_first_limit_that_is_met_ends_the_series(charging, limit, value):
    documents = charging.run(charging.charge(edges={"Ni": SHORT}, **({"rounds": 9} | {limit: value})))
    assert len(read_scans(documents)) == 1
    assert charging.safe()


def test_the_end_of_the_step_ends_the_series(charging):
    voltage = float(charging.world.devices.cell.voltage.get())
    documents = charging.run(charging.charge(edges={"Ni": SHORT}, rounds=50, current=1.0, upper_voltage=voltage + 0.06))
    assert len(read_scans(documents)) < 50
    assert charging.safe()


@pytest.mark.parametrize(
    ("fault", "message"),
    [("cell=over_voltage", r"the cycler has tripped at 5\.300 V"), ("cell=silent", r"the cycler has been silent for")],
)
def test_a_cell_in_trouble_ends_the_series_with_its_error_and_a_stopped_cycler(charging, fault, message):
    cell = charging.world.devices.cell

    def at_the_second_energy(name, doc):
        if name == "event" and doc["data"].get("energy_setpoint") == 8330.0:
            cell.stale_after.put(0.3)
            charging.world.fault(fault)

    charging.engine.subscribe(at_the_second_energy)
    try:
        with pytest.raises(CellError, match=message):
            charging.engine(charging.charge(edges={"Ni": [(8320.0, 8390.0, 1.0, 2.0)]}))
    finally:
        cell.stale_after.put(10.0)
    stops = [doc["exit_status"] for name, doc in charging.documents() if name == "stop"]
    assert stops == ["fail", "fail"]
    assert charging.safe()


def test_a_failed_spectrum_stops_the_cycler_too(charging):
    def at_the_second_energy(name, doc):
        if name == "event" and doc["data"].get("energy_setpoint") == 8330.0:
            charging.world.fault("mono:bragg=stall")

    charging.engine.subscribe(at_the_second_energy)
    with pytest.raises(FailedStatus):
        charging.engine(charging.charge(edges={"Ni": SHORT}))
    assert charging.safe()


def test_a_spectrum_that_failed_once_is_begun_again(charging):
    def at_the_second_energy(name, doc):
        if name == "event" and doc["data"].get("energy_setpoint") == 8330.0 and not failed:
            failed.append(doc)
            charging.world.fault("mono:bragg=stall")
        if name == "stop" and doc["exit_status"] == "fail":
            charging.world.fault("")

    failed = []
    charging.engine.subscribe(at_the_second_energy)
    documents = charging.run(charging.charge(edges={"Ni": SHORT}, rounds=1, retries=1))
    assert [(scan.complete, scan.exit_status) for scan in read_scans(documents)] == [(False, "fail"), (True, "success")]
    assert charging.safe()


def test_a_cell_without_current_does_not_begin(charging):
    charging.world.fault("cell=open")
    cell = charging.world.devices.cell
    cell.timeout = 0.5
    try:
        with pytest.raises(FailedStatus) as failed:
            charging.engine(charging.charge())
    finally:
        del cell.timeout
    assert "did not become Charging within" in str(failed.value.__cause__)
    assert read_scans(charging.documents()) == []
    assert charging.safe()


def test_the_cell_goes_on_during_a_pause_and_stops_when_the_series_is_aborted(charging, interrupted):
    with pytest.raises(RunEngineInterrupted):
        charging.engine(interrupted(charging.charge(), "trigger", 3, "chambers"))
    charging.until_closed()
    assert charging.world.devices.cell.status.get() == "Charging"
    charging.engine.abort("by the test")
    assert charging.safe()
    assert {doc["exit_status"] for name, doc in charging.documents() if name == "stop"} == {"abort"}


@pytest.mark.parametrize(
    ("command", "number", "device"),
    [("trigger", 1, "chambers"), ("trigger", 9, "chambers"), ("set", 1, "cell"), ("read", 1, "cell")],
    ids=["in the first dark", "in the second round", "as the step begins", "before it begins"],
)
def test_a_paused_series_goes_on(charging, interrupted, command, number, device):
    with pytest.raises(RunEngineInterrupted):
        charging.engine(interrupted(charging.charge(), command, number, device))
    charging.engine.resume()
    scans = read_scans(charging.documents())
    assert [scan.complete for scan in scans] == [True, True]
    assert charging.safe()


def test_a_halt_stops_the_cycler_though_it_skips_the_clean_up(charging, interrupted):
    b = charging.world.devices
    beam = BeamSettings(least_current=50.0, settle=0.0)
    protect(charging.engine, ring=b.ring, shutter=b.shutter, beam=beam, cell=b.cell)
    with pytest.raises(RunEngineInterrupted):
        charging.engine(interrupted(charging.charge(), "trigger", 3, "chambers"))
    charging.engine.halt()
    charging.until_closed()
    charging.until_idle()
    assert charging.safe()
