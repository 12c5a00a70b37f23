"""Filtered back-projection against algotom, ASTRA and scikit-image: time per slice, error on exact ellipses.

Run ``python benchmarks/bench_reconstruction.py [--quick]``. Competitors that are not installed are left out, and
named.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from _phantom import errors, sinogram, slice_image
from _table import best_times, show
from numpy.typing import NDArray

from analysis.tomography import FilteredBackProjection

SLICES = 64
Slice = Callable[[], NDArray[np.float32]]


class Ours:
    """All slices at once, as they come from the detector; energy after energy in the same memory."""

    def __init__(self, data: NDArray[np.float32], angles: NDArray[np.float64], threads: int) -> None:
        self.stack = np.ascontiguousarray(np.repeat(data[:, None], SLICES, axis=1))
        self.angles, self.threads = angles, threads
        self.sink: FilteredBackProjection | None = None
        self.out = np.empty((SLICES, data.shape[1], data.shape[1]), dtype=np.float32)

    def __call__(self) -> NDArray[np.float32]:
        rows, columns = self.stack.shape[1:]
        sink = FilteredBackProjection(
            self.angles, (rows, columns), axis=0.5 * (columns - 1), threads=self.threads, reuse=self.sink
        )
        sink.add(self.stack, np.arange(len(self.stack)))
        self.sink = sink
        return sink.volume(out=self.out).values[0]


def with_algotom(data: NDArray[np.float32], angles: NDArray[np.float64]) -> Slice:
    """One thread: with more, its back-projection adds to the same pixels at once and results vary from run to run."""
    rec = importlib.import_module("algotom.rec.reconstruction")
    numba.set_num_threads(1)
    middle = 0.5 * (data.shape[1] - 1)
    return lambda: rec.fbp_reconstruction(
        data, middle, angles=np.deg2rad(angles), apply_log=False, ratio=1.0, filter_name=None, gpu=False, ncore=1
    )[::-1]


def with_astra(data: NDArray[np.float32], angles: NDArray[np.float64], kind: str) -> Slice:
    """CPU filtered back-projection with exact strip weights or linear interpolation."""
    astra = importlib.import_module("astra")
    size = data.shape[1]
    geometry = astra.create_proj_geom("parallel", 1.0, size, np.deg2rad(angles))
    volume = astra.data2d.create("-vol", astra.create_vol_geom(size, size))
    configuration = astra.astra_dict("FBP")
    configuration["ProjectorId"] = astra.create_projector(kind, geometry, astra.create_vol_geom(size, size))
    configuration["ProjectionDataId"] = astra.data2d.create("-sino", geometry, data)
    configuration["ReconstructionDataId"] = volume
    algorithm = astra.algorithm.create(configuration)

    def run() -> NDArray[np.float32]:
        astra.algorithm.run(algorithm)
        return np.asarray(astra.data2d.get(volume))[::-1]

    return run


def with_skimage(data: NDArray[np.float32], angles: NDArray[np.float64]) -> Slice:
    """`iradon`; its centre is half a pixel from ours, and no error is given."""
    transform = importlib.import_module("skimage.transform")
    return lambda: transform.iradon(data.T, theta=angles, filter_name="ramp", circle=True)[::-1]


def compare(size: int, count: int, rounds: int, *, slow: bool) -> None:
    """One table."""
    angles = np.arange(count) * 180.0 / count
    data, truth = sinogram(size, angles), slice_image(size)
    runs: dict[str, Callable[[], Any]] = {
        "ours, 1 thread": Ours(data, angles, 1),
        "ours, 2 threads": Ours(data, angles, 2),
    }
    makers: dict[str, tuple[str, Callable[[], Slice]]] = {
        "algotom fbp, 1 thread": ("algotom", lambda: with_algotom(data, angles))
    }
    if slow:
        makers |= {
            "ASTRA FBP strip": ("astra", lambda: with_astra(data, angles, "strip")),
            "ASTRA FBP linear": ("astra", lambda: with_astra(data, angles, "linear")),
            "scikit-image iradon": ("skimage", lambda: with_skimage(data, angles)),
        }
    for name, (module, make) in makers.items():
        if importlib.util.find_spec(module) is None:
            print(f"{name}: {module} is not installed, left out")
            continue
        runs[name] = make()
    seconds = best_times(runs, rounds=rounds)
    per_slice = {name: t / SLICES if name.startswith("ours") else t for name, t in seconds.items()}
    rows = []
    for name, run in runs.items():
        total, flat = errors(np.asarray(run(), dtype=np.float32), truth)
        error = ("-", "-") if name.startswith("scikit") else (total, flat)
        rows.append([name, 1e3 * per_slice[name], per_slice[name] / per_slice["ours, 1 thread"], *error])
    gain = per_slice["ours, 1 thread"] / per_slice["ours, 2 threads"]
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        runs["ours, 2 threads"]()
    busy = (time.process_time() - cpu) / (time.perf_counter() - wall)
    show(
        f"{size} x {size}, {count} angles, filter included; two threads: x {gain:.2f}, {busy:.2f} processors busy",
        ["", "ms per slice", "x ours", "rms error", "away from edges"],
        rows,
    )


def main() -> None:
    """Measure the sizes of interest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="algotom only, two rounds")
    quick = parser.parse_args().quick
    compare(256, 180, 2 if quick else 7, slow=not quick)
    compare(1024, 721, 1 if quick else 3, slow=not quick)


if __name__ == "__main__":
    main()
