"""A session at a beamline: its services, its devices and its RunEngine, started together and ended together."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from acquisition import channel_access
from acquisition.config import load_file
from acquisition.errors import ServiceError
from acquisition.processes import Service
from acquisition.simulation import SimulatedBeamline
from acquisition.tiled_server import TiledServer

if TYPE_CHECKING:
    from bluesky import RunEngine

    from acquisition.beam_guard import BeamGuard
    from acquisition.beamline import Beamline, Spectroscopy
    from acquisition.journal import Document, Journal

__all__ = ["Control", "Session"]


@dataclass(frozen=True, slots=True)
class Control:
    """What a person at the prompt works with."""

    engine: "RunEngine"
    beamline: "Beamline | Spectroscopy"
    journal: "Journal"
    beam: "BeamGuard"


class Session:
    """A running service; a context manager that leaves no process behind.

    Parameters
    ----------
    path
        The beamline file, of a microscope or of a bulk absorption station.
    folder
        Everything is written below it.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = Path(path).absolute(), Path(folder).absolute()
        file = load_file(self.path)
        self.file = file.model_copy(update={"storage": file.storage.below(self.folder)})
        self.tiled = TiledServer(
            self.file.storage.tiled, self.file.tiled.host, self.file.tiled.port or channel_access.free_port_pair(40000)
        )
        self.simulated: SimulatedBeamline | None = None
        self.services: dict[str, Service] = {}
        self._control: Control | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for path in (self.file.storage.frames, self.file.storage.journal, self.file.storage.results):
            path.mkdir(parents=True, exist_ok=True)
        kept = self.folder / "beamline.toml"
        if kept != self.path:
            kept.write_text(self.path.read_text())  # so that the folder can be opened by itself later
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._control is not None:
            for device in self._control.beamline.devices():
                device.destroy()  # before its server ends, so that nobody is told of a lost connection
        self._stack.close()

    def start_simulation(self, *, speed: float | None = None) -> SimulatedBeamline:
        """Start the simulated beamline of the file, with its truth and its standards written beside the data."""
        if self.file.simulation is None:
            raise ServiceError(f"beamline {self.file.name!r} has no [simulation] table to start")
        self.simulated = SimulatedBeamline(self.path, self.folder / "simulation", log=self._log("ioc"), speed=speed)
        self.services["ioc"] = self._stack.enter_context(self.simulated.service)
        return self.simulated

    def start_storage(self) -> None:
        """Start Tiled and the archive that fills it; returns at once, since neither is needed to scan."""
        tiled = self.tiled.service(self.file, log=self._log("tiled"))
        self.services["tiled"] = self._stack.enter_context(tiled)
        archive = ["-m", "acquisition.archive", "--journal", str(self.file.storage.journal), "--tiled", self.tiled.uri]
        self.services["archive"] = self._stack.enter_context(
            Service("archive", archive, log=self._log("archive"), environment={"TILED_API_KEY": self.tiled.api_key})
        )

    def start_live_analysis(self, settings: Path) -> None:
        """Start the live analysis with the map settings in a TOML file."""
        arguments = ["-m", "acquisition.live", "--journal", str(self.file.storage.journal)]
        arguments += ["--results", str(self.file.storage.results), "--settings", str(settings)]
        arguments += ["--tiled", self.tiled.uri]
        self.services["live"] = self._stack.enter_context(
            Service(
                "live analysis", arguments, log=self._log("live"), environment={"TILED_API_KEY": self.tiled.api_key}
            )
        )

    def connect(self, *, timeout: float = 10.0) -> Control:
        """Make and connect the devices and the RunEngine of this session."""
        servers: Sequence[str] = self.file.channel_access.servers
        repeater = None
        if self.simulated is not None:
            self.simulated.wait_until_ready()
            servers, repeater = [self.simulated.server], self.simulated.port + 1
        channel_access.configure(servers, repeater_port=repeater)
        from acquisition import beamline as devices
        from acquisition.engine import make_engine, protect

        channel_access.set_timeouts()
        beamline = devices.build_station(self.file)
        devices.connect(beamline, timeout=timeout)
        engine, journal = make_engine(self.file.storage.journal, beamline=self.file.name)
        beam = protect(engine, ring=beamline.ring, shutter=beamline.shutter, beam=self.file.beam, cell=beamline.cell)
        self._control = Control(engine, beamline, journal, beam)
        return self._control

    def documents(self, series_uid: str | None = None) -> "list[Document]":
        """Documents of every run of a series, for the readers of the analysis; of the newest one when not given."""
        from acquisition.journal import read_series

        return read_series(self.file.storage.journal, series_uid)

    def tiled_client(self, *, timeout: float = 60.0) -> Any:
        """A client of this session's Tiled server, once it answers."""
        import httpx

        from acquisition.tiled_server import connect

        end = time.monotonic() + timeout
        while True:
            try:
                return connect(self.tiled.uri, self.tiled.api_key)
            except httpx.HTTPError as reason:
                if time.monotonic() > end:
                    raise ServiceError(
                        f"Tiled did not answer at {self.tiled.uri} within {timeout} s (log: {self._log('tiled')})"
                    ) from reason
                time.sleep(0.3)

    def _log(self, name: str) -> Path:
        return self.file.storage.logs / f"{name}.log"
