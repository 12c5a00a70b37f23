"""A refreshed valence map after the last frame of an energy: seconds at 512 x 512 pixels and 361 angles.

Beside the time on the clock stand the seconds of all processors together, which other work on the machine changes less.

Run with ``python -m benchmarks live``; ``--quick`` takes 128 x 128 and 60 angles, ``python benchmarks/bench_live.py
--energies 60`` the whole series, which takes ten minutes. 60 energies are planned in any case, so that the values are
kept as they are in a long series. Frames are drawn from a sphere with a shell of another valence; they lie in HDF5
files, as the detector would have left them.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from analysis.energy_scale import EnergyScale
from analysis.export import write_valence_map
from analysis.live.mapping import ValenceMapper
from analysis.live.series import FrameBlock, Tomogram
from analysis.live.valence_map import MapSettings
from analysis.spectra import Normalisation, Spectrum

FIRST = (8250.0, 8310.0, 8375.0, 8440.0, 8340.0, 8346.0, 8343.0, 8349.0)
GRID = (*np.linspace(8250, 8310, 7), *np.arange(8322, 8325), *np.arange(8330, 8365), *np.linspace(8370, 8440, 15))
ENERGIES = (*FIRST, *(float(energy) for energy in GRID if energy not in FIRST))
PIXEL = 0.04  # µm
LIGHT, DARK = 4000.0, 100.0  # counts
SCALE = EnergyScale("foil at 8333 eV", "Ni", 8333.0)


def edge(energy: NDArray[np.float64] | float, valence: float) -> NDArray[np.float64]:
    """Attenuation (1/µm) of a made-up compound whose edge moves by 1.5 eV per valence."""
    position = 8343.0 + 1.5 * (valence - 3.0)
    return 0.03 + 0.04 * (0.5 + np.arctan((np.asarray(energy) - position) / 1.2) / np.pi)


def tomogram(folder: Path, energy: float, size: int, angles: int, rng: np.random.Generator) -> Tomogram:
    """Frames of a sphere of valence 3 in a shell of valence 2.5, with shot noise; a dent makes it turn visibly."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2.0
    outer, inner = 0.33 * size, 0.22 * size
    mu_shell, mu_core = float(edge(energy, 2.5)), float(edge(energy, 3.0))
    turns = np.arange(angles) * 180.0 / angles
    frames = np.empty((angles, size, size), np.uint16)
    for index, angle in enumerate(np.deg2rad(turns)):
        path = mu_shell * chord(x, y, outer) + (mu_core - mu_shell) * chord(x, y, inner)
        dent = 0.28 * size
        path -= mu_shell * chord(x - dent * np.cos(angle), y - 0.05 * size, 0.04 * size)
        counts = LIGHT * np.exp(-PIXEL * path)
        frames[index] = DARK + counts + np.sqrt(counts) * rng.standard_normal(counts.shape)
    flat = (DARK + rng.normal(LIGHT, np.sqrt(LIGHT), (10, size, size))).astype(np.uint16)
    dark = rng.normal(DARK, 2.0, (10, size, size)).astype(np.uint16)
    blocks = [block(folder / f"{energy}_{n}.h5", d) for n, d in (("flat", flat), ("dark", dark))]
    return Tomogram(energy, energy, PIXEL, block(folder / f"{energy}.h5", frames, turns), *blocks, run_uid="bench")


def chord(x: NDArray[np.float64], y: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Length of rays through a sphere, in pixels."""
    return 2.0 * np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0.0))


def block(path: Path, frames: NDArray[np.uint16], angles: NDArray[np.float64] | None = None) -> FrameBlock:
    """Write one block of frames."""
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("frames", data=frames, chunks=(1, *frames.shape[1:]))
        if angles is not None:
            file["angle"] = angles
    shape = (frames.shape[0], frames.shape[1], frames.shape[2])
    return FrameBlock((path, "frames"), None if angles is None else (path, "angle"), shape, 1.0, 0.0)


def settings() -> MapSettings:
    """Two references on a fine grid."""
    grid = np.arange(8230.0, 8460.0, 0.5)
    references = tuple(
        (Spectrum(grid, edge(grid, valence), None, f"{valence}", "Ni", "K", SCALE, "made up"), valence)
        for valence in (2.0, 4.0)
    )
    windows = Normalisation(pre=(8250.0, 8325.0), post=(8370.0, 8440.0), e0=8343.0)
    return MapSettings(element="Ni", normalisation=windows, references=references, shell_thickness=1.0)


def main(size: int = 512, angles: int = 361, energies: int = 8) -> None:
    """Print the seconds of each step, energy by energy."""
    rng = np.random.default_rng(1)
    mapper = ValenceMapper(settings(), ENERGIES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for energy in ENERGIES[:energies]:
            frames = tomogram(folder, energy, size, angles, rng)
            begin, worked = time.perf_counter(), time.process_time()
            mapper.add(frames)
            added = time.perf_counter()
            text = f"{energy:7.1f} eV: into the map {added - begin:5.2f} s"
            if mapper.ready:
                result = mapper.result()
                mapped = time.perf_counter()
                write_valence_map(folder / "map.h5", result, {"series_uid": "bench"})
                written = time.perf_counter()
                text += (
                    f", map of {int(result.mask.sum())} voxels {mapped - added:5.2f} s, file {written - mapped:5.2f} s"
                )
                text += f"; in all {written - begin:5.2f} s"
            print(f"{text} ({time.process_time() - worked:.1f} s of processors)", flush=True)
            frames.projections.frames[0].unlink()
    mapper.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{energies} of {len(ENERGIES)} energies, {size} x {size} pixels, {angles} angles: at most {peak:.2f} GiB")


if __name__ == "__main__":
    line = argparse.ArgumentParser(description=__doc__)
    line.add_argument("--quick", action="store_true")
    line.add_argument("--energies", type=int, default=8)
    options = line.parse_args()
    if options.quick:
        main(size=128, angles=60, energies=options.energies)
    else:
        main(energies=options.energies)
