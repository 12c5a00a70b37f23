"""The RunEngine of a session: one subscriber, the journal, and facts every run carries."""

from pathlib import Path
from typing import Any

from bluesky import RunEngine

from acquisition.journal import Journal

__all__ = ["make_engine"]


def make_engine(journal: Path, *, beamline: str, md: dict[str, Any] | None = None) -> tuple[RunEngine, Journal]:
    """A RunEngine whose every document goes to the journal in `journal` before anything else can see it."""
    from importlib.metadata import version

    engine = RunEngine({"beamline_id": beamline, "edgewise_version": version("edgewise"), **(md or {})})
    keeper = Journal(journal)
    engine.subscribe(keeper)
    return engine, keeper
