"""Small tables and fair timings: competitors take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence


def best_times(runs: Mapping[str, Callable[[], object]], *, rounds: int = 5) -> dict[str, float]:
    """Shortest time (s) of each run over several rounds, after one run that is not counted (compilation, caches)."""
    for run in runs.values():
        run()
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; floats with four significant digits."""
    text = [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(line[k]) for line in [list(columns), *text]) for k in range(len(columns))]
    print(f"\n{title}")
    for line in [list(columns), ["-" * w for w in widths], *text]:
        print(
            "  ".join(
                cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(line, widths, strict=True))
            )
        )
