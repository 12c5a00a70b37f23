"""Edge maps while energies arrive: time per added energy and per map, and the memory it takes.

Run ``python benchmarks/bench_incremental.py [--voxels N]``. A volume of 512^3 voxels of which 30 % are particle has
40 million. One million spectra are made and repeated.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from _table import show
from _voxels import ENERGIES, WINDOWS, voxels

from analysis.edge import fit_edges
from analysis.incremental import RunningEdges
from analysis.lowrank import Basis

MAPS_AFTER = (8, 30, 60)
FIRST = (4, 55, 22, 28, 20, 24, 30, 50)  # one before the edge, one behind, then across it


def peak_memory() -> float:
    """Largest resident memory of this process so far (GiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def follow(count: int, basis: Basis | None, memory: int, directory: str | None) -> list[object]:
    """Feed all energies, ask for maps in between; returns times (ms per million voxels) and memory (GiB)."""
    made = voxels(1_000_000 if count > 1_000_000 else count, 1e4)
    times: list[float] = []
    adding = 0.0
    order = [*FIRST, *(k for k in range(ENERGIES.size) if k not in FIRST)]
    with RunningEdges(
        ENERGIES[order], count, normalisation=WINDOWS, basis=basis, memory=memory, directory=directory
    ) as live:
        for k in range(ENERGIES.size):
            values = np.resize(made.spectra[order[k]], count)
            start = time.perf_counter()
            live.add(k, values, made.sigma[order[k]])
            adding += time.perf_counter() - start
            if k + 1 in MAPS_AFTER:
                start = time.perf_counter()
                live.result()
                times.append((time.perf_counter() - start) * 1e9 / count)
    return [adding * 1e9 / count / ENERGIES.size, *times, peak_memory()]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer voxels")
    parser.add_argument("--voxels", type=int, default=4_000_000)
    parser.add_argument("--directory", default=None, help="where values go that memory does not hold")
    options = parser.parse_args()
    if options.quick:
        options.voxels = min(options.voxels, 500_000)
    pilot = voxels(20000, 1e4, seed=8)
    basis = fit_edges(ENERGIES, pilot.spectra, sigma=pilot.sigma, normalisation=WINDOWS).basis
    follow(20000, basis, 0, None)  # compile
    rows = [
        ["sums over a pilot basis", *follow(options.voxels, basis, 0, None)],
        ["values in a file", *follow(options.voxels, None, 0, options.directory)],
    ]
    show(
        f"{options.voxels} voxels, {ENERGIES.size} energies; ms per million voxels, peak memory so far in GiB",
        ["", "add", *(f"map after {k}" for k in MAPS_AFTER), "GiB"],
        rows,
    )


if __name__ == "__main__":
    main()
