"""A lost beam, a pause or a halt leaves the shutter closed; what was taken in the dark is taken again."""

import re
import threading

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import pytest
from bluesky.protocols import Pausable
from bluesky.utils import RunEngineInterrupted

from acquisition.config import BeamSettings
from acquisition.engine import make_engine, protect
from acquisition.errors import ReadingInAlarm
from acquisition.journal import read
from plans.energy_scan import energy_scan
from plans.xanes_tomography import xanes_tomography

pytestmark = pytest.mark.timeout(20)
BEAM = BeamSettings(least_current=100.0, settle=0.2)
PLACES = pytest.mark.parametrize("place", ["in process", "channel access"])


@pytest.fixture
def engine(tmp_path):
    """A protected engine for a station's devices, and its journal: engine(devices) gives (engine, guard)."""

    def make(b):
        engine, _ = make_engine(tmp_path / "journal", beamline="small")
        return engine, protect(engine, ring=b.ring, shutter=b.shutter, beam=BEAM)

    return make


def documents(tmp_path):
    """Return the documents of the one run."""
    (path,) = (tmp_path / "journal").glob("*.jsonl")
    return read(path)


def events(found):
    """Return the events by stream, in the order in which they were saved."""
    names = {doc["uid"]: doc["name"] for name, doc in found if name == "descriptor"}
    sorted_ = {name: [] for name in names.values()}
    for name, doc in found:
        if name == "event":
            sorted_[names[doc["descriptor"]]].append(doc)
    return sorted_


def latest(found):
    """Return the events that count: the last of each sequence number."""
    return list({event["seq_num"]: event for event in found}.values())


def series(b, **changes):
    """A small energy series."""
    arguments = {
        "energies": (8320.0, 8340.0), "angles": (30.0, 120.0), "exposure": 0.05, "sample_in": 0.0, "sample_out": 0.5,
        "flats": 3, "darks": 3, "monitors": [b.ring, b.flux],
    }  # fmt: skip
    return xanes_tomography(b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter, **(arguments | changes))


def disturbed(plan, disturb, *, command, number, name=None):
    """Call `disturb` just before the n-th message of a kind of a plan is carried out."""
    seen = []

    def look(message):
        if message.command == command and (name is None or getattr(message.obj, "name", None) == name):
            seen.append(message)
            if len(seen) == number:
                disturb()
        return message

    return bpp.msg_mutator(plan, look)


def paused(plan, command, number, name):
    """Pause a plan right after the n-th message of a kind to a device, before what it started has ended."""
    seen = []

    def after(message):
        if message.command == command and getattr(message.obj, "name", None) == name:
            seen.append(message)
            if len(seen) == number:
                return None, bps.pause()
        return None, None

    return bpp.plan_mutator(plan, after)


def mean_counts(found, stream):
    """Return the mean counts of the newest frames of each event of a stream."""
    names = {doc["uid"]: doc["name"] for name, doc in found if name == "descriptor"}
    resources = {doc["uid"]: doc for name, doc in found if name == "stream_resource"}
    means = {}
    for name, doc in found:
        resource = resources.get(doc.get("stream_resource"))
        if name == "stream_datum" and resource["data_key"] == "detector_frames" and names[doc["descriptor"]] == stream:
            path = resource["uri"].removeprefix("file://localhost")
            with h5py.File(path, "r", swmr=True, locking=False) as file:
                means[doc["seq_nums"]["start"]] = file["/entry/data/data"][()].mean()
    return means


def outage(world, b, engine, guard, states):
    """The beam is dumped; it comes back a while after the scan waits for it, which is checked meanwhile."""
    world.fault("ring=dump")

    def watch():
        ended = threading.Event()
        while not (guard.state.startswith("waiting") and b.shutter.status.get() == "Closed"):
            if ended.wait(0.02):
                return
        states.append((guard.state, str(engine.state), b.shutter.status.get()))
        world.fault("ring=")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@PLACES
@pytest.mark.parametrize(
    ("command", "number"),
    [("trigger", 2), ("trigger", 4), ("save", 2), ("save", 3), ("checkpoint", 2), ("checkpoint", 3), ("close_run", 1)],
    ids=["flats", "projections", "saving a flat", "saving a tomogram", "next energy", "end", "closing the run"],
)
def test_nothing_exposed_in_the_dark_counts(microscope, engine, tmp_path, command, number, count_events):
    b = microscope.devices
    RE, guard = engine(b)
    states = []
    plan = disturbed(series(b), lambda: outage(microscope, b, RE, guard, states), command=command, number=number)
    RE(plan)
    found = documents(tmp_path)
    assert found[-1][1]["exit_status"] == "success"
    count_events(found)  # the files hold the frames that the documents say
    for stream in ("flat", "primary"):
        counted = latest(events(found)[stream])
        assert sorted(event["data"]["energy_setpoint"] for event in counted) == [8320.0, 8340.0]
        assert min(event["data"]["ring_current"] for event in counted) > 100.0
        assert min(mean_counts(found, stream).values()) > 300.0  # the dark has 100 counts, full light some thousand
    ((state, running, shutter),) = states
    assert re.fullmatch(r"waiting for beam, 0\.0 mA, since \d\d:\d\d:\d\d", state)
    assert (running, shutter) == ("running", "Closed")  # what bluesky calls it, and what is true
    assert guard.state.startswith("beam")
    assert b.shutter.status.get() == "Closed"


def test_the_repeated_event_supersedes_the_spoiled_one(microscope, engine, tmp_path):
    b = microscope.devices
    RE, guard = engine(b)
    RE(disturbed(series(b), lambda: outage(microscope, b, RE, guard, []), command="trigger", number=4))
    flats = events(documents(tmp_path))["flat"]
    numbers = [event["seq_num"] for event in flats]
    assert numbers == [1, 1, 2]  # taken before the dump, and again with its tomogram
    repeated = flats[:2]
    assert repeated[0]["time"] < repeated[1]["time"]


def test_a_spectrum_counts_its_point_again(station, engine, tmp_path):
    b = station.devices
    RE, guard = engine(b)
    plan = energy_scan(
        b.chambers, b.energy, b.shutter, element="Ni", regions=[(8320.0, 8350.0, 10.0, 0.5)], monitors=[b.ring]
    )
    RE(disturbed(plan, lambda: outage(station, b, RE, guard, []), command="set", number=3, name="energy"))
    found = documents(tmp_path)
    counted = latest(events(found)["primary"])
    assert [event["data"]["energy_setpoint"] for event in counted] == [8320.0, 8330.0, 8340.0, 8350.0]
    incident = [event["data"]["chambers_incident_voltage"] for event in counted]
    assert min(incident) > 0.5 * max(incident)
    assert b.shutter.status.get() == "Closed"


def test_a_scan_does_not_begin_without_beam(microscope, engine, tmp_path):
    b = microscope.devices
    microscope.fault("ring=dump")
    RE, guard = engine(b)
    assert guard.state.startswith("waiting for beam, 0.0 mA")
    threading.Timer(0.3, microscope.fault, ("ring=",)).start()
    RE(series(b))
    currents = [event["data"]["ring_current"] for stream in events(documents(tmp_path)).values() for event in stream]
    assert min(currents) > 100.0


def test_a_low_current_in_alarm_is_waited_for_and_one_above_is_refused(microscope, engine, tmp_path):
    b = microscope.devices
    RE, guard = engine(b)

    def dumped_with_alarm():
        microscope.fault("alarm=ring:Current")
        outage(microscope, b, RE, guard, []).join(0)

    def healed(name, doc):
        if name == "event" and doc["data"].get("ring_current") == 0.0:
            microscope.fault("alarm=")

    RE.subscribe(healed)
    RE(bpp.run_wrapper(disturbed(_read_ring(b, 3), dumped_with_alarm, command="read", number=2)))
    assert documents(tmp_path)[-1][1]["exit_status"] == "success"


def _read_ring(b, times):
    for _ in range(times):
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([b.ring])
        yield from bps.sleep(0.1)


@pytest.mark.parametrize(("fault", "refused"), [("alarm=flux:", True), ("invalid=flux:", True), ("", False)])
def test_readings_in_alarm_are_not_recorded_outside_of_our_plans_either(microscope, engine, tmp_path, fault, refused):
    import bluesky.plans as bp

    b = microscope.devices
    RE, _ = engine(b)
    microscope.fault(fault)
    if refused:
        with pytest.raises(ReadingInAlarm, match=r"flux_rate \(SIM:flux:Rate\) reads .* alarm: not recorded"):
            RE(bp.count([b.flux]))
    else:
        RE(bp.count([b.flux]))
    assert len(events(documents(tmp_path)).get("primary", [])) == (0 if refused else 1)


@PLACES
def test_a_pause_closes_the_shutter_and_going_on_opens_it(microscope, engine, becomes):
    b = microscope.devices
    RE, _ = engine(b)
    seen = []

    def plan():
        yield from bps.mv(b.shutter, "open")
        yield from bps.checkpoint()
        if not seen:
            yield from bps.pause()
        seen.append(b.shutter.status.get())
        yield from bps.mv(b.shutter, "closed")

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    becomes(b.shutter.status, "Closed")
    RE.resume()
    assert seen == ["Open"]
    assert b.shutter.status.get() == "Closed"


@PLACES
@pytest.mark.parametrize(("how", "status"), [("abort", "abort"), ("stop", "success"), ("halt", "abort")])
@pytest.mark.parametrize(("command", "number", "name"), [("trigger", 2, "detector"), ("set", 2, "energy")])
def test_the_hardware_is_safe_however_a_scan_ends(
    microscope, engine, tmp_path, how, status, command, number, name, becomes
):
    b = microscope.devices
    RE, _ = engine(b)
    with pytest.raises(RunEngineInterrupted):
        RE(paused(series(b), command, number, name))
    becomes(b.shutter.status, "Closed")
    getattr(RE, how)()
    assert documents(tmp_path)[-1][1]["exit_status"] == status
    becomes(b.shutter.status, "Closed")
    for motor in (b.sample.x, b.sample.rotation, b.energy.monochromator.bragg):
        becomes(motor.motor_done_move, 1)
    becomes(b.detector.cam.acquire, 0)
    if how != "halt":
        assert abs(b.sample.x.position) < 0.01


@pytest.fixture
def becomes():
    """Return a function that waits until a signal has a value, ten seconds at most."""

    def wait(signal, wanted):
        there = threading.Event()

        def look(value=None, **_):
            if value == wanted:
                there.set()

        token = signal.subscribe(look, run=True)
        assert there.wait(10), f"{signal.name} is {signal.get()}"
        signal.unsubscribe(token)

    return wait


@PLACES
def test_a_halt_in_full_flight_closes_the_shutter(microscope, engine, becomes):
    b = microscope.devices
    RE, _ = engine(b)

    def plan():
        yield from bps.mv(b.shutter, "open")
        yield from bps.checkpoint()
        threading.Timer(0.1, RE.halt).start()
        yield from bps.sleep(30)

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    becomes(b.shutter.status, "Closed")


def test_what_can_pause_can_resume_or_the_engine_would_not_pause_it(in_process_world, bulk_in_process):
    devices = [*in_process_world.devices.devices(), *bulk_in_process.devices.devices()]
    pausing = [device for device in devices if hasattr(device, "pause")]
    assert {device.name for device in pausing} >= {"shutter", "detector", "fly", "chambers"}
    assert all(isinstance(device, Pausable) for device in pausing)


@PLACES
def test_a_pause_ends_an_acquisition_whose_limit_would_stop_the_next_one(microscope, becomes):
    detector = microscope.devices.detector
    detector.stage()
    try:
        detector.prepare({"frames": 2, "exposure": 2000.0}).wait(10)  # 10 s each with the speed of the tests
        status = detector.trigger()
        detector.pause()
        assert status.done
        becomes(detector.cam.acquire, 0)
        detector.prepare({"frames": 2, "exposure": 0.05}).wait(10)
        detector.trigger().wait(10)
    finally:
        detector.unstage()


@PLACES
def test_a_pause_ends_a_counting_so_that_the_point_can_be_counted_again(station, becomes):
    chambers = station.devices.chambers
    chambers.prepare({"exposure": 2000.0}).wait(10)
    status = chambers.trigger()
    chambers.pause()
    assert status.done
    becomes(chambers.counter.count, 0)
    chambers.prepare({"exposure": 0.5}).wait(10)
    chambers.trigger().wait(10)
