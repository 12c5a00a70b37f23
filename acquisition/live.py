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

from acquisition.journal import Follower
from acquisition.map_settings import load_map_settings
from acquisition.publish import Publisher
from analysis.edge import Code
from analysis.export import write_valence_map
from analysis.live.mapping import MapSettings, RegistrationError, ValenceMap, ValenceMapper
from analysis.live.series import BlockError, SeriesReader, Tomogram
from analysis.rotation_axis import RotationAxisError
from analysis.valence import CalibrationError

__all__ = ["LiveSeries", "summary"]

log = logging.getLogger("edgewise.live")
UNUSABLE = (BlockError, RegistrationError, RotationAxisError)


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
        self._status = results / f"{self.uid}.status.txt"
        self._reader = SeriesReader(self.uid)
        self._mapper = ValenceMapper(settings, start["plan_args"]["energies"])
        self._publisher = publisher
        self._runs: list[str] = []
        self._left_out: list[str] = []
        self._energies = 0

    def take(self, name: str, doc: dict[str, Any]) -> None:
        """Take one document of a run of this series."""
        if name == "start":
            self._runs.append(doc["uid"])
        try:
            for tomogram in self._reader(name, doc):
                self._refresh(tomogram)
        except UNUSABLE as reason:
            self._left_out.append(str(reason))
            log.error("left out: %s", reason)
        if name == "stop":
            log.info("SERIES %s run %s ended: %s", self.uid, doc["run_start"], doc["exit_status"])

    def _refresh(self, tomogram: Tomogram) -> None:
        begin = time.perf_counter()
        quality = self._mapper.add(tomogram)
        self._energies += 1
        log.info(
            "energy %.2f eV: shift (%.2f, %.2f) px, registration %.2f, voxel noise %.2e /um",
            quality.energy, quality.shift.dy, quality.shift.dx, quality.shift.quality, quality.voxel_sigma,
        )  # fmt: skip
        if not self._mapper.ready:
            return
        try:
            result = self._mapper.result()
        except CalibrationError as reason:
            log.warning("no map yet: %s", reason)
            return
        text = summary(result)
        write_valence_map(self.path, result, self._origin(tomogram))
        self._status.write_text(text)
        if self._publisher is not None:
            self._publisher.publish(self.uid, result, self._origin(tomogram))
        log.info("MAP %d %s (%.2f s after its frames)", self._energies, text, time.perf_counter() - begin)

    def _origin(self, tomogram: Tomogram) -> dict[str, Any]:
        return {
            "series_uid": self.uid,
            "run_uids": self._runs,
            "raw": [f"raw/{uid}" for uid in self._runs],
            "frames_of_last_energy": str(tomogram.projections.frames[0]),
            "left_out": self._left_out,
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
    """Hands each run of the journal to the series it belongs to."""

    def __init__(self, settings: MapSettings, results: Path, publisher: Publisher | None) -> None:
        self._settings, self._results, self._publisher = settings, results, publisher
        self._series: dict[str, LiveSeries] = {}
        self._of_file: dict[Path, LiveSeries] = {}

    def take(self, path: Path, name: str, doc: dict[str, Any]) -> None:
        """Take one document from the journal file `path`."""
        if name == "start" and doc.get("plan_name") == "xanes_tomography":
            uid = doc["series_uid"]
            if uid not in self._series:
                self._series[uid] = LiveSeries(doc, self._settings, self._results, self._publisher)
            self._of_file[path] = self._series[uid]
        if path in self._of_file:
            self._of_file[path].take(name, doc)


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
    options.results.mkdir(parents=True, exist_ok=True)
    settings = load_map_settings(options.settings)
    publisher = Publisher(options.tiled, os.environ["TILED_API_KEY"]) if options.tiled else None
    analyst, follower = Analyst(settings, options.results, publisher), Follower(options.journal)
    log.info("READY")
    while True:
        for path, documents in follower.new():
            for name, doc in documents:
                analyst.take(path, name, doc)
        if publisher is not None:
            publisher.retry()
        time.sleep(options.period)


if __name__ == "__main__":
    sys.exit(main())
