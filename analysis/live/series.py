"""Join the documents of an energy-stepped tomography into tomograms with their flat and dark.

Rows are keyed by (stream, planned energy): a point that was repeated after a pause, or an energy that was taken
again in a later run of the same series, replaces the earlier one. Flats may come before or after the projections of
their energy; each belongs to one tomogram.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockError", "FrameBlock", "SeriesReader", "Tomogram"]


class BlockError(OSError):
    """The file of a block is missing, cut short or does not hold what the documents say."""


@dataclass(frozen=True, slots=True)
class FrameBlock:
    """Where the frames of one event are.

    Attributes
    ----------
    frames, angle : tuple of (Path, str)
        File and dataset of the frames (frame, row, column) and of their angles in degrees.
    shape : tuple of int
        Frames, rows, columns as the documents state them.
    exposure : float
        Seconds per frame.
    time : float
        POSIX time at which the block was complete.
    readings : dict
        Every other number of the event, e.g. ring current and cell voltage.
    """

    frames: tuple[Path, str]
    angle: tuple[Path, str] | None
    shape: tuple[int, int, int]
    exposure: float
    time: float
    readings: dict[str, Any] = field(default_factory=dict)

    def read(self) -> NDArray[Any]:
        """The frames; raises `BlockError` when the file does not hold what the documents say."""
        frames = _dataset(*self.frames)
        if frames.shape != self.shape:
            raise BlockError(f"{self.frames[0]}: holds frames of shape {frames.shape}, the documents say {self.shape}")
        return frames

    def read_angles(self) -> NDArray[np.float64]:
        """Angle of each frame in degrees."""
        if self.angle is None:
            raise BlockError(f"{self.frames[0]}: the documents point to no angles")
        angles = _dataset(*self.angle)
        if angles.shape != self.shape[:1]:
            raise BlockError(f"{self.angle[0]}: holds {angles.shape[0]} angles for {self.shape[0]} frames")
        return np.asarray(angles, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Tomogram:
    """One energy of a series: projections with the flat and dark they belong to.

    Attributes
    ----------
    planned, energy : float
        Planned and read-back photon energy in eV.
    pixel_size : float
        Micrometres per pixel at the sample.
    projections, flat, dark : FrameBlock
    run_uid : str
        Run that holds it.
    photons_per_count : float
        Detected photons per count of the camera; 1 when the documents do not say.
    """

    planned: float
    energy: float
    pixel_size: float
    projections: FrameBlock
    flat: FrameBlock
    dark: FrameBlock
    run_uid: str
    photons_per_count: float = 1.0


class SeriesReader:
    """Call it with each document in turn; it returns the tomograms that became complete.

    Runs of several series may be mixed; ask with `series_uid` for one series only.
    """

    def __init__(self, series_uid: str | None = None) -> None:
        self.series_uid = series_uid
        self.start: dict[str, Any] | None = None
        self._runs: dict[str, _Run] = {}
        self._children: dict[str, str] = {}  # descriptor or stream resource uid: run uid

    def __call__(self, name: str, doc: dict[str, Any]) -> list[Tomogram]:
        """Take one document; return the tomograms it completed (at most one)."""
        if name == "start":
            if doc.get("plan_name") == "xanes_tomography" and self.series_uid in (None, doc["series_uid"]):
                self.series_uid = doc["series_uid"]
                self.start = self.start or doc
                self._runs[doc["uid"]] = _Run(doc)
            return []
        if name in ("descriptor", "stream_resource", "stop"):
            run_uid = doc["run_start"]
            if name != "stop":
                self._children[doc["uid"]] = run_uid
        else:
            run_uid = self._children.get(doc.get("descriptor", ""), "")
        run = self._runs.get(run_uid)
        return [] if run is None else run.take(name, doc)


class _Run:
    """One run of a series."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.uid: str = start["uid"]
        self.energy_key: str = start["hints"]["dimensions"][0][0][0]
        self.detector: str = start["detectors"][0]
        self.descriptors: dict[str, dict[str, Any]] = {}
        self.resources: dict[str, dict[str, Any]] = {}
        self.pending: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}  # (descriptor, seq_num): {data key: ...}
        self.dark: FrameBlock | None = None
        self.flats: dict[float, FrameBlock] = {}  # by planned energy; those that wait for their projections
        self.projections: dict[float, tuple[FrameBlock, dict[str, Any]]] = {}  # those that wait for their flats

    def take(self, name: str, doc: dict[str, Any]) -> list[Tomogram]:
        if name == "descriptor":
            self.descriptors[doc["uid"]] = doc
        elif name == "stream_resource":
            self.resources[doc["uid"]] = doc
        elif name == "stream_datum":
            resource = self.resources.get(doc["stream_resource"])
            if resource is None:
                raise BlockError(f"run {self.uid}: a stream datum points to a resource that was never declared")
            for number in range(doc["seq_nums"]["start"], doc["seq_nums"]["stop"]):
                self.pending.setdefault((doc["descriptor"], number), {})[resource["data_key"]] = resource
        elif name == "event":
            return self._event(doc)
        elif name == "stop":
            self._require_flats(doc)
        elif name == "event_page":
            raise ValueError(f"run {self.uid}: event pages are not part of a journal; unpack them first")
        return []

    def _event(self, doc: dict[str, Any]) -> list[Tomogram]:
        stream = self.descriptors[doc["descriptor"]]
        resources = self.pending.pop((doc["descriptor"], doc["seq_num"]), {})
        if stream["name"] not in ("dark", "flat", "primary"):
            return []
        block = self._block(stream, resources, doc)
        if stream["name"] == "dark":
            self.dark = block
            return []
        planned = float(doc["data"][f"{self.energy_key}_setpoint"])
        if self.dark is None:
            raise BlockError(f"run {self.uid}: the {stream['name']} at {planned} eV has no dark")
        if stream["name"] == "flat":
            self.flats[planned] = block
        else:
            self.projections[planned] = block, doc
        if planned not in self.flats or planned not in self.projections:
            return []
        return [self._tomogram(planned, self.dark, self.flats.pop(planned), *self.projections.pop(planned))]

    def _require_flats(self, stop: dict[str, Any]) -> None:
        """Refuse tomograms that never got their flat, unless the run was cut short."""
        if self.projections and stop["exit_status"] == "success":
            raise BlockError(f"run {self.uid}: the tomogram at {next(iter(self.projections))} eV has no flat")

    def _block(self, stream: dict[str, Any], resources: dict[str, Any], doc: dict[str, Any]) -> FrameBlock:
        key = f"{self.detector}_frames"
        if key not in resources:
            raise BlockError(f"run {self.uid}: event {doc['seq_num']} of stream {stream['name']} points to no frames")
        angle = resources.get(f"{self.detector}_angle")
        frames, rows, columns = stream["data_keys"][key]["shape"]
        return FrameBlock(
            frames=_location(resources[key]),
            angle=None if angle is None else _location(angle),
            shape=(int(frames), int(rows), int(columns)),
            exposure=float(doc["data"][f"{self.detector}_exposure"]),
            time=float(doc["time"]),
            readings=dict(doc["data"]),
        )

    def _tomogram(
        self, planned: float, dark: FrameBlock, flat: FrameBlock, block: FrameBlock, doc: dict[str, Any]
    ) -> Tomogram:
        pixel_key = f"{self.detector}_pixel_size"
        return Tomogram(
            planned=planned,
            energy=float(doc["data"][self.energy_key]),
            pixel_size=float(doc["data"][pixel_key]) * 1e-3,  # nm -> µm
            projections=block,
            flat=flat,
            dark=dark,
            run_uid=self.uid,
            photons_per_count=self._photons_per_count(doc),
        )

    def _photons_per_count(self, doc: dict[str, Any]) -> float:
        configuration = self.descriptors[doc["descriptor"]]["configuration"]
        data = configuration.get(self.detector, {}).get("data", {})
        return float(data.get(f"{self.detector}_photons_per_count", 1.0))


def _location(resource: dict[str, Any]) -> tuple[Path, str]:
    return Path(unquote(urlparse(resource["uri"]).path)), str(resource["parameters"]["dataset"])


def _dataset(path: Path, name: str) -> NDArray[Any]:
    try:
        with h5py.File(path, "r", swmr=True, locking=False) as file:
            node = file[name]
            if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "uif":
                raise BlockError(f"{path}, dataset {name}: holds no numbers")
            if _end(node) > path.stat().st_size:
                raise BlockError(f"{path}, dataset {name}: the file ends before its data do")
            return np.asarray(node[()])
    except (OSError, KeyError, RuntimeError) as reason:
        if isinstance(reason, BlockError):
            raise
        raise BlockError(f"{path}, dataset {name}: cannot be read ({reason})") from reason


def _end(dataset: h5py.Dataset) -> int:
    """Byte after the last one of a dataset in its file; HDF5 itself reads zeros beyond the end of a cut file."""
    if dataset.chunks is None:
        first = dataset.id.get_offset()
        return 0 if first is None else int(first + dataset.id.get_storage_size())
    ends = [0]

    def visit(chunk: Any) -> None:
        ends.append(int(chunk.byte_offset + chunk.size))

    dataset.id.chunk_iter(visit)
    return max(ends)
