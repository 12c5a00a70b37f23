"""Depth, shells, labels and cracks against scipy.ndimage, each pair timed in the same run on the
same volume.

Run with ``python -m benchmarks.bench_morphology [edge length in voxels ...]``; 256 by default.
scipy's distance transform of 512³ takes most of a minute.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from analysis.cracks import segment_cracks
from analysis.morphology import depth, label_particles
from analysis.shells import shell_edges, shell_profile

Volume = NDArray[Any]


def phantom(size: int) -> tuple[Volume, Volume]:
    """Particle of 0.84 of the volume's width with eight cracks of three voxels and more: envelope, cracks."""
    rng = np.random.default_rng(0)
    z, y, x = (np.ogrid[:size, :size, :size][i].astype(np.float32) - (size - 1) / 2 for i in range(3))
    distance2 = z * z + y * y + x * x
    crack = np.zeros((size,) * 3, bool)
    for _ in range(8):
        normal = rng.standard_normal(3)
        normal /= np.linalg.norm(normal)
        at = 0.1 * size * rng.standard_normal(3)
        across = (z - at[0]) * normal[0] + (y - at[1]) * normal[1] + (x - at[2]) * normal[2]
        near = (z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2 < (0.2 * size) ** 2
        crack |= (np.abs(across) < max(1.5, 0.006 * size)) & near
    envelope = distance2 < (0.42 * size) ** 2
    return envelope, crack & envelope


def seconds(function: Callable[[], object], repeat: int = 3) -> float:
    """Shortest of some runs."""
    best = np.inf
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def row(what: str, ours: float, peer: float | None, peer_name: str) -> None:
    """Print one line of the table."""
    ratio = "" if peer is None else f"{peer * 1e3:12.0f} ms  {peer / ours:6.1f} x  {peer_name}"
    print(f"{what:42s}{ours * 1e3:10.0f} ms{ratio}")


def run(size: int) -> None:
    """Time everything on one volume."""
    envelope, crack = phantom(size)
    rng = np.random.default_rng(1)
    values = rng.standard_normal(envelope.shape, dtype=np.float32)
    sigma = np.ones_like(values)
    below = depth(envelope)
    edges = shell_edges(below, max(int(below.max()), 1))
    shell = np.where(below > 0, np.searchsorted(edges, below, side="right"), 0).astype(np.int32)
    index = np.arange(1, edges.size)
    once = 1 if size > 300 else 3
    print(f"\n{size}³, {edges.size - 1} shells, {np.mean(envelope):.0%} particle")

    def by_scipy() -> None:
        ndimage.mean(values, shell, index)
        ndimage.standard_deviation(values, shell, index)

    def by_bincount() -> None:
        inside = shell > 0
        k, v = shell[inside], values[inside]
        np.bincount(k, minlength=edges.size)
        np.bincount(k, v, edges.size)
        np.bincount(k, v * v, edges.size)

    transform = seconds(lambda: ndimage.distance_transform_edt(envelope), 1)
    row("depth, one thread", seconds(lambda: depth(envelope, threads=1)), transform, "scipy distance_transform_edt")
    row("depth, two threads", seconds(lambda: depth(envelope, threads=2)), transform, "scipy distance_transform_edt")
    bare = seconds(lambda: edt.edt(envelope.view(np.uint8), parallel=2))
    row("the same", seconds(lambda: depth(envelope, threads=2)), bare, "edt on the whole volume, two threads")
    means, counts = seconds(by_scipy, 1), seconds(by_bincount)
    plain = seconds(lambda: shell_profile(values, None, below, edges, threads=1))
    row("shell mean and scatter, one thread", plain, means, "scipy mean + standard_deviation")
    row("the same", plain, counts, "numpy bincount, shells known")
    plain = seconds(lambda: shell_profile(values, None, below, edges, threads=2))
    row("the same, two threads", plain, means, "scipy mean + standard_deviation")
    weighted = seconds(lambda: shell_profile(values, sigma, below, edges, threads=2))
    row("shell means weighted by sigma, two threads", weighted, None, "")
    neighbours = np.ones((3, 3, 3))

    def measured_by_scipy() -> None:
        found, count = ndimage.label(crack, neighbours)
        which = np.arange(1, count + 1)
        ndimage.sum_labels(crack, found, which)
        ndimage.center_of_mass(crack, found, which)

    labels = seconds(lambda: ndimage.label(crack, neighbours), once)
    ours = seconds(lambda: label_particles(crack))
    row("labels with sizes and centres", ours, labels, "scipy label alone")
    row("the same", ours, seconds(measured_by_scipy, 1), "scipy label, sum_labels, center_of_mass")
    volume = (envelope & ~crack) + 0.25 * values
    found = segment_cracks(volume, closing_radius=max(4.0, size / 64))
    agreement = 2 * np.count_nonzero(found.mask & crack) / (np.count_nonzero(found.mask) + np.count_nonzero(crack))
    took = seconds(lambda: segment_cracks(volume, closing_radius=max(4.0, size / 64)), 1)
    row(f"cracks, Dice {agreement:.3f} at noise 0.25", took, None, "")


if __name__ == "__main__":
    quick = "--quick" in sys.argv
    for length in [int(argument) for argument in sys.argv[1:] if argument.isdigit()] or [128 if quick else 256]:
        run(length)
