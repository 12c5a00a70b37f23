"""What cannot be carried out is refused before anything moves; what goes wrong later leaves the beamline safe."""

import math

import pytest
from bluesky.utils import FailedStatus, RunEngineInterrupted

from plans.errors import NotInPosition, PlanRefused

REFUSED = {
    "energy too low": ({"energies": [8320.0, 3000.0]}, r"energy 3000.0 eV is outside .* eV of energy"),
    "energy too high": ({"energies": [99999.0]}, r"energy 99999.0 eV is outside"),
    "no energies": ({"energies": []}, r"energies is empty"),
    "no angles": ({"angles": []}, r"angles is empty"),
    "energy twice": ({"energies": [8320.0, 8340.0, 8320.0]}, r"energies holds 8320.0 eV 2 times"),
    "energy not finite": ({"energies": [8320.0, math.nan]}, r"energies\[1\] is nan eV"),
    "angle not finite": ({"angles": [0.0, math.inf]}, r"angles\[1\] is inf deg"),
    "angle outside": ({"angles": [0.0, 1000.0]}, r"sample_rotation 1000.0 deg is outside -400"),
    "flats with the sample in": ({"sample_out": 0.0}, r"sample_out 0.0 is 0 from sample_in 0.0"),
    "flats with the sample nearly in": ({"sample_out": 1e-4}, r"sample_out 0.0001 is 0.0001 from sample_in"),
    "sample out not finite": ({"sample_out": math.nan}, r"sample_out nan is not a finite position"),
    "sample out outside": ({"sample_out": 100.0}, r"sample_x 100.0 .* is outside -25"),
    "no exposure": ({"exposure": 0.0}, r"exposure 0.0 s is not above 0 s"),
    "negative exposure": ({"exposure": -1.0}, r"exposure -1.0 s"),
    "exposure not finite": ({"exposure": math.inf}, r"exposure inf s"),
    "exposure not a number": ({"exposure": math.nan}, r"exposure nan s"),
    "no flats": ({"flats": 0}, r"flats 0 is not a whole number of at least 1"),
    "no darks": ({"darks": 0}, r"darks 0 is not a whole number of at least 1"),
    "half a flat": ({"flats": 1.5}, r"flats 1.5 is not a whole number"),
    "no tolerance": ({"energy_tolerance": 0.0}, r"energy_tolerance 0.0 eV is not above 0 eV"),
    "tolerance not a number": ({"energy_tolerance": math.nan}, r"energy_tolerance nan eV"),
    "order unknown": ({"order": "abba"}, r"order 'abba' is none of 'flats first', 'alternating'"),
    "no group": ({"group": 0}, r"group 0 is not a whole number of at least 1"),
    "disk too small": ({"flats": 10**13}, r"GB is less than the .* GB this plan writes"),
    "argument without JSON form": ({"series_uid": object()}, r"argument series_uid .* cannot be recorded"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_before_anything_moves(scan, case):
    changes, message = REFUSED[case]
    before = scan.world.settings()
    with pytest.raises(PlanRefused, match=message):
        scan.engine(scan.plan(**changes))
    assert scan.world.settings() == before
    assert list(scan.folder.iterdir()) == []  # no run was opened


def test_frames_are_taken_only_where_the_read_back_agrees(scan):
    axis = scan.world.devices.energy
    axis.tolerance.put(20.0)  # the axis believes anything, so that the plan's own gate is asked
    scan.world.fault("mono=off_energy")
    try:
        with pytest.raises(NotInPosition, match=r"energy reads .* eV from the planned 8320.0000 eV"):
            scan.engine(scan.plan())
    finally:
        axis.tolerance.put(0.2)
    documents = scan.documents()
    streams = {doc["name"] for name, doc in documents if name == "descriptor"}
    assert streams == {"baseline", "dark"}
    assert documents[-1][1]["exit_status"] == "fail"
    assert scan.safe()


@pytest.mark.parametrize("fault", ["sample:rot=stall", "cam=drop", "cam=error", "mono:bragg=limit"])
def test_a_failure_in_the_middle_leaves_the_shutter_closed_and_the_sample_in(scan, fault):
    def at_the_second_flat(name, doc):
        if name == "event" and doc["seq_num"] == 1 and "energy" in doc["data"]:
            scan.world.fault(fault)

    scan.engine.subscribe(at_the_second_flat)
    with pytest.raises((FailedStatus, RuntimeError)):
        scan.engine(scan.plan())
    assert scan.documents()[-1][1]["exit_status"] == "fail"
    assert scan.safe()


def test_a_shutter_that_does_not_close_keeps_no_sample_out(scan):
    scan.world.devices.shutter.timeout.put(0.3)
    scan.world.fault("shutter=stuck")
    try:
        with pytest.raises(FailedStatus):
            scan.engine(scan.plan())
    finally:
        scan.world.devices.shutter.timeout.put(5.0)
    assert abs(scan.world.devices.sample.x.position) < 0.01


@pytest.mark.parametrize(("command", "number", "device"), [("trigger", 4, "detector"), ("set", 2, "energy")])
def test_an_aborted_series_is_safe_and_says_so(scan, interrupted, command, number, device):
    with pytest.raises(RunEngineInterrupted):
        scan.engine(interrupted(scan.plan(), command, number, device))
    scan.engine.abort("by the test")
    assert scan.documents()[-1][1]["exit_status"] == "abort"
    assert scan.safe()
