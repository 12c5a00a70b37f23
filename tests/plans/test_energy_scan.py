"""A spectrum is one run with its dark and its foil; what cannot be carried out is refused, what fails ends safely."""

import json
import math

import event_model
import numpy as np
import pytest
from bluesky.utils import FailedStatus, RunEngineInterrupted

from devices.errors import CellError
from plans.errors import NotInPosition, PlanRefused
from plans.estimate import Timing
from plans.estimate_spectra import estimate_spectra

ENERGIES = [8310.0, 8320.0, 8330.0, 8340.0, 8345.0, 8350.0]
REFUSED = {
    "no regions": ({"regions": []}, "regions is empty"),
    "half a region": ({"regions": [(8300.0, 8310.0, 1.0)]}, r"regions\[0\] .* is not four numbers"),
    "energy not finite": ({"regions": [(8300.0, math.nan, 1.0, 1.0)]}, r"regions\[0\] .* is not four numbers"),
    "step of none": ({"regions": [(8300.0, 8310.0, 0.0, 1.0)]}, "needs a step above 0"),
    "no counting time": ({"regions": [(8300.0, 8310.0, 1.0, 0.0)]}, r"regions\[0\] counts for 0.0 s"),
    "too long": ({"regions": [(8300.0, 8310.0, 1.0, 1e4)]}, r"chambers exposure 10000.0 s is outside 0..3600 s"),
    "falling regions": (
        {"regions": [(8300.0, 8310.0, 1.0, 1.0), (8305.0, 8320.0, 1.0, 1.0)]},
        r"regions\[1\] begins at 8305.0 eV, below 8310.0 eV",
    ),
    "energy too high": ({"regions": [(8300.0, 99000.0, 30000.0, 1.0)]}, r"energy 38300.0 eV is outside"),
    "no such foil": ({"element": "Fe"}, r"foil 'Fe' is not one of \['Co', 'Mn', 'Ni', 'out'\]"),
    "no dark": ({"dark_exposure": 0.0}, r"dark_exposure 0.0 s is not above 0 s"),
    "no tolerance": ({"energy_tolerance": 0.0}, r"energy_tolerance 0.0 eV is not above 0 eV"),
    "argument without JSON form": ({"series_uid": object()}, r"argument series_uid .* cannot be recorded"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_before_anything_moves(bulk_scan, case):
    changes, message = REFUSED[case]
    with pytest.raises(PlanRefused, match=message):
        bulk_scan.engine(bulk_scan.spectrum(**changes))
    assert bulk_scan.world.devices.energy.position == pytest.approx(8300.0, abs=0.01)
    assert list(bulk_scan.folder.iterdir()) == []  # no run was opened


def test_one_dark_then_one_event_per_energy_as_planned(bulk_scan, events_of):
    documents = bulk_scan.run(bulk_scan.spectrum())
    (dark,), points = events_of(documents, "dark"), events_of(documents, "primary")
    assert [point["data"]["energy_setpoint"] for point in points] == ENERGIES
    np.testing.assert_allclose([point["data"]["energy"] for point in points], ENERGIES, atol=0.3)  # the gate
    assert [point["data"]["chambers_counter_elapsed"] for point in points] == [0.5, 0.5, 0.5, 2.0, 2.0, 2.0]
    assert dark["data"]["chambers_counter_elapsed"] == 2.0
    # 2 mV of offset and no light against more than 1 V
    assert dark["data"]["chambers_incident_voltage"] < 0.01 * points[0]["data"]["chambers_incident_voltage"]
    assert len(events_of(documents, "baseline")) == 2
    assert bulk_scan.safe()


def test_each_energy_carries_the_cell_and_the_dark_says_which_foil_was_in(bulk_scan, events_of):
    documents = bulk_scan.run(bulk_scan.spectrum(element="Co", regions=[(7700.0, 7720.0, 10.0, 0.5)]))
    wanted = {"cell_voltage", "cell_current", "cell_charge", "cell_state_of_charge", "ring_current"}
    assert all(wanted <= point["data"].keys() for point in events_of(documents, "primary"))
    assert events_of(documents, "dark")[0]["data"]["foil_status"] == "Co"


def test_every_document_is_valid(bulk_scan):
    for name, doc in bulk_scan.run(bulk_scan.spectrum()):
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)


def test_the_arguments_in_the_start_document_plan_the_run_again(bulk_scan):
    start = bulk_scan.run(bulk_scan.spectrum(md={"sample": "A1"}))[0][1]
    arguments = start["plan_args"]
    assert json.loads(json.dumps(arguments, allow_nan=False)) == arguments
    assert (start["plan_name"], start["element"], start["edge"], start["sample"]) == ("energy_scan", "Ni", "K", "A1")
    again = bulk_scan.run(bulk_scan.spectrum(regions=arguments["regions"]))[0][1]["plan_args"]
    assert {**again, "series_uid": ""} == {**arguments, "series_uid": ""}


def test_nothing_is_counted_where_the_read_back_disagrees(bulk_scan, events_of):
    axis = bulk_scan.world.devices.energy
    axis.tolerance.put(20.0)  # the axis believes anything, so that the plan's own gate is asked
    bulk_scan.world.fault("mono=off_energy")
    try:
        with pytest.raises(NotInPosition, match=r"energy reads .* eV from the planned 8310.0000 eV"):
            bulk_scan.engine(bulk_scan.spectrum())
    finally:
        axis.tolerance.put(0.2)
    assert events_of(bulk_scan.documents(), "primary") == []
    assert bulk_scan.safe()


@pytest.mark.parametrize("fault", ["mono:bragg=stall", "ic=dead", "cell=over_voltage"])
def test_a_failure_in_the_middle_leaves_the_shutter_closed(bulk_scan, fault):
    def at_the_second_energy(name, doc):
        if name == "event" and doc["data"].get("energy_setpoint") == ENERGIES[1]:
            bulk_scan.world.fault(fault)

    bulk_scan.engine.subscribe(at_the_second_energy)
    with pytest.raises((FailedStatus, CellError)):
        bulk_scan.engine(bulk_scan.spectrum())
    assert bulk_scan.documents()[-1][1]["exit_status"] == "fail"
    assert bulk_scan.world.devices.shutter.status.get() == "Closed"


def test_a_shutter_that_does_not_close_at_the_end_is_an_error(bulk_scan):
    def at_the_second_energy(name, doc):
        if name == "event" and doc["data"].get("energy_setpoint") == ENERGIES[1]:
            bulk_scan.world.fault("shutter=stuck")

    bulk_scan.world.devices.shutter.timeout.put(0.3)
    bulk_scan.engine.subscribe(at_the_second_energy)
    try:
        with pytest.raises(FailedStatus) as failed:
            bulk_scan.engine(bulk_scan.spectrum())
    finally:
        bulk_scan.world.devices.shutter.timeout.put(5.0)
    assert "shutter did not become Closed" in str(failed.value.__cause__)


@pytest.mark.parametrize(("command", "number", "device"), [("trigger", 3, "chambers"), ("set", 4, "energy")])
def test_a_paused_spectrum_repeats_its_point_in_the_light(bulk_scan, interrupted, events_of, command, number, device):
    with pytest.raises(RunEngineInterrupted):
        bulk_scan.engine(interrupted(bulk_scan.spectrum(), command, number, device))
    bulk_scan.until_closed()
    bulk_scan.engine.resume()
    points = events_of(bulk_scan.documents(), "primary")
    assert [point["data"]["energy_setpoint"] for point in points] == ENERGIES
    rates = np.array([point["data"]["chambers_incident_voltage"] for point in points])
    assert rates.min() > 0.9 * rates.max()  # photon energy and ring current change little
    assert bulk_scan.safe()


def test_an_aborted_spectrum_is_safe_and_says_so(bulk_scan, interrupted):
    with pytest.raises(RunEngineInterrupted):
        bulk_scan.engine(interrupted(bulk_scan.spectrum(), "trigger", 3, "chambers"))
    bulk_scan.engine.abort("by the test")
    assert bulk_scan.documents()[-1][1]["exit_status"] == "abort"
    assert bulk_scan.safe()


def test_the_estimate_counts_every_point_and_refuses_what_the_plan_refuses():
    regions = [(8310.0, 8330.0, 10.0, 0.5), (8340.0, 8350.0, 5.0, 2.0)]
    bare = estimate_spectra({"Ni": regions, "Co": regions}, rounds=3)
    assert (bare.points, bare.counted, bare.seconds) == (36, 45.0, 57.0)  # 6 x 2 s of darks
    real = estimate_spectra({"Ni": regions}, timing=Timing(energy_step=1.0, shutter=0.5), dose_rate=10.0)
    assert (real.seconds, real.dose) == (7.5 + 2.0 + 6.0 + 1.0, 135.0)
    with pytest.raises(PlanRefused, match="regions is empty"):
        estimate_spectra({"Ni": []})
