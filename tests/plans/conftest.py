"""A small series on the simulated beamline in process, with a real RunEngine whose one subscriber is the journal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from acquisition.engine import make_engine
from acquisition.journal import read
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
