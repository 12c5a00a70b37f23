"""Each fault of the reference page ends a scan as the page says: none hangs, none succeeds falsely."""

import re
from pathlib import Path

import numpy as np
import pytest
from bluesky.utils import FailedStatus
from ophyd.utils import DisconnectedError

from acquisition.engine import make_engine
from acquisition.faults import known_faults
from acquisition.journal import read
from devices.errors import DeviceError
from plans.xanes_tomography import xanes_tomography

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "faults.md").read_text(encoding="utf-8")
ROWS = {
    cells[1].strip("` "): cells[3].strip()
    for line in PAGE.splitlines()
    if line.startswith("| ") and len(cells := line.split("|")) == 6 and cells[1].strip() not in ("fault", "---")
}
IN_A_SERIES = [
    fault for fault in ROWS if fault.startswith(("sample:", "zp:", "mono", "alarm=", "pv=", "cam=", "shutter="))
]
LIMIT = 30.0  # s: none of the faults may take longer with the short margins used here


def pattern(text):
    """A regular expression for an error of the page."""
    return ".*".join(re.escape(part) for part in text.split("…"))


@pytest.fixture
def impatient(monkeypatch):
    """Short margins, so that what does not end is noticed soon; the times on the page are the usual ones."""
    from devices.detector import Detector
    from devices.motors import Motor
    from devices.potentiostat import Potentiostat

    monkeypatch.setattr(Motor, "margin", 0.5)
    monkeypatch.setattr(Detector, "margin", 2.0)
    monkeypatch.setattr(Detector, "grace", 0.5)
    monkeypatch.setattr(Potentiostat, "timeout", 0.5)


@pytest.fixture
def beamline(in_process_world, impatient):
    """The microscope in process, at rest, with short times to wait; healed afterwards."""
    b = in_process_world.devices
    in_process_world.fault("")
    for axis, value in ((b.energy, 8300.0), (b.sample.x, 0.0), (b.sample.rotation, 0.0), (b.shutter, "closed")):
        axis.set(value).wait(30)
    for shutter in (b.shutter, b.photon_shutter):
        shutter.timeout.put(0.5)
    b.energy.settling_time.put(0.5)
    yield in_process_world
    in_process_world.fault("")
    b.shutter.timeout.put(5.0)
    b.photon_shutter.timeout.put(15.0)
    b.energy.settling_time.put(5.0)


def series(b, **changes):
    """A small energy series."""
    arguments = {
        "energies": (8320.0, 8340.0), "angles": (30.0, 120.0), "exposure": 0.05, "sample_in": 0.0, "sample_out": 0.5,
        "flats": 3, "darks": 3, "monitors": [b.ring, b.flux],
    }  # fmt: skip
    return xanes_tomography(b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter, **(arguments | changes))


def run_with_fault(world, folder, fault, plan):
    """Run a plan, put a fault when the darks are saved; return the error's text and the documents."""
    engine, _ = make_engine(folder, beamline="small")

    def at_first_event(name, _doc):
        if name == "event" and not put:
            put.append(fault)
            world.fault(fault)

    put: list[str] = []
    engine.subscribe(at_first_event)
    with pytest.raises((FailedStatus, DeviceError, DisconnectedError)) as caught:
        engine(plan)
    (journal,) = folder.glob("*.jsonl")
    return _texts(caught.value), read(journal)


def _texts(error):
    """What an error, and all that led to it, say."""
    said = []
    while error is not None:
        said += [str(error), *(str(argument.exception()) for argument in error.args if hasattr(argument, "exception"))]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


def test_every_fault_of_the_simulation_has_its_row():
    devices = {row.partition("=")[0] for row in ROWS}
    kinds = {device if ":" not in device else "motor" for device in known_faults()}
    assert kinds - {"motor"} <= devices
    motor = {row.partition("=")[2] for row in ROWS if ":" in row.partition("=")[0]}
    assert set(known_faults()["sample:x"]) <= motor
    for device in ("cam", "cell", "foil", "ic", "mono", "ring", "shutter"):
        assert {f"{device}={fault}" for fault in known_faults()[device]} <= set(ROWS)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", IN_A_SERIES)
def test_a_fault_ends_a_series_with_its_error_and_nothing_untrue_recorded(beamline, tmp_path, fault):
    b = beamline.devices
    said, documents = run_with_fault(beamline, tmp_path / "journal", fault, series(b))
    assert re.search(pattern(ROWS[fault]), said), said
    stop = documents[-1][1]
    assert stop["exit_status"] == "fail"
    assert b.shutter.status.get() == "Closed"
    # Darks were taken before the fault. Of the rest, only what was complete and in place may be there.
    streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    events = [streams[doc["descriptor"]] for name, doc in documents if name == "event"]
    assert events.count("dark") == 1
    assert events.count("primary") == 0


@pytest.mark.timeout(60)
def test_a_series_outlives_a_beam_dump_and_takes_the_energy_again(beamline, tmp_path):
    from acquisition.config import BeamSettings
    from acquisition.engine import protect

    b = beamline.devices
    engine, _ = make_engine(tmp_path / "journal", beamline="small")
    protect(engine, ring=b.ring, shutter=b.shutter, beam=BeamSettings(least_current=100.0, settle=0.2))
    flats = []

    def dump_after_first_flat(name, doc):
        if name == "event" and "energy" in doc["data"] and not flats:
            flats.append(doc)
            beamline.fault("ring=dump")
            engine.loop.call_later(1.0, beamline.fault, "ring=")

    engine.subscribe(dump_after_first_flat)
    engine(series(b))
    (journal,) = (tmp_path / "journal").glob("*.jsonl")
    documents = read(journal)
    assert documents[-1][1]["exit_status"] == "success"
    latest = {(doc["descriptor"], doc["seq_num"]): doc for name, doc in documents if name == "event"}
    currents = [doc["data"]["ring_current"] for doc in latest.values() if "energy" in doc["data"]]
    assert len(currents) == 4  # two energies, a flat and a tomogram each
    assert min(currents) > 100.0
    beamline.fault("")


def test_a_stuck_photon_shutter_is_an_error(beamline):
    beamline.fault("photon_shutter=stuck")
    with pytest.raises(DeviceError, match=pattern(ROWS["photon_shutter=stuck"])):
        beamline.devices.photon_shutter.set("closed").wait(LIMIT)


@pytest.mark.parametrize("fault", ["cell=silent", "cell=over_voltage"])
def test_a_cell_in_trouble_ends_a_series_at_its_next_reading(beamline, tmp_path, fault):
    cell = beamline.devices.cell
    cell.stale_after.put(0.6)  # s; the simulated cycler speaks every 0.05 s
    plan = series(beamline.devices, monitors=[cell], energies=(8310.0, 8320.0, 8330.0, 8340.0, 8350.0, 8360.0))
    said, documents = run_with_fault(beamline, tmp_path / "journal", fault, plan)
    cell.stale_after.put(10.0)
    assert re.search(pattern(ROWS[fault]), said), said
    assert documents[-1][1]["exit_status"] == "fail"
    assert beamline.devices.shutter.status.get() == "Closed"


def test_a_cell_without_current_does_not_charge(beamline):
    cell = beamline.devices.cell
    cell.set("stop").wait(LIMIT)
    beamline.fault("cell=open")
    with pytest.raises(DeviceError, match=pattern(ROWS["cell=open"])):
        cell.set("charge").wait(LIMIT)
    beamline.fault("")
    cell.set("stop").wait(LIMIT)


@pytest.fixture
def station(tmp_path, impatient):
    """The bulk absorption station in process."""
    from acquisition import beamline
    from acquisition.channel_access import set_timeouts
    from acquisition.config import SpectroscopyFile, packaged
    from sim.beamline import build
    from sim.control_layer import install
    from sim.simulation import Simulation

    set_timeouts()
    path = tmp_path / "xas.toml"
    path.write_text(packaged("xas_sim").read_text() + "speed = 200.0\nspecimen = {voxel = 0.5}\n")
    layer = install(build(Simulation.from_toml(path)).bank)
    try:
        devices = beamline.build_spectroscopy(SpectroscopyFile.load(path))
        beamline.connect(devices)
    finally:
        layer.restore()
    devices.foil.timeout.put(0.5)
    yield devices, lambda fault: layer.put("XAS:sim:Fault", fault)
    layer.close()


def test_a_stuck_foil_is_an_error(station):
    devices, put = station
    put("foil=stuck")
    with pytest.raises(DeviceError, match=pattern(ROWS["foil=stuck"])):
        devices.foil.set("out").wait(LIMIT)


def test_dead_ion_chambers_are_an_error(station):
    devices, put = station
    put("ic=dead")
    devices.shutter.set("open").wait(LIMIT)
    devices.chambers.prepare({"exposure": 1.0, "light": True}).wait(LIMIT)
    with pytest.raises(DeviceError, match=pattern(ROWS["ic=dead"])):
        devices.chambers.trigger().wait(LIMIT)


def test_the_spectrum_of_a_missing_foil_has_no_edge(station):
    from analysis.edge import half_height
    from analysis.spectra import Normalisation

    devices, put = station
    put("foil=missing")
    devices.shutter.set("open").wait(LIMIT)
    devices.chambers.prepare({"exposure": 4.0, "light": True}).wait(LIMIT)
    energies = np.concatenate(
        [np.arange(8253.0, 8320.0, 8.0), np.arange(8321.0, 8370.0, 3.0), np.arange(8370.0, 8440.0, 8.0)]
    )
    absorbance = []
    for energy in energies:
        devices.energy.set(energy).wait(LIMIT)
        devices.chambers.trigger().wait(LIMIT)
        reading = devices.chambers.read()
        transmitted, reference = (reading[f"chambers_{c}_voltage"]["value"] for c in ("transmitted", "reference"))
        absorbance.append(np.log((transmitted - 0.002) / (reference - 0.002)))
    windows = Normalisation(pre=(8250.0, 8320.0), post=(8370.0, 8440.0), e0=8333.0)
    noise = float(np.std(absorbance[:9]))  # of the points before the edge
    edge = half_height(energies, np.array(absorbance), windows, sigma=noise)
    assert edge.code.name == ROWS["foil=missing"]
