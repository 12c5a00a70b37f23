"""Progress of a series with the time left, read from the journal and shown on the terminal."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from acquisition.journal import Follower

__all__ = ["SeriesProgress", "remaining"]


def remaining(marks: list[float], total: int) -> float | None:
    """Seconds left when `marks` are the times (s) at which the first energies of `total` were complete.

    The first mark is the start. None while nothing is complete.
    """
    done = len(marks) - 1
    if done < 1:
        return None
    return (marks[-1] - marks[0]) / done * (total - done)


class SeriesProgress:
    """Shows how far the run that is being journalled has come; a context manager around the scan.

    It reads the journal in a thread of its own, so that a slow terminal cannot slow the scan.

    Parameters
    ----------
    journal
        Journal folder.
    results
        Folder in which the live analysis writes ``<series>.status.txt``, one line on the map so far.
    waiting
        Says what the scan waits for, and is shown instead of the time left; an empty text while it does not.
    """

    def __init__(
        self,
        journal: Path,
        *,
        results: Path | None = None,
        waiting: Callable[[], str] = str,
        console: Console | None = None,
    ) -> None:
        self._follower = Follower(journal)
        for _ in self._follower.new():
            pass  # runs that were there before
        self._results, self._waiting = results, waiting
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        self._map = Text("")
        self._live = Live(Group(self._progress, self._map), console=console, refresh_per_second=5)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
        self._marks: list[float] = []
        self._total = 0
        self._task: Any = None
        self._streams: dict[str, str] = {}
        self._series = ""
        self._energy = ""

    def __enter__(self) -> Self:
        self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._live.stop()

    def _follow(self) -> None:
        while True:
            last_look = self._ended.is_set()
            for _, documents in self._follower.new():
                for name, doc in documents:
                    self._take(name, doc)
            self._show()
            if last_look:
                return
            self._ended.wait(0.2)

    def _take(self, name: str, doc: dict[str, Any]) -> None:
        if name == "start" and doc.get("plan_name") == "xanes_tomography":
            self._total = len(doc["plan_args"]["energies"])
            self._series = doc["series_uid"]
            self._marks = [doc["time"]]
            self._task = self._progress.add_task("energies", total=self._total, note="")
        elif name == "descriptor":
            self._streams[doc["uid"]] = doc["name"]
        elif name == "event" and self._streams.get(doc["descriptor"]) == "primary" and self._task is not None:
            self._marks.append(doc["time"])
            self._energy = f"{doc['data'].get('energy', float('nan')):.1f} eV"
            self._progress.update(self._task, completed=len(self._marks) - 1)

    def _show(self) -> None:
        if self._task is None:
            return
        left = remaining(self._marks, self._total)
        if left is not None:
            left = max(0.0, left - (time.time() - self._marks[-1]))
        note = "first energy" if left is None else f"{self._energy}, {left:.0f} s left"
        self._progress.update(self._task, note=self._waiting() or note)
        if self._results is not None:
            status = self._results / f"{self._series}.status.txt"
            if status.exists():
                self._map.plain = f"map so far: {status.read_text().strip()}"
