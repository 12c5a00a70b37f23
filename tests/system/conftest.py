"""The reference page of faults as data, and a witness of what a faulted plan did and when."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import pytest
from bluesky.utils import FailedStatus
from ophyd.utils import DisconnectedError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"
SOAK = os.environ.get("EDGEWISE_SOAK") == "1"  # every row over Channel Access, with the usual margins
PATIENCE = 1.0 if SOAK else 0.1  # of the usual margins of all devices
SLACK = 3.0 if SOAK else 10.0  # s that a machine busy with other work may add
_measured = []


@dataclass(frozen=True)
class Row:
    """One fault of the page: what stock ophyd does, our error and the time within which it comes."""

    fault: str
    stock: str
    error: str
    within: str

    @property
    def pattern(self):
        """The error as a regular expression; "…" stands for anything."""
        return ".*".join(re.escape(part) for part in self.error.split("…"))

    def seconds(self, base):
        """Return the time on the page in s, margins shortened as the devices' are; `base` has the moving parts."""
        parts = re.split(r" \+ | and ", self.within)
        return sum(base[part] if part in base else PATIENCE * float(part.removesuffix(" s")) for part in parts)


def _rows():
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and cells[0] not in ("fault", "what") and not cells[0].startswith(("---", "pause", "RE.")):
            yield Row(*cells)


ROWS = {row.fault: row for row in _rows()}


@pytest.fixture(scope="session")
def rows():
    """Rows of the page by their fault."""
    return ROWS


def pytest_configure(config):
    """Make the markers of this folder known."""
    config.addinivalue_line("markers", "soak: minutes long; run by `make test-slow`")
    config.addinivalue_line("markers", "faults(names, over_channel_access): rows of the reference page to run")


def pytest_generate_tests(metafunc):
    """Give a test every row that its marker names, in process, and those of `over_channel_access` there, too."""
    marker = metafunc.definition.get_closest_marker("faults")
    if marker is None:
        return
    (names,) = marker.args
    over = names if SOAK else [name for name in names if name in marker.kwargs.get("over_channel_access", ())]
    cases = [("in process", name) for name in names] + [("channel access", name) for name in over]
    ids = [f"{name} {'in process' if place == 'in process' else 'over channel access'}" for place, name in cases]
    metafunc.parametrize(("place", "row"), [(place, ROWS[name]) for place, name in cases], ids=ids)


def pytest_collection_modifyitems(items):
    """Leave what takes minutes to the soak."""
    for item in items:
        if not SOAK and item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.skip(reason="minutes long: make test-slow runs it"))


def pytest_terminal_summary(terminalreporter):
    """Show, after a soak, how long each fault took beside what the page allows."""
    if SOAK and _measured:
        terminalreporter.section("faults: seconds from their effect to the error, and what the page allows")
        for place, row, seconds, allowed in _measured:
            terminalreporter.write_line(f"{place:15} {row.fault:26} {seconds:7.2f} {allowed:7.2f}  {row.within}")


@dataclass
class Witness:
    """Passes a plan on message by message, and keeps when what failed had begun and when the plan was told.

    Parameters
    ----------
    act : callable
        Puts the fault.
    when : callable (message) -> bool
        The first message for which it is true is preceded by the fault; None: the first after an event was saved.
    """

    act: object
    when: object = None
    error: BaseException | None = None
    put: float = 0.0
    told: float = 0.0
    begun: float = 0.0
    base: dict = field(default_factory=dict)

    def __call__(self, plan):
        """Return the plan, witnessed."""
        begins, block, saved, message, answer, thrown = {}, {}, False, None, None, None
        while True:
            try:
                message = plan.send(answer) if thrown is None else plan.throw(thrown)
            except StopIteration as end:
                return end.value
            thrown = None
            if not self.put and (saved if self.when is None else self.when(message)):
                self.act()
                self.put = time.time()
            if message.command == "prepare":
                block = message.args[0]
            now = (time.time(), _motion(message), _exposures(message, block))
            group = message.kwargs.get("group")
            if message.command != "wait" and group is not None:
                begins[group] = now
            try:
                answer = yield message
            except Exception as reason:  # noqa: BLE001 - passed on to the plan
                thrown = reason
                if self.error is None:
                    self._keep(reason, begins.get(group, now))
            saved = saved or message.command == "save"

    def _keep(self, reason, begin):
        self.error, self.told = reason, time.time()
        self.begun, motion, exposures = begin
        bases = ("at once", "the next reading", "the next reading after 10 s")
        self.base = dict.fromkeys(bases, 0.0) | {"motion": motion, "exposures": exposures, "counting time": exposures}

    @property
    def seconds(self):
        """From the beginning of what failed, or from the fault in the middle of it, to the news of the failure."""
        return self.told - max(self.begun, self.put)

    @property
    def said(self):
        """What the error, and all that led to it, say."""
        said, error = [], self.error
        while error is not None:
            said += [str(error), *(str(a.exception()) for a in error.args if hasattr(a, "exception"))]
            error = error.__cause__ or error.__context__
        return "\n".join(said)


def _motion(message):
    """Seconds that the hardware needs for a move, by its velocity."""
    axis = message.obj
    if message.command != "set" or not getattr(axis, "connected", False):
        return 0.0
    if hasattr(axis, "travel_time"):
        return axis.travel_time(message.args[0])
    if hasattr(axis, "targets"):
        return max(motor.travel_time(target) for motor, target in axis.targets(message.args[0]).items())
    return 0.0


def _exposures(message, block):
    if message.command != "trigger" or "exposure" not in block:
        return 0.0
    return block["exposure"] * block.get("per_trigger", block.get("frames", 1))


@pytest.fixture
def end_with_fault(tmp_path):
    """Return a function that runs a plan until a fault ends it: it gives the witness and the run's documents.

    The documents are those of the run that failed first, which is the innermost.
    """
    from acquisition.engine import make_engine
    from acquisition.errors import EdgewiseError
    from acquisition.journal import read
    from devices.errors import DeviceError
    from plans.errors import PlanError

    def run(plan, act, *, when=None):
        engine, _ = make_engine(tmp_path / "journal", beamline="small")
        witness = Witness(act, when)
        with pytest.raises((FailedStatus, DeviceError, DisconnectedError, EdgewiseError, PlanError, TimeoutError)):
            engine(witness(plan))
        runs = [read(path) for path in (tmp_path / "journal").glob("*.jsonl")]
        return witness, min(runs, key=lambda run: run[-1][1]["time"])

    return run


@pytest.fixture
def check_time():
    """Return a function that compares what a witness saw with a row's time."""

    def check(place, row, witness):
        allowed = row.seconds(witness.base)
        _measured.append((place, row, witness.seconds, allowed))
        assert witness.seconds <= allowed + SLACK, f"{witness.seconds:.2f} s, the page says {row.within}"

    return check


@pytest.fixture
def count_events():
    """Return a function that counts the events of a run by stream, and compares each with the frames in its file."""

    def count(documents):
        streams = {doc["uid"]: doc for name, doc in documents if name == "descriptor"}
        counts = dict.fromkeys((doc["name"] for doc in streams.values()), 0)
        for name, doc in documents:
            if name == "event":
                counts[streams[doc["descriptor"]]["name"]] += 1
        resources = {doc["uid"]: doc for name, doc in documents if name == "stream_resource"}
        for name, doc in documents:
            if name == "stream_datum":
                resource = resources[doc["stream_resource"]]
                path = resource["uri"].removeprefix("file://localhost")
                with h5py.File(path, "r", swmr=True, locking=False) as file:
                    held = file[resource["parameters"]["dataset"]].shape[0]
                assert held == streams[doc["descriptor"]]["data_keys"][resource["data_key"]]["shape"][0]
        return counts

    return count


@pytest.fixture
def impatient(monkeypatch):
    """Margins of all devices times `PATIENCE`, so that what does not end is noticed soon."""
    from devices.detector import Detector
    from devices.file_writer import Hdf5Writer
    from devices.ion_chambers import IonChambers
    from devices.motors import Motor
    from devices.potentiostat import Potentiostat

    for owner, name in (
        (Motor, "margin"), (Hdf5Writer, "file_timeout"), (IonChambers, "margin"), (Potentiostat, "timeout"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, PATIENCE * getattr(owner, name))
    for name in ("margin", "grace"):  # a busy machine writes frames late
        monkeypatch.setattr(Detector, name, max(PATIENCE, 0.3) * getattr(Detector, name))


def _hurried(*signals):
    """Shorten the limits that devices keep in signals, and give them back afterwards."""
    before = [signal.get() for signal in signals]
    for signal, value in zip(signals, before, strict=True):
        signal.put(PATIENCE * value)
    yield
    for signal, value in zip(signals, before, strict=True):
        signal.put(value)


@pytest.fixture(scope="session")
def scenarios(tmp_path_factory):
    """Return what runs a script of this folder in a process that can be abandoned, and gives its last line, JSON."""

    def run(name):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("EPICS_")}
        command = [sys.executable, str(Path(__file__).with_name(name)), str(tmp_path_factory.mktemp("scenarios"))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture
def place():
    """Where the beamline is served; rows of the page say it."""
    return "in process"


@pytest.fixture
def microscope(place, request, impatient):
    """The microscope at rest, with short margins; healed afterwards."""
    name = "in_process_world" if place == "in process" else "channel_access_world"
    world = request.getfixturevalue(name)
    b = world.devices
    _healed(world)
    for axis, value in ((b.energy, 8300.0), (b.sample.x, 0.0), (b.sample.rotation, 0.0), (b.shutter, "closed")):
        axis.set(value).wait(30)
    yield from _with_limits(world, b.shutter.timeout, b.photon_shutter.timeout, b.energy.settling_time)
    _healed(world)


@pytest.fixture
def station(place, request, impatient):
    """The station for bulk absorption at rest, with short margins; healed afterwards."""
    name = "bulk_in_process" if place == "in process" else "bulk_over_channel_access"
    world = request.getfixturevalue(name)
    b = world.devices
    _healed(world)
    for axis, value in ((b.energy, 8300.0), (b.foil, "Ni"), (b.shutter, "closed"), (b.cell, "stop")):
        axis.set(value).wait(30)
    yield from _with_limits(world, b.shutter.timeout, b.foil.timeout, b.energy.settling_time, b.cell.stale_after)
    _healed(world)
    b.cell.set("stop").wait(30)


def _healed(world):
    """Heal a beamline and wait until every process variable is there again."""
    from acquisition.beamline import connect

    world.fault("")
    connect(world.devices, timeout=20.0)


def _with_limits(world, *signals):
    limits = _hurried(*signals)
    next(limits)
    yield world
    next(limits, None)
