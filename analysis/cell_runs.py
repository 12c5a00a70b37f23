"""The record of a cell from the documents of an in situ series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.absorption_runs import CLOCK, Document, RunError
from analysis.electrochemistry import CellRecord

Array = NDArray[np.float64]

__all__ = ["cell_record"]

PLAN = "in_situ"
_AT_REST = 1e-3  # of the largest current: below this no step runs


def cell_record(documents: Iterable[Document]) -> CellRecord:
    """What the cell did, from the documents of one series; other runs are passed over.

    Each row is a moment at which the cycler posted voltage, current or charge, or its whole state was read, with the
    latest value of each. A series that was continued has several runs; they are joined in time, and the cycler's charge
    counts on. Times are those at which the documents were made, as for spectra.

    Raises
    ------
    RunError
        When there is no such run, or it lacks one of the three.
    """
    cells: dict[str, str] = {}  # run uid: name of the cell
    signals: dict[str, dict[str, str]] = {}  # descriptor uid: data key of voltage, current, charge, what it has of them
    rows: dict[str, list[tuple[float, float]]] = {"voltage": [], "current": [], "charge": []}
    masses: list[float] = []
    for name, doc in documents:
        if name == "start" and doc.get("plan_name") == PLAN:
            cells[doc["uid"]] = doc["detectors"][0]
        elif name == "descriptor" and doc["run_start"] in cells:
            cell = cells[doc["run_start"]]
            masses += _mass(doc, cell)
            signals[doc["uid"]] = {what: f"{cell}_{what}" for what in rows if f"{cell}_{what}" in doc["data_keys"]}
        elif name == "event":
            for what, key in signals.get(doc["descriptor"], {}).items():
                rows[what].append((float(doc["time"]), float(doc["data"][key])))
    if not cells:
        raise RunError(f"the documents hold no run of {PLAN}")
    for what, found in rows.items():
        if not found:
            raise RunError(f"the run of {PLAN} has no record of the cell's {what}")
    return _joined({what: np.array(sorted(found)) for what, found in rows.items()}, tuple(cells), masses)


def _mass(descriptor: Mapping[str, Any], cell: str) -> list[float]:
    """Active mass (mg) in the configuration of a cell, if it is there."""
    data = descriptor["configuration"].get(cell, {}).get("data", {})
    return [float(data[f"{cell}_mass"])] if f"{cell}_mass" in data else []


def _joined(columns: dict[str, Array], runs: tuple[str, ...], masses: list[float]) -> CellRecord:
    begin = max(float(column[0, 0]) for column in columns.values())
    times = np.unique(np.concatenate([column[:, 0] for column in columns.values()]))
    times = times[times >= begin]
    latest = {
        what: column[np.searchsorted(column[:, 0], times, side="right") - 1, 1] for what, column in columns.items()
    }
    current = latest["current"]
    flowing = np.abs(current) > _AT_REST * max(float(np.abs(current).max()), 1e-12)
    mass = masses[-1] if masses and masses[-1] > 0 else None
    return CellRecord(
        time=times,
        potential=latest["voltage"],
        current=current,
        charge=latest["charge"],
        direction=np.where(flowing, np.sign(current), 0).astype(np.int8),
        file=np.zeros(times.size, np.int64),
        clock=CLOCK,
        mass_mg=mass,
        header_mass_mg=mass,
        sources=runs,
        notes=(),
    )
