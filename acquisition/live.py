"""The live analysis: a process that follows the journal and refreshes a valence map after each energy.

It never talks to the scan. A map goes to HDF5 first and to Tiled when Tiled is there; an energy that cannot be used is
named and left out, and the others go on.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.errors import EdgewiseError, JournalError
from acquisition.journal import Follower
from acquisition.map_settings import load_map_settings
from acquisition.publish import Publisher
from analysis.edge import Code
from analysis.export import write_valence_map
from analysis.live.mapping import ValenceMapper
from analysis.live.series import SeriesReader, Tomogram
from analysis.live.valence_map import MapSettings, ValenceMap

__all__ = ["Analyst", "LiveSeries", "summary"]

log = logging.getLogger("edgewise.live")
# What spoiled frames, missing files or foreign documents make of the analysis; none of it may end the process.
UNUSABLE = (ValueError, ArithmeticError, LookupError, OSError, TypeError, RuntimeError, MemoryError)


class LiveSeries:
    """One series on its way to a map: the reader of its documents, the mapper, and where the results go.

    Parameters
    ----------
    start
        Start document of the first run of the series.
    settings
        Choices of the analysis.
    results
        Folder for ``<series>.h5`` and ``<series>.status.txt``.
    publisher
        Sends the map on to Tiled; None leaves it in the file.
    """

    def __init__(
        self, start: dict[str, Any], settings: MapSettings, results: Path, publisher: Publisher | None
    ) -> None:
        self.uid: str = start["series_uid"]
        self.path = results / f"{self.uid}.h5"
        self.left_out: list[str] = []
        self._status = results / f"{self.uid}.status.txt"
        self._reader = SeriesReader(self.uid)
        arguments = start["plan_args"]
        self._mapper = ValenceMapper(
            settings, arguments["energies"], tolerance=float(arguments.get("energy_tolerance", 0.3))
        )
        self._publisher = publisher
        self._runs: list[str] = []
        self._energies: set[float] = set()

    def take(self, name: str, doc: dict[str, Any]) -> None:
        """Take one document of a run of this series."""
        if name == "start":
            self._runs.append(doc["uid"])
        try:
            tomograms = self._reader(name, doc)
        except UNUSABLE as reason:
            self._leave_out(f"a {name} document of run {self._runs[-1]}", reason)
            tomograms = []
        for tomogram in tomograms:
            self._take_tomogram(tomogram)
        if name == "stop":
            log.info("SERIES %s run %s ended: %s", self.uid, doc["run_start"], doc.get("exit_status"))

    def _take_tomogram(self, tomogram: Tomogram) -> None:
        begin = time.perf_counter()
        try:
            quality = self._mapper.add(tomogram)
        except UNUSABLE as reason:
            self._leave_out(f"energy {tomogram.planned:.2f} eV", reason)
            return
        self._energies.add(tomogram.planned)
        log.info(
            "energy %.2f eV: shift (%.2f, %.2f) px, registration %.2f, voxel noise %.2e /um",
            quality.energy, quality.shift.dy, quality.shift.dx, quality.shift.quality, quality.voxel_sigma,
        )  # fmt: skip
        if self._mapper.ready:
            self._refresh(tomogram, begin)

    def _leave_out(self, what: str, reason: BaseException) -> None:
        self.left_out.append(f"{what}: {type(reason).__name__}: {reason}")
        log.error("left out: %s", self.left_out[-1])

    def _refresh(self, tomogram: Tomogram, begin: float) -> None:
        try:
            result = self._mapper.result()
            text = summary(result)
            write_valence_map(self.path, result, self._origin(tomogram))
            self._status.write_text(text)
        except UNUSABLE as reason:
            log.warning("no map after %d energies: %s: %s", len(self._energies), type(reason).__name__, reason)
            return
        log.info("MAP %d %s (%.2f s after its frames)", len(self._energies), text, time.perf_counter() - begin)
        if self._publisher is not None:
            self._publisher.publish(self.uid, result, self._origin(tomogram))

    def _origin(self, tomogram: Tomogram) -> dict[str, Any]:
        return {
            "series_uid": self.uid,
            "run_uids": self._runs,
            "raw": [f"raw/{uid}" for uid in self._runs],
            "frames_of_last_energy": str(tomogram.projections.frames[0]),
            "left_out": self.left_out,
            "edgewise_version": version("edgewise"),
            "written": time.time(),
        }

    def close(self) -> None:
        """Give memory and temporary files back."""
        self._mapper.close()


def summary(result: ValenceMap) -> str:
    """One line on a map: how many voxels have a value, and how certain they are."""
    inside = result.code[result.mask]
    reported = inside == Code.OK
    if not reported.any():
        return "no voxel yet"
    sigma = float(np.nanmedian(result.valence_sigma[result.mask][reported]))
    return f"{100 * reported.mean():.0f} % of {inside.size} voxels, valence ± {sigma:.2f}"


class Analyst:
    """Hands each run of the journal to the series it belongs to.

    Parameters
    ----------
    settings, results, publisher
        As of `LiveSeries`.
    open_series : int
        Series kept in memory for further runs; the one that was silent for longest is closed first.
    """

    def __init__(
        self, settings: MapSettings, results: Path, publisher: Publisher | None = None, *, open_series: int = 2
    ) -> None:
        self._settings, self._results, self._publisher = settings, results, publisher
        self._most = open_series
        self.series: dict[str, LiveSeries] = {}  # the one that spoke last at the end
        self._of_file: dict[Path, str] = {}

    def take(self, path: Path, name: str, doc: dict[str, Any]) -> None:
        """Take one document from the journal file `path`."""
        if name == "start" and doc.get("plan_name") == "xanes_tomography":
            self._begin(path, doc)
        series = self.series.get(self._of_file.get(path, ""))
        if series is None:
            return
        self.series[series.uid] = self.series.pop(series.uid)
        series.take(name, doc)

    def _begin(self, path: Path, start: dict[str, Any]) -> None:
        uid = str(start.get("series_uid", ""))
        try:
            if not uid:
                raise ValueError("it names no series")
            if uid not in self.series:
                self.series[uid] = LiveSeries(start, self._settings, self._results, self._publisher)
        except UNUSABLE as reason:
            log.error("run %s is left out: %s: %s", start["uid"], type(reason).__name__, reason)
            return
        self._of_file[path] = uid
        for silent in list(self.series)[: -self._most]:
            if silent != uid:
                self.series.pop(silent).close()


def follow(follower: Follower, analyst: Analyst) -> None:
    """Take everything new from the journal; a damaged file is named and left alone."""
    try:
        for path, documents in follower.new():
            for name, doc in documents:
                analyst.take(path, name, doc)
    except JournalError as reason:
        log.error("left alone from here: %s", reason)


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow the journal until ended by a signal."""
    line = argparse.ArgumentParser(prog="python -m acquisition.live", description=__doc__)
    line.add_argument("--journal", type=Path, required=True, help="journal folder")
    line.add_argument("--results", type=Path, required=True, help="folder for the maps")
    line.add_argument("--settings", type=Path, required=True, help="TOML file with the map settings")
    line.add_argument("--tiled", help="URI of the Tiled server; its key is in TILED_API_KEY")
    line.add_argument("--period", type=float, default=0.1, help="seconds between looks at the journal")
    options = line.parse_args(arguments)
    os.environ.setdefault("TILED_RETRY_ATTEMPTS", "1")
    os.environ.setdefault("TILED_RETRY_TIMEOUT", "5")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        options.results.mkdir(parents=True, exist_ok=True)
        settings = load_map_settings(options.settings)
    except (EdgewiseError, ValueError, OSError) as reason:
        sys.stderr.write(f"live analysis: {reason}\n")
        return 1
    publisher = Publisher(options.tiled, os.environ["TILED_API_KEY"]) if options.tiled else None
    analyst, follower = Analyst(settings, options.results, publisher), Follower(options.journal)
    log.info("READY")
    while True:
        follow(follower, analyst)
        if publisher is not None:
            publisher.retry()
        time.sleep(options.period)


if __name__ == "__main__":
    sys.exit(main())
