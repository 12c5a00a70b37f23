"""Read a run back through Tiled and through databroker, and compare it with the journal and the files."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.errors import ServiceError
from acquisition.journal import read
from acquisition.session import Session
from acquisition.tiled_server import RAW, broker
from analysis.live.series import SeriesReader, Tomogram

__all__ = ["verify_archive", "verify_run"]


def verify_archive(session: Session, journal: Path, *, timeout: float = 60.0) -> list[str]:
    """Compare a run of a session with what the session's Tiled server gives (see `verify_run`)."""
    return verify_run(session.tiled_client()[RAW], journal, timeout=timeout)


def verify_run(catalog: Any, journal: Path, *, timeout: float = 60.0) -> list[str]:
    """Compare energies, angles and frames of a run in the journal with what Tiled and databroker give.

    Parameters
    ----------
    catalog
        Tiled client of the catalog of runs.
    journal
        File of the run.
    timeout
        Seconds the run may take to be complete in Tiled.

    Returns lines for a person to read.

    Raises
    ------
    ServiceError
        When the run does not arrive within `timeout` seconds, or a number differs.
    """
    documents = read(journal)
    uid = documents[0][1]["uid"]
    reader = SeriesReader()
    tomograms = [tomogram for name, doc in documents for tomogram in reader(name, doc)]
    run = _wait_for_stop(catalog, uid, timeout=timeout)
    detector, energy = _names(documents)
    _compare(run["primary"], tomograms, detector, energy)
    lines = [f"Tiled holds the run: {len(tomograms)} tomograms, energies and frames as in journal and files"]
    _compare_broker(broker(catalog), uid, tomograms, detector, energy)
    lines.append("databroker's Broker gives the same energies and frames")
    return lines


def _wait_for_stop(catalog: Any, uid: str, *, timeout: float) -> Any:
    end = time.monotonic() + timeout
    while uid not in catalog or "stop" not in catalog[uid].metadata:
        if time.monotonic() > end:
            raise ServiceError(f"run {uid} was not complete in Tiled within {timeout} s; see the archive's log")
        time.sleep(0.2)
    return catalog[uid]


def _names(documents: list[tuple[str, dict[str, Any]]]) -> tuple[str, str]:
    start = documents[0][1]
    return start["detectors"][0], start["hints"]["dimensions"][0][0][0]


def _compare(stream: Any, tomograms: list[Tomogram], detector: str, energy: str) -> None:
    energies = np.asarray(stream[energy].read())
    _require_equal("energies in Tiled", energies, np.array([t.energy for t in tomograms]))
    for index in (0, len(tomograms) - 1):
        frames = stream[f"{detector}_frames"][index]
        _require_equal(f"frames {index} in Tiled", frames, tomograms[index].projections.read())
    _require_equal("angles in Tiled", stream[f"{detector}_angle"][0], tomograms[0].projections.read_angles())


def _compare_broker(legacy: Any, uid: str, tomograms: list[Tomogram], detector: str, energy: str) -> None:
    header = legacy[uid]
    table = header.table("primary", fields=[energy])
    _require_equal("energies in databroker", table[energy].to_numpy(), np.array([t.energy for t in tomograms]))
    frames = next(iter(header.data(f"{detector}_frames", stream_name="primary")))
    _require_equal("frames in databroker", frames, tomograms[0].projections.read())


def _require_equal(what: str, found: Any, expected: Any) -> None:
    if not np.array_equal(np.asarray(found), np.asarray(expected)):
        raise ServiceError(f"{what} differ from the journal and the files")
