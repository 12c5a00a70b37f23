"""Counts are those of the counting that was asked for, or there are none."""

import threading
import time

import pytest
from ophyd.utils import DisconnectedError

from devices.errors import DetectorError, LimitError


@pytest.fixture
def chambers(bulk):
    """The chambers in full light, with gains that fit."""
    bulk.devices.energy.set(8320.0).wait(30)
    bulk.devices.shutter.set("open").wait(10)
    for chamber in bulk.devices.chambers.chambers:
        chamber.set("1e7 V/A").wait(10)
    bulk.put("SIM:counter:Count", 0)  # of a test before
    yield bulk.devices.chambers
    bulk.fault("")
    bulk.devices.shutter.set("closed").wait(10)


def count(chambers, seconds=1.0, **options):
    """Count once and return the reading."""
    chambers.prepare({"exposure": seconds, **options}).wait(10)
    chambers.trigger().wait(20)
    return {name: entry["value"] for name, entry in chambers.read().items()}


def test_the_light_falls_from_chamber_to_chamber(chambers):
    reading = count(chambers)
    assert reading["chambers_incident_voltage"] > 0.01
    assert reading["chambers_counter_elapsed"] == 1.0


def test_counts_grow_with_the_counting_time(chambers):
    short, long = count(chambers, 1.0), count(chambers, 4.0)
    ratio = long["chambers_incident_counts"] / short["chambers_incident_counts"]
    assert ratio == pytest.approx(4.0, rel=1e-2)  # ring decay within the test, photon noise


def test_ten_times_the_gain_gives_ten_times_the_signal(chambers):
    found = []
    for gain in ("1e7 V/A", "1e8 V/A", "1e7 V/A"):  # the beam drifts: before and after
        chambers.incident.set(gain).wait(10)
        found.append(count(chambers)["chambers_incident_voltage"] - chambers.incident.offset.get())
    before, high, after = found
    assert high / (0.5 * (before + after)) == pytest.approx(10.0, rel=1e-2)


def test_an_overloaded_amplifier_is_an_error_not_a_count(chambers):
    chambers.incident.set("1e10 V/A").wait(10)
    with pytest.raises(DetectorError, match=r"chambers_incident: amplifier in overload at gain 1e10 V/A"):
        count(chambers)


def test_a_dead_chamber_is_an_error_where_light_was_promised(bulk, chambers):
    bulk.fault("ic=dead")
    with pytest.raises(DetectorError, match=r"mV above its offset, less than 5 mV: no light, or a dead chamber"):
        count(chambers, light=True)
    count(chambers)  # a dark counting is allowed


def test_a_gain_that_the_amplifier_has_not_is_refused(chambers):
    with pytest.raises(LimitError, match=r"chambers_incident gain '5e8 V/A' is not one of 1e3 V/A"):
        chambers.incident.set("5e8 V/A")


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e5, float("nan")])
def test_a_counting_time_out_of_range_is_refused(chambers, seconds):
    with pytest.raises(LimitError, match=r"outside 0\.\.3600 s"):
        chambers.prepare({"exposure": seconds})


def test_a_counter_that_does_not_end_is_told_to_stop(bulk, chambers):
    chambers.prepare({"exposure": 3000.0}).wait(10)
    chambers.counter.preset.put(3000.0)
    chambers.margin = -2999.5
    try:
        with pytest.raises(DetectorError, match=r"the counter did not end within 0\.5 s; it is told to stop"):
            chambers.trigger().wait(20)
    finally:
        del chambers.margin


def test_a_pause_ends_a_counting_without_an_error_and_the_next_one_counts(bulk, chambers):
    chambers.prepare({"exposure": 3000.0, "light": True}).wait(10)
    status = chambers.trigger()
    chambers.pause()
    status.wait(10)
    assert count(chambers, 1.0, light=True)["chambers_counter_elapsed"] == 1.0


def test_a_counter_that_is_lost_fails_at_once(bulk_in_process):
    chambers = bulk_in_process.devices.chambers
    chambers.prepare({"exposure": 100.0}).wait(10)
    status = chambers.trigger()
    bulk_in_process.fault("pv=counter")
    with pytest.raises(DisconnectedError, match="lost its connection"):
        status.wait(20)
    bulk_in_process.fault("")
    bulk_in_process.put("SIM:counter:Count", 0)


def test_a_counter_that_somebody_else_uses_is_an_error(bulk_in_process):
    chambers = bulk_in_process.devices.chambers
    chambers.prepare({"exposure": 1000.0}).wait(10)
    chambers.trigger()
    end = time.monotonic() + 10
    while not bulk_in_process.get("SIM:counter:Count") and time.monotonic() < end:
        threading.Event().wait(0.01)
    with pytest.raises(DetectorError, match="the counter is busy with another counting"):
        chambers.trigger()
    bulk_in_process.put("SIM:counter:Count", 0)


def test_the_foil_has_moved_when_its_status_says_so(bulk):
    foil = bulk.devices.foil
    for state in ("out", "Co", "Ni"):
        foil.set(state).wait(10)
        assert foil.state == state


def test_the_foil_shows_its_edge_in_the_last_chamber_only(bulk, chambers):
    def absorbance():
        reading = count(chambers, 1.0)
        return reading["chambers_transmitted_voltage"] / reading["chambers_reference_voltage"]

    below = absorbance()
    bulk.devices.energy.set(8345.0).wait(30)
    assert absorbance() > 1.5 * below
