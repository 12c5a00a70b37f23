"""Edge per voxel against larch's loop and plain numpy: time per million voxels, scatter over the bound.

Run ``python benchmarks/bench_edges.py [--quick] [--voxels N] [--loop N]``. The time of the processors stands beside it:
a busy machine lengthens it less. How fast the machine is just now tell a bare matrix product of the same spectra, and
one compiled pass that finds the raw crossing: it took 16 ms on two Zen 5 cores at one thread, 42 ms on Zen 4.
Competitors that are not installed are left out, and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _table import show
from _voxels import ENERGIES, WINDOWS, Voxels, voxels
from numba import njit
from numpy.typing import NDArray

from analysis.edge import fit_edges

Positions = NDArray[np.floating]


def ours(made: Voxels, threads: int, *, white_line: bool = True) -> Positions:
    """Half height, jump and white line, all with uncertainties and codes; the basis is learnt each time."""
    found = fit_edges(
        ENERGIES, made.spectra, sigma=made.sigma, normalisation=WINDOWS, threads=threads, white_line=white_line
    )
    return found.energy


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


def fused(made: Voxels) -> Positions:
    """The same as `plain_numpy` in one compiled pass, 64 voxels at a time: no basis, no uncertainty, no reasons."""
    pre, post = np.flatnonzero(ENERGIES <= 8320), np.flatnonzero(ENERGIES >= 8370)
    lines = np.zeros((3, ENERGIES.size), np.float32)
    lines[:2, pre] = np.linalg.pinv(np.vander(ENERGIES[pre] - 8343, 2, increasing=True))
    lines[2:, post] = np.linalg.pinv(np.vander(ENERGIES[post] - 8343, 2, increasing=True))[:1]
    found = np.full(made.spectra.shape[1], 1e9, np.float32)
    first_crossing(made.spectra, lines, pre[-1] + 1, post[0], (ENERGIES - 8343).astype(np.float32), found)
    return np.where(found < 1e8, found.astype(np.float64) + 8343, np.nan)


@njit(fastmath=True, nogil=True, error_model="numpy")
def first_crossing(spectra: Any, lines: Any, edge: Any, post: Any, energies: Any, found: Any) -> None:
    """Set `found` to the first crossing of the half height; `lines` gives the line before and the level after."""
    below, slope, jump, last = np.empty((4, 64), np.float32)
    for start in range(0, spectra.shape[1] - 63, 64):
        below[:], slope[:], jump[:] = 0, 0, 0
        for e in range(edge):
            y = spectra[e, start : start + 64]
            for v in range(64):
                below[v] += lines[0, e] * y[v]
                slope[v] += lines[1, e] * y[v]
        for e in range(post, spectra.shape[0]):
            y = spectra[e, start : start + 64]
            for v in range(64):
                jump[v] += lines[2, e] * y[v]
        at = found[start : start + 64]
        for v in range(64):
            jump[v] -= below[v]
            last[v] = np.float32(-1e9)
        for e in range(edge, post):
            y, step = spectra[e, start : start + 64], energies[e] - energies[e - 1]
            for v in range(64):
                height = y[v] - below[v] - energies[e] * slope[v] - np.float32(0.5) * jump[v]
                crossing = (height >= 0) & (last[v] < 0) & (last[v] > -1e8) & (at[v] > 1e8)
                at[v] = energies[e] - step * height / (height - last[v]) if crossing else at[v]
                last[v] = height


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


def timed(run: Callable[[Voxels], Positions], made: Voxels, rounds: int) -> tuple[float, float, Positions]:
    """Shortest time and shortest processor time (s) of several rounds, and the positions."""
    best, cpu = float("inf"), float("inf")
    for _ in range(rounds):
        start, busy = time.perf_counter(), time.process_time()
        found = run(made)
        best, cpu = min(best, time.perf_counter() - start), min(cpu, time.process_time() - busy)
    return best, cpu, found


def matrix_product(made: Voxels) -> Positions:
    """Nothing but a product of the spectra by four rows, block by block: what any linear fit must spend."""
    rows, count = np.ones((4, ENERGIES.size), np.float32), made.spectra.shape[1]
    out = np.empty((4, count), np.float32)
    for low in range(0, count, 4096):
        np.matmul(rows, made.spectra[:, low : low + 4096], out=out[:, low : low + 4096])
    return np.full(count, np.nan)


def part(made: Voxels, count: int) -> Voxels:
    """The first `count` voxels."""
    return Voxels(np.ascontiguousarray(made.spectra[:, :count]), made.sigma, made.truth[:count], made.bound)


def main() -> None:
    """Print one table per set of spectra."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer voxels and rounds")
    parser.add_argument("--voxels", type=int, default=1_000_000)
    parser.add_argument("--loop", type=int, default=400, help="voxels for competitors that loop in Python")
    options = parser.parse_args()
    if options.quick:
        options.voxels, options.loop = min(options.voxels, 200_000), min(options.loop, 50)
    rounds = 5 if options.quick else 15
    runs: list[tuple[str, Callable[[Voxels], Positions], int, int]] = [
        ("edgewise, one core", lambda made: ours(made, 1), options.voxels, rounds),
        ("edgewise, no white line", lambda made: ours(made, 1, white_line=False), options.voxels, rounds),
        ("edgewise, two cores", lambda made: ours(made, 2), options.voxels, rounds),
        ("numpy, product by 4 rows only", matrix_product, options.voxels, rounds),
        ("numpy, raw crossing", plain_numpy, options.voxels, 3),
        ("one compiled pass, raw crossing", fused, options.voxels, rounds),
    ]
    if importlib.util.find_spec("larch"):
        runs.append(("larch pre_edge loop", larch_loop, options.loop, 2))
    else:
        print("larch is not installed: left out")
    for photons in (1e4, 1e3):
        for mixture in (False, True):
            made = voxels(options.voxels, photons, mixture=mixture)
            rows, first = [], 0.0
            for name, run, count, repeats in runs:
                some = part(made, count) if count < options.voxels else made
                run(part(made, 256))
                seconds, cpu, found = timed(run, some, repeats)
                seconds, cpu = 1e6 / count * seconds, 1e6 / count * cpu
                first = first or seconds
                error = found - some.truth
                near = np.abs(error) <= 4
                spread = float(error[near].std()) if near.any() else float("nan")
                bias = float(error[near].mean()) if near.any() else float("nan")
                lost = 100 * float(1 - near.mean())
                rows.append([name, 1e3 * seconds, 1e3 * cpu, seconds / first, spread, spread / made.bound, bias, lost])
            kind = "two-phase mixture" if mixture else "shift family"
            show(
                f"{kind}, {photons:g} photons, {options.voxels} voxels; bound {made.bound:.4f} eV",
                ["", "ms / M voxels", "processors", "ratio", "std (eV)", "x bound", "bias (eV)", "% off > 4 eV"],
                rows,
            )


if __name__ == "__main__":
    main()
