"""The journal: one append-only file of JSON lines per run, the source of truth for everything else.

Each line is ``[name, document]`` as the RunEngine emitted it. A line counts when it ends in a newline; whatever
follows the last newline was being written when the process died and is not a document.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.errors import JournalError

__all__ = ["Cursor", "Document", "Follower", "Journal", "find_run", "read", "read_series"]

Document = tuple[str, dict[str, Any]]
SUFFIX = ".jsonl"


class Journal:
    """The one subscriber of the RunEngine.

    A document is on its way to the disk (handed to the operating system) before the call returns. A document that
    cannot be kept raises `JournalError`, which ends the scan: nothing is measured that is not recorded.

    Parameters
    ----------
    folder
        Where the files are written; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files: dict[str, int] = {}  # run uid: file descriptor
        self._paths: dict[str, Path] = {}
        self._runs: dict[str, str] = {}  # descriptor or resource uid: run uid
        self._ended: set[str] = set()  # descriptors of the run closed last
        self._lock = threading.Lock()  # monitored signals write from a thread of their own

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Keep one document; an event of a monitored signal that comes after its run was closed is none any more."""
        with self._lock:
            if name != "event" or doc["descriptor"] not in self._ended:
                self._keep(name, doc)

    def _keep(self, name: str, doc: dict[str, Any]) -> None:
        if name == "start":
            self._open(doc)
        run = self._run_of(name, doc)
        line = json.dumps([name, doc], default=_plain, separators=(",", ":")).encode() + b"\n"
        self._append(run, line)
        if name == "stop":
            self._close(run)

    def path(self, run_uid: str) -> Path:
        """File of a run this journal has kept."""
        return self._paths[run_uid]

    def _open(self, start: dict[str, Any]) -> None:
        stamp = datetime.fromtimestamp(start["time"], UTC).strftime("%Y%m%dT%H%M%S")
        path = self.folder / f"{stamp}-{start['uid']}{SUFFIX}"
        try:
            self._files[start["uid"]] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as reason:
            raise JournalError(f"journal {path} cannot be opened: {reason}") from reason
        self._paths[start["uid"]] = path

    def _run_of(self, name: str, doc: dict[str, Any]) -> str:
        if name == "start":
            return str(doc["uid"])
        if name in ("stop", "descriptor", "resource", "stream_resource"):
            run = str(doc["run_start"])
            self._runs[doc["uid"]] = run
            return run
        parent = doc["resource"] if name in ("datum", "datum_page") else doc["descriptor"]
        return self._runs[parent]

    def _append(self, run: str, line: bytes) -> None:
        descriptor = self._files[run]
        try:
            written = os.write(descriptor, line)
        except OSError as reason:
            raise JournalError(f"journal {self._paths[run]} cannot be written: {reason}") from reason
        if written != len(line):  # a full disk: leave no half line behind
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise JournalError(f"journal {self._paths[run]} took {written} of {len(line)} bytes: is the disk full?")

    def _close(self, run: str) -> None:
        descriptor = self._files.pop(run)
        os.fsync(descriptor)
        os.close(descriptor)
        self._ended = {child for child, parent in self._runs.items() if parent == run}
        self._runs = {child: parent for child, parent in self._runs.items() if parent != run}


def _plain(value: object) -> object:
    """JSON form of what documents hold beside plain values: numpy scalars and arrays, sets, paths."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a document holds {value!r} of type {type(value).__name__}, which has no JSON form")


@dataclass
class Cursor:
    """Reads a journal file from where it last stopped.

    Attributes
    ----------
    path : Path
        The journal file.
    offset : int
        Byte after the last complete line that was read.
    """

    path: Path
    offset: int = 0
    lines: int = field(default=0, repr=False)

    def new(self) -> list[Document]:
        """Documents written since the last call; half a line at the end is left for later.

        Raises
        ------
        JournalError
            When the next line is damaged; the documents before it have been given by then.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            block = file.read()
        documents: list[Document] = []
        for line in block[: block.rfind(b"\n") + 1].splitlines(keepends=True):
            try:
                documents.append(self._parse(line))
            except JournalError:
                if not documents:
                    raise
                break
            self.lines += 1
            self.offset += len(line)
        return documents

    def unfinished_bytes(self) -> int:
        """Bytes after the last complete line."""
        return self.path.stat().st_size - self.offset

    def _parse(self, line: bytes) -> Document:
        try:
            name, doc = json.loads(line)
            if not (isinstance(name, str) and isinstance(doc, dict)):
                raise ValueError("not a name and a document")
        except (ValueError, TypeError) as reason:
            raise JournalError(f"{self.path}, line {self.lines + 1}: not a journal line ({reason})") from reason
        return name, doc


def read(path: Path) -> list[Document]:
    """All complete documents of a journal file; raises `JournalError` when a line is damaged."""
    cursor = Cursor(Path(path))
    documents: list[Document] = []
    while new := cursor.new():
        documents += new
    return documents


def find_run(folder: Path, uid: str) -> Path:
    """Journal file of the run whose uid begins with `uid`."""
    found = sorted(Path(folder).glob(f"*-{uid}*{SUFFIX}"))
    if len(found) != 1:
        raise JournalError(f"{len(found)} runs in {folder} have a uid that begins with {uid!r}; one was wanted")
    return found[0]


def read_series(folder: Path, series_uid: str | None = None) -> list[Document]:
    """All complete documents of every run of a series, run by run in the order of their starts.

    Parameters
    ----------
    folder
        The journal folder.
    series_uid
        How the series' uid begins; that of the run started last when not given. A run that belongs to no series is one
        by itself, under its own uid.
    """
    starts = {path: start for path in sorted(Path(folder).glob(f"*{SUFFIX}")) if (start := _start(path)) is not None}
    if not starts:
        raise JournalError(f"{folder} holds no run")
    names = {path: str(start.get("series_uid", start["uid"])) for path, start in starts.items()}
    if series_uid is None:
        series_uid = names[max(starts, key=lambda path: float(starts[path]["time"]))]
    found = {name for name in names.values() if name.startswith(series_uid)}
    if len(found) != 1:
        raise JournalError(
            f"{len(found)} series in {folder} have a uid that begins with {series_uid!r}; one was wanted"
        )
    wanted = sorted((path for path, name in names.items() if name in found), key=lambda path: starts[path]["time"])
    return [document for path in wanted for document in read(path)]


def _start(path: Path) -> dict[str, Any] | None:
    """The start document of a journal file; None while its first line is being written."""
    with path.open("rb") as file:
        line = file.readline()
    return json.loads(line)[1] if line.endswith(b"\n") else None


class Follower:
    """Follows every run of a journal folder, each with its own cursor.

    Parameters
    ----------
    folder
        The journal folder; may not exist yet.
    wanted
        Called with the path of each file when it is first seen; False leaves it alone.
    """

    def __init__(self, folder: Path, *, wanted: Callable[[Path], bool] = lambda _: True) -> None:
        self.folder, self._wanted = Path(folder), wanted
        self.cursors: dict[Path, Cursor] = {}
        self._left_alone: set[Path] = set()

    def new(self) -> Iterator[tuple[Path, list[Document]]]:
        """Yield, run by run in order of start, the documents written since the last call.

        A run whose file is damaged raises `JournalError` once and is left alone from then on.
        """
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path in self._left_alone:
                continue
            if path not in self.cursors:
                if not self._wanted(path):
                    self._left_alone.add(path)
                    continue
                self.cursors[path] = Cursor(path)
            cursor = self.cursors[path]
            if path.stat().st_size <= cursor.offset:
                continue
            try:
                documents = cursor.new()
            except JournalError:
                self.leave(path)
                raise
            if documents:
                yield path, documents

    def rewind(self, path: Path) -> None:
        """Read the file from its beginning at the next call."""
        self.cursors[path] = Cursor(path)

    def leave(self, path: Path) -> None:
        """Do not follow this file any longer."""
        self.cursors.pop(path, None)
        self._left_alone.add(path)
