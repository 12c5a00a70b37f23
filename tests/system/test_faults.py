"""Each fault of the reference page ends a scan as the page says: none hangs, none succeeds falsely."""

import re

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest

from acquisition.faults import BY_NAME, check_fault, known_faults
from plans.energy_scan import energy_scan
from plans.in_situ import in_situ
from plans.xanes_tomography import xanes_tomography

pytestmark = pytest.mark.timeout(120)
DARK = ("alarm=flux:Rate", "invalid=ring:Current", "pv=ring:Current")  # seen when the first flat is read
BLOCKS = (
    "sample:x=stall", "sample:x=stuck", "sample:x=no_dmov", "sample:x=limit", "sample:x=alarm", "sample:rot=stuck",
    "zp:z=stall", "mono:gap=stall", "mono=off_energy", "alarm=mono:EnergyRBV", "pv=sample:x",
    "cam=hang", "cam=error", "cam=drop", "cam=lose", "cam=bad_file", "cam=disk_full", "shutter=stuck", *DARK,
)  # fmt: skip
SPECTRUM = ("ic=dead", "foil=stuck")
CELL = ("cell=silent", "cell=over_voltage")
OVER_CHANNEL_ACCESS = (
    "sample:x=stall", "sample:x=stuck", "mono=off_energy", "pv=sample:x", "cam=hang", "cam=drop", "cam=bad_file",
    "cam=disk_full", "pv=cam:cam1:Acquire", "shutter=stuck", "invalid=ring:Current", "pv=ring:Current", "foil=stuck",
    "cell=over_voltage", "cell=open",
)  # fmt: skip
ELSEWHERE = (  # by the tests of this folder that have more to say
    "ring=dump", "foil=missing", "photon_shutter=stuck", "pv=cam:cam1:Acquire", "cell=open",
    "IOC killed in mid-move", "IOC killed in mid-exposure",
)  # fmt: skip


def faults(*names):
    """Run a test for these rows of the page."""
    return pytest.mark.faults(names, over_channel_access=OVER_CHANNEL_ACCESS)


def series(b, **changes):
    """A small energy series."""
    arguments = {
        "energies": (8320.0, 8340.0), "angles": (30.0, 120.0), "exposure": 0.05, "sample_in": 0.0, "sample_out": 0.5,
        "flats": 3, "darks": 3, "monitors": [b.ring, b.flux],
    }  # fmt: skip
    return xanes_tomography(b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter, **(arguments | changes))


def spectrum(b, **changes):
    """A spectrum of a few points."""
    arguments = {"element": "Ni", "regions": [(8320.0, 8350.0, 10.0, 0.5)], "foil": b.foil, "monitors": [b.ring]}
    return energy_scan(b.chambers, b.energy, b.shutter, **(arguments | changes))


def opens_run(message):
    """Whether a message opens a run."""
    return message.command == "open_run"


def counts(message):
    """Whether a message lets the ion chambers count."""
    return message.command == "trigger" and message.obj.name == "chambers"


def test_every_fault_that_can_be_put_has_its_row_and_every_row_is_run(rows):
    assert set(rows) == {*BLOCKS, *SPECTRUM, *CELL, *ELSEWHERE}
    motor = {row.partition("=")[2] for row in rows if row.startswith("sample:x=")}
    for device, names in known_faults().items():
        if device in BY_NAME:
            assert any(row.startswith(f"{device}=") for row in rows)
        elif ":" in device:
            assert set(names) == motor
        elif device != "photon_shutter":
            assert {f"{device}={name}" for name in names} <= set(rows)
    for row in rows:
        if "=" in row:
            check_fault(row)


@faults(*BLOCKS)
def test_a_fault_ends_a_series(microscope, place, row, end_with_fault, check_time, count_events):
    b = microscope.devices
    witness, documents = end_with_fault(series(b), lambda: microscope.fault(row.fault))
    assert re.search(row.pattern, witness.said), witness.said
    check_time(place, row, witness)
    assert documents[-1][1]["exit_status"] == "fail"
    assert b.shutter.status.get() == "Closed"
    if "sample:x" not in row.fault:
        assert abs(b.sample.x.position) < 0.01  # mm, the tolerance of the motor
    # Darks were saved before the fault. Of the rest nothing was complete and in place.
    assert count_events(documents) | {"flat": 0, "primary": 0} == {"dark": 1, "flat": 0, "primary": 0}


@faults("pv=cam:cam1:Acquire")
def test_a_camera_lost_in_mid_exposure_ends_a_series(microscope, place, row, end_with_fault, check_time, count_events):
    b = microscope.devices
    triggers = []

    def waits_for_the_flats(message):
        triggers.extend([message] if message.command == "trigger" else [])
        return message.command == "wait" and len(triggers) == 2

    plan = series(b, exposure=100.0)  # half a second with the speed of the tests
    witness, documents = end_with_fault(plan, lambda: microscope.fault(row.fault), when=waits_for_the_flats)
    assert re.search(row.pattern, witness.said), witness.said
    check_time(place, row, witness)
    assert documents[-1][1]["exit_status"] == "fail"
    assert b.shutter.status.get() == "Closed"
    assert abs(b.sample.x.position) < 0.01
    assert count_events(documents) == {"dark": 1}


@faults("photon_shutter=stuck")
def test_a_stuck_photon_shutter_ends_a_scan(microscope, place, row, end_with_fault, check_time, count_events):
    b = microscope.devices

    @bpp.run_decorator(md={})
    def shut_down():
        yield from bps.trigger_and_read([b.ring, b.flux])
        yield from bps.mv(b.photon_shutter, "closed")
        yield from bps.trigger_and_read([b.ring, b.flux])

    witness, documents = end_with_fault(shut_down(), lambda: microscope.fault(row.fault))
    assert re.search(row.pattern, witness.said), witness.said
    check_time(place, row, witness)
    assert documents[-1][1]["exit_status"] == "fail"
    assert count_events(documents) == {"primary": 1}


@faults(*SPECTRUM)
def test_a_fault_ends_a_spectrum(station, place, row, end_with_fault, check_time, count_events):
    b = station.devices
    b.foil.set("out").wait(30)
    when = opens_run if row.fault.startswith("foil") else None
    witness, documents = end_with_fault(spectrum(b), lambda: station.fault(row.fault), when=when)
    assert re.search(row.pattern, witness.said), witness.said
    check_time(place, row, witness)
    assert documents[-1][1]["exit_status"] == "fail"
    assert b.shutter.status.get() == "Closed"
    assert count_events(documents).get("primary", 0) == 0


@faults("foil=missing")
def test_the_spectrum_of_a_missing_foil_has_no_jump(station, place, row, tmp_path):
    from acquisition.engine import make_engine
    from acquisition.journal import read
    from analysis.absorption_runs import on_foil_scale, read_scan
    from analysis.energy_scale import ScaleError

    engine, _ = make_engine(tmp_path / "journal", beamline="small")
    regions = [(8253.0, 8320.0, 8.0, 4.0), (8325.0, 8341.0, 1.0, 4.0), (8344.0, 8400.0, 8.0, 4.0)]
    station.fault(row.fault)
    engine(spectrum(station.devices, regions=regions))
    (journal,) = (tmp_path / "journal").glob("*.jsonl")
    with pytest.raises(ScaleError, match=row.pattern):
        on_foil_scale(read_scan(read(journal)))


@faults(*CELL)
def test_a_cell_in_trouble_ends_its_charge(station, place, row, end_with_fault, check_time, count_events):
    b = station.devices
    edges = {"Ni": [(8320.0, 8400.0, 1.0, 20.0)]}
    plan = in_situ(b.chambers, b.energy, b.shutter, b.cell, edges=edges, current=0.1, duration=3600.0)
    witness, documents = end_with_fault(plan, lambda: station.fault(row.fault), when=counts)
    assert re.search(row.pattern, witness.said), witness.said
    check_time(place, row, witness)
    assert documents[-1][1]["exit_status"] == "fail"
    assert documents[0][1]["plan_name"] == "energy_scan"
    assert b.shutter.status.get() == "Closed"
    assert count_events(documents).get("primary", 0) < 81
    assert b.cell.status.get(use_monitor=False) in ("Idle", "Fault")  # no current in either


@faults("cell=open")
def test_a_cell_without_current_is_not_measured(station, place, row, end_with_fault, check_time, count_events):
    b = station.devices
    plan = in_situ(
        b.chambers, b.energy, b.shutter, b.cell, edges={"Ni": [(8320.0, 8350.0, 10.0, 0.5)]}, current=0.1, rounds=1
    )
    witness, documents = end_with_fault(plan, lambda: station.fault(row.fault), when=opens_run)
    assert re.search(row.pattern, witness.said), witness.said
    check_time(place, row, witness)
    assert documents[-1][1]["exit_status"] == "fail"
    assert b.cell.status.get(use_monitor=False) == "Idle"
    assert not any(doc.get("plan_name") == "energy_scan" for _, doc in documents)
