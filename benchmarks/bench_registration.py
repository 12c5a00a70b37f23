"""Registration across an absorption edge against scikit-image, and the rotation axis against algotom: error and time.

The scene: a porous particle whose absorption rises from 0.9 to 1.6 among binder grains whose absorption stays, 3000
photons, known shifts within 8 pixels. Run ``python benchmarks/bench_registration.py [--quick]``.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import time
from collections.abc import Callable

import numpy as np
from _phantom import sinogram
from _table import show
from numpy.typing import NDArray

from analysis.registration import find_shift
from analysis.rotation_axis import find_axis

PHOTONS = 3000
Image = NDArray[np.float64]
Finder = Callable[[Image, Image], tuple[float, float]]


def scene(size: int, contrast: float, shift: tuple[float, float] = (0.0, 0.0)) -> Image:
    """Optical density of the particle and its binder."""
    rng = np.random.default_rng(0)
    y = ((np.arange(size) - 0.5 * (size - 1) - shift[0]) / size)[:, None]
    x = ((np.arange(size) - 0.5 * (size - 1) - shift[1]) / size)[None]
    spheres = [(0.0, 0.0, 0.33, contrast)]
    for _ in range(80):
        radius, turn, away = 0.005 + 0.02 * rng.random(), 2 * np.pi * rng.random(), 0.28 * np.sqrt(rng.random())
        spheres.append((away * np.cos(turn), away * np.sin(turn), radius, -contrast))
    spheres += [(*rng.uniform(-0.48, 0.48, 2), 0.01 + 0.02 * rng.random(), 0.3) for _ in range(40)]
    out, blur = np.zeros((size, size)), 1.2 / size
    for cx, cy, radius, weight in spheres:
        rows, columns = np.abs(y[:, 0] - cy) < radius + 0.02, np.abs(x[0] - cx) < radius + 0.02
        inside = radius**2 - (x[:, columns] - cx) ** 2 - (y[rows] - cy) ** 2
        out[np.ix_(rows, columns)] += weight * np.sqrt(2 * (inside + np.hypot(inside, radius * blur))) / 0.66
    return out


def counted(optical_density: Image, rng: np.random.Generator) -> Image:
    """The same with photon noise."""
    return -np.log(np.maximum(rng.poisson(PHOTONS * np.exp(-optical_density)), 1) / PHOTONS)


def bound(contrasts: tuple[float, float], size: int) -> float:
    """Standard deviation (pixels) that the photon noise of the two images allows at best."""
    variances = []
    for contrast in contrasts:
        image = scene(size, contrast)
        slopes, weight = np.gradient(image), PHOTONS * np.exp(-image)
        information = np.array([[np.sum(weight * a * b) for a in slopes] for b in slopes])
        variances.append(np.linalg.inv(information).diagonal().mean())
    return float(np.sqrt(sum(variances)))


def ours(reference: Image, moving: Image) -> tuple[float, float]:
    """Band-pass correlation."""
    found = find_shift(reference, moving)
    return found.dy, found.dx


def peers() -> dict[str, Finder]:
    """scikit-image, as it comes and without the normalisation that noise spoils."""
    if importlib.util.find_spec("skimage") is None:
        print("scikit-image is not installed, left out")
        return {}
    correlate = importlib.import_module("skimage.registration").phase_cross_correlation

    def plain(reference: Image, moving: Image) -> tuple[float, float]:
        return tuple(-correlate(reference, moving, upsample_factor=20)[0])

    def unnormalised(reference: Image, moving: Image) -> tuple[float, float]:
        return tuple(-correlate(reference, moving, upsample_factor=20, normalization=None)[0])

    return {"scikit-image, default": plain, "scikit-image, normalization=None": unnormalised}


def compare(size: int, repeats: int) -> None:
    """One table: errors over known shifts."""
    rng = np.random.default_rng(5)
    finders = {"ours": ours} | peers()
    errors: dict[str, list[float]] = {name: [] for name in finders}
    times: dict[str, list[float]] = {name: [] for name in finders}
    for _ in range(repeats):
        shift = tuple(rng.uniform(-8, 8, 2).tolist())
        pair = counted(scene(size, 0.9), rng), counted(scene(size, 1.6, shift), rng)
        for name, find in finders.items():
            start = time.perf_counter()
            found = find(*pair)
            times[name].append(time.perf_counter() - start)
            errors[name] += [found[0] - shift[0], found[1] - shift[1]]
    rows = [
        [
            name,
            float(np.sqrt(np.mean(np.square(errors[name])))),
            float(np.max(np.abs(errors[name]))),
            1e3 * min(times[name]),
        ]
        for name in finders
    ]
    show(f"{size} x {size}, noise bound {bound((0.9, 1.6), size):.4f} px", ["", "rms px", "largest px", "ms"], rows)


def compare_axis(size: int, count: int, *, gain: float, slow: bool) -> None:
    """One table: the axis of a noisy sinogram, 7.3 pixels from the middle, with gain errors of the detector."""
    angles, offset = np.arange(count) * 180.0 / count, 7.3
    wide = sinogram(size, angles) * (1.5 / (0.45 * size))
    place = np.arange(size)
    moved = np.stack([np.interp(place - offset, place, line) for line in wide])
    rng = np.random.default_rng(1)
    stack = np.stack([counted(moved, rng) for _ in range(16)], axis=1) + gain * rng.normal(size=(16, size))
    true = 0.5 * (size - 1) + offset
    start = time.perf_counter()
    found = find_axis(stack, angles)
    rows: list[list[object]] = [
        [f"ours, 16 rows, {found.method}", found.column - true, found.sigma, 1e3 * (time.perf_counter() - start)]
    ]
    if slow and importlib.util.find_spec("algotom") is not None:
        calculation = importlib.import_module("algotom.prep.calculation")
        start = time.perf_counter()
        column = calculation.find_center_vo(
            stack[:, 0].astype(np.float32), start=size // 2 - 30, stop=size // 2 + 30, ncore=1
        )
        rows.append(["algotom find_center_vo, 1 row", float(column - true), "-", 1e3 * (time.perf_counter() - start)])
    elif slow:
        print("algotom is not installed, left out")
    show(
        f"rotation axis, {size} columns, {count} angles, rings of {gain:.0%}", ["", "error px", "sigma px", "ms"], rows
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="512 x 512 only, without algotom")
    quick = parser.parse_args().quick
    ours(scene(64, 1.0), scene(64, 1.0))
    compare(512, 4 if quick else 12)
    if not quick:
        compare(2048, 3)
    for gain in (0.0, 0.02):
        compare_axis(512, 361, gain=gain, slow=not quick)


if __name__ == "__main__":
    main()
