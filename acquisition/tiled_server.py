"""A Tiled server of our own: its configuration, its process, and clients of it."""

import secrets
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from acquisition.config import StationFile
from acquisition.processes import Service

__all__ = ["RAW", "RESULTS", "TiledServer", "broker", "connect"]

RAW = "raw"  # every run as it was measured
RESULTS = "processed"  # what the analysis made of it
CATALOG_SPEC = {"name": "CatalogOfBlueskyRuns", "version": "3.0"}


@dataclass(frozen=True, slots=True)
class TiledServer:
    """Where a Tiled server of ours is, and with what it is configured.

    Attributes
    ----------
    folder : Path
        Holds its configuration, API key and (by default) its database.
    host, port
        Where it listens.
    """

    folder: Path
    host: str
    port: int

    @property
    def uri(self) -> str:
        """Address for clients."""
        return f"http://{self.host}:{self.port}"

    @property
    def api_key(self) -> str:
        """The key that opens it, made on first use and kept in a file only its owner can read."""
        path = self.folder / "api_key"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32))
        return path.read_text().strip()

    def write_configuration(self, file: StationFile) -> Path:
        """Write the server's configuration; returns its path."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        configuration: dict[str, Any] = {
            "catalog": {
                "uri": file.tiled.catalog or f"sqlite:///{self.folder / 'catalog.db'}",
                "init_if_not_exists": True,
                "writable_storage": [
                    f"file://localhost{data}",
                    file.tiled.tables or f"duckdb:///{self.folder / 'tables.duckdb'}",
                ],
                "readable_storage": [f"file://localhost{file.storage.frames}"],
            },
            "authentication": {"single_user_api_key": self.api_key},
            "media_types": {
                "BlueskyRun": {"application/json-seq": "bluesky_tiled_plugins.exporters:json_seq_exporter"}
            },
            "streaming_cache": {"uri": "memory"},
            "uvicorn": {"host": self.host, "port": self.port},
        }
        path = self.folder / "config.yml"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(configuration))
        return path

    def service(self, file: StationFile, *, log: Path) -> Service:
        """The server as a child process, not started yet; ready when `connect` succeeds."""
        configuration = self.write_configuration(file)
        return Service("Tiled", ["-m", "tiled", "serve", "config", str(configuration)], log=log)


def connect(uri: str, api_key: str) -> Any:
    """A Tiled client of the root; the containers for runs and results are made when missing.

    Raises
    ------
    httpx.HTTPError
        When the server is not there, or not there yet.
    """
    from tiled.client import from_uri
    from tiled.structures.core import Spec

    client = from_uri(uri, api_key=api_key, headers={"Accept-Encoding": "identity"})  # loopback: no compression
    existing = set(client)
    if RAW not in existing:
        client.create_container(RAW, specs=[Spec(**CATALOG_SPEC)])
    if RESULTS not in existing:
        client.create_container(RESULTS)
    return client


def broker(runs: Any) -> Any:
    """databroker's `Broker` on a catalog of runs, beside which the catalog stays as it is.

    Asking the catalog itself for it (``runs.v1``) changes, for the whole process, how runs and streams look.
    """
    from tiled.utils import OneShotCachedMap

    shared = runs.structure_clients
    own = OneShotCachedMap({kind: partial(shared.__getitem__, kind) for kind in shared})
    return type(runs)(runs.context, item=runs.item, structure_clients=own).v1
