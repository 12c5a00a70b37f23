"""Small scans on the simulated beamlines in process, with a real RunEngine whose one subscriber is the journal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ophyd.status import SubscriptionStatus

from acquisition.engine import make_engine
from acquisition.journal import read, read_series
from plans.energy_scan import energy_scan
from plans.in_situ import in_situ
from plans.xanes_tomography import xanes_tomography

ENERGIES = (8320.0, 8360.0, 8340.0)


@dataclass(frozen=True)
class Scan:
    """A beamline ready to scan: its devices, its RunEngine and the folder of its journal."""

    world: Any
    engine: Any
    folder: Path

    def plan(self, **changes: Any) -> Any:
        """The small series, with some arguments changed."""
        b = self.world.devices
        arguments: dict[str, Any] = {
            "energies": ENERGIES, "angles": (0.0, 60.0, 120.0), "exposure": 0.05, "sample_in": 0.0, "sample_out": 2.0,
            "flats": 2, "darks": 2, "monitors": [b.ring, b.flux], "baseline": [b.sample],
        }  # fmt: skip
        axes = (b.detector, b.energy, b.sample.rotation, b.sample.x, b.shutter)
        return xanes_tomography(*axes, **(arguments | changes))

    def run(self, **changes: Any) -> list[tuple[str, dict[str, Any]]]:
        """Take the series; return its documents."""
        self.engine(self.plan(**changes))
        return self.documents()

    def documents(self) -> list[tuple[str, dict[str, Any]]]:
        """Documents of the newest run in the journal."""
        return read(max(self.folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns))

    def safe(self) -> bool:
        """Whether the shutter is closed and the sample in its place."""
        b = self.world.devices
        return b.shutter.status.get() == "Closed" and abs(b.sample.x.position) < 0.01


@pytest.fixture
def scan(in_process_world: Any, tmp_path: Path) -> Iterator[Scan]:
    """The beamline at 8300 eV with the sample in place and the shutter closed; healed afterwards."""
    in_process_world.fault("")
    b = in_process_world.devices
    for axis, value in ((b.energy, 8300.0), (b.sample.x, 0.0), (b.sample.rotation, 0.0), (b.shutter, "closed")):
        axis.set(value).wait(30)
    engine, _ = make_engine(tmp_path / "journal", beamline="small")
    yield Scan(in_process_world, engine, tmp_path / "journal")
    in_process_world.fault("")


@pytest.fixture
def interrupted() -> Callable[..., Any]:
    """Return a wrapper that asks for a pause after a plan's n-th message of a kind, once."""
    import bluesky.plan_stubs as bps
    import bluesky.preprocessors as bpp

    def wrap(plan: Any, command: str, number: int, device: str) -> Any:
        seen = []

        def after(message: Any) -> tuple[None, Any]:
            if message.command == command and message.obj.name == device:
                seen.append(message)
                if len(seen) == number:
                    return None, bps.pause()
            return None, None

        return bpp.plan_mutator(plan, after)

    return wrap


REGIONS = ((8310.0, 8330.0, 10.0, 0.5), (8340.0, 8350.0, 5.0, 2.0))


@dataclass(frozen=True)
class Bulk:
    """A bulk absorption station ready to scan: its devices, its RunEngine and the folder of its journal."""

    world: Any
    engine: Any
    folder: Path

    def spectrum(self, **changes: Any) -> Any:
        """A spectrum of a few points, with some arguments changed."""
        b = self.world.devices
        arguments: dict[str, Any] = {
            "element": "Ni", "regions": REGIONS, "foil": b.foil, "monitors": [b.cell, b.ring], "baseline": [b.flux]
        }  # fmt: skip
        return energy_scan(b.chambers, b.energy, b.shutter, **(arguments | changes))

    def charge(self, **changes: Any) -> Any:
        """Two rounds of a few points while the cell charges, with some arguments changed."""
        b = self.world.devices
        arguments: dict[str, Any] = {"edges": {"Ni": REGIONS}, "current": 0.5, "upper_voltage": 4.8, "rounds": 2}
        return in_situ(b.chambers, b.energy, b.shutter, b.cell, **(arguments | changes))

    def run(self, plan: Any) -> list[tuple[str, dict[str, Any]]]:
        """Run a plan; return the documents of its series."""
        self.engine(plan)
        return self.documents()

    def documents(self) -> list[tuple[str, dict[str, Any]]]:
        """Documents of the newest series in the journal."""
        return read_series(self.folder)

    def until_closed(self) -> None:
        """Wait until the shutter says it is closed; a pause does not wait for it."""
        SubscriptionStatus(self.world.devices.shutter.status, lambda *, value, **_: value == "Closed").wait(10)

    def until_idle(self) -> None:
        """Wait until the cycler says that it has stopped."""
        SubscriptionStatus(self.world.devices.cell.status, lambda *, value, **_: value == "Idle").wait(10)

    def safe(self) -> bool:
        """Whether the shutter is closed and the cycler stopped, or tripped, which is no less safe."""
        b = self.world.devices
        return b.shutter.status.get() == "Closed" and b.cell.status.get() in ("Idle", "Fault")


@pytest.fixture
def bulk_scan(bulk_in_process: Any, tmp_path: Path) -> Iterator[Bulk]:
    """The station at 8300 eV, shutter closed, no foil in, usual gains, the cell at rest; healed afterwards."""
    b = bulk_in_process.devices
    bulk_in_process.fault("")
    for device, value in ((b.energy, 8300.0), (b.shutter, "closed"), (b.foil, "out"), (b.cell, "stop")):
        device.set(value).wait(30)
    for chamber in b.chambers.chambers:
        chamber.set("1e8 V/A").wait(10)
    engine, _ = make_engine(tmp_path / "journal", beamline="small")
    yield Bulk(bulk_in_process, engine, tmp_path / "journal")
    bulk_in_process.fault("")
    b.cell.set("stop").wait(10)


@pytest.fixture(scope="session")
def events_of() -> Callable[..., list[dict[str, Any]]]:
    """Return a function that picks the events of one stream, of runs of one plan, out of documents."""

    def pick(documents: Any, stream: str, plan: str = "energy_scan") -> list[dict[str, Any]]:
        runs = {doc["uid"] for name, doc in documents if name == "start" and doc["plan_name"] == plan}
        streams = {
            doc["uid"]
            for name, doc in documents
            if name == "descriptor" and doc["name"] == stream and doc["run_start"] in runs
        }
        return [doc for name, doc in documents if name == "event" and doc["descriptor"] in streams]

    return pick
