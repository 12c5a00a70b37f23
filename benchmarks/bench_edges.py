"""Edge per voxel against larch's loop, pyxas and plain numpy: time per million voxels, scatter over the bound.

Run ``python benchmarks/bench_edges.py [--voxels N] [--loop N]``. Competitors that are not installed are left out, and
named.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np
from _table import show
from _voxels import ENERGIES, WINDOWS, Voxels, voxels
from numpy.typing import NDArray

from analysis.edge import fit_edges

Positions = NDArray[np.floating]


def ours(made: Voxels, threads: int) -> Positions:
    """Half height, white line, jump, all with uncertainties and codes; the basis is learnt each time."""
    return fit_edges(ENERGIES, made.spectra, sigma=made.sigma, normalisation=WINDOWS, threads=threads).energy


def plain_numpy(made: Voxels) -> Positions:
    """Line fits and the first upward crossing of each raw spectrum, by matrix products."""
    pre, post = ENERGIES <= 8320, ENERGIES >= 8370
    lines = np.zeros((4, ENERGIES.size))
    lines[:2, pre] = np.linalg.pinv(np.vander(ENERGIES[pre] - 8343, 2))
    lines[2:, post] = np.linalg.pinv(np.vander(ENERGIES[post] - 8343, 2))
    slope, offset, _, above = lines.astype(np.float32) @ made.spectra
    edge = np.flatnonzero(~(pre | post))
    height = made.spectra[edge] - offset - (ENERGIES[edge, None] - 8343).astype(np.float32) * slope
    height -= 0.5 * (above - offset)
    k = np.clip((height >= 0).argmax(axis=0), 1, None)
    n = np.arange(k.size)
    low, high = height[k - 1, n], height[k, n]
    return ENERGIES[edge][k - 1] - low / (high - low) * (ENERGIES[edge][k] - ENERGIES[edge][k - 1])


def larch_loop(made: Voxels) -> Positions:
    """larch's pre_edge with the same windows, then the half height by interpolation, spectrum by spectrum."""
    from larch import Group
    from larch.xafs import pre_edge

    found = np.empty(made.spectra.shape[1])
    for k, mu in enumerate(made.spectra.T.astype(np.float64)):
        group = Group(energy=ENERGIES, mu=mu)
        pre_edge(group, e0=8343.0, pre1=-93, pre2=-23, norm1=27, norm2=157, nnorm=1)
        i = max(int(np.argmax((group.norm >= 0.5) & (ENERGIES > 8320))), 1)
        low, high = group.norm[i - 1], group.norm[i]
        found[k] = ENERGIES[i - 1] + (0.5 - low) / (high - low) * (ENERGIES[i] - ENERGIES[i - 1])
    return found


def timed(run: Callable[[Voxels], Positions], made: Voxels, rounds: int) -> tuple[float, Positions]:
    """Shortest time (s) of several rounds, and the positions."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        found = run(made)
        best = min(best, time.perf_counter() - start)
    return best, found


def part(made: Voxels, count: int) -> Voxels:
    """The first `count` voxels."""
    return Voxels(np.ascontiguousarray(made.spectra[:, :count]), made.sigma, made.truth[:count], made.bound)


def main() -> None:
    """Print one table per set of spectra."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=1_000_000)
    parser.add_argument("--loop", type=int, default=400, help="voxels for competitors that loop in Python")
    options = parser.parse_args()
    runs: list[tuple[str, Callable[[Voxels], Positions], int, int]] = [
        ("edgewise, one core", lambda made: ours(made, 1), options.voxels, 15),
        ("edgewise, two cores", lambda made: ours(made, 2), options.voxels, 15),
        ("numpy, raw crossing", plain_numpy, options.voxels, 3),
    ]
    if importlib.util.find_spec("larch"):
        runs.append(("larch pre_edge loop", larch_loop, options.loop, 2))
    else:
        print("larch is not installed: left out")
    for photons in (1e4, 1e3):
        for mixture in (False, True):
            made = voxels(options.voxels, photons, mixture=mixture)
            rows, first = [], 0.0
            for name, run, count, rounds in runs:
                some = part(made, count) if count < options.voxels else made
                run(part(made, 256))
                seconds, found = timed(run, some, rounds)
                seconds *= 1e6 / count
                first = first or seconds
                error = found - some.truth
                far = np.abs(error) > 4
                spread = float(error[~far].std())
                bias, lost = float(error[~far].mean()), 100 * float(far.mean())
                rows.append([name, 1e3 * seconds, seconds / first, spread, spread / made.bound, bias, lost])
            kind = "two-phase mixture" if mixture else "shift family"
            show(
                f"{kind}, {photons:g} photons, {options.voxels} voxels; bound {made.bound:.4f} eV",
                ["", "ms / M voxels", "ratio", "std (eV)", "x bound", "bias (eV)", "% off > 4 eV"],
                rows,
            )


if __name__ == "__main__":
    main()
