"""The picture and the table at the end of a demonstration: what was recovered, beside what the simulation hid."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from acquisition.journal import read

__all__ = ["ShellComparison", "Truth", "compare_shells", "draw", "print_table", "read_truth", "scan_facts"]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the simulation hid: volumes with axes (z, y, x) and their voxel in µm."""

    valence: NDArray[np.float32]
    density: NDArray[np.float32]
    depth: NDArray[np.float32]
    voxel: float

    def mean_valence(self, shallow: float, deep: float) -> float:
        """Mean valence of the metal atoms between two depths in µm."""
        inside = (self.depth >= shallow) & (self.depth < deep) & (self.density > 0)
        return float(np.average(self.valence[inside], weights=self.density[inside]))


@dataclass(frozen=True, slots=True)
class ShellComparison:
    """Recovered and true valence between two depths (µm)."""

    shallow: float
    deep: float
    valence: float
    sigma: float
    truth: float
    edge: float
    edge_sigma: float
    voxels: int

    @property
    def deviation(self) -> float:
        """Difference to the truth in standard deviations."""
        return (self.valence - self.truth) / self.sigma


def read_truth(folder: Path) -> Truth:
    """Read what the simulation wrote."""
    with h5py.File(folder / "truth.h5") as file:
        return Truth(file["valence"][()], file["density"][()], file["depth"][()], float(file.attrs["voxel_um"]))


def compare_shells(map_file: Path, truth: Truth) -> list[ShellComparison]:
    """Recovered against true valence, shell by shell from the surface inwards."""
    with h5py.File(map_file) as file:
        shells = {name: file["map/shells"][name][()] for name in file["map/shells"]}
    edges = shells["depth_edges"]
    return [
        ShellComparison(
            shallow=float(edges[i]),
            deep=float(edges[i + 1]),
            valence=float(shells["valence"][i]),
            sigma=float(shells["valence_sigma"][i]),
            truth=truth.mean_valence(edges[i], edges[i + 1]),
            edge=float(shells["edge"][i]),
            edge_sigma=float(shells["edge_sigma"][i]),
            voxels=int(shells["voxels"][i]),
        )
        for i in range(len(edges) - 1)
        if np.isfinite(shells["valence"][i])
    ]


def scan_facts(journal: Path) -> dict[str, float]:
    """Frames, exposure and duration of a run as its documents tell them."""
    documents = read(journal)
    start, stop = documents[0][1], documents[-1][1]
    streams = {doc["uid"]: doc for name, doc in documents if name == "descriptor"}
    frames = exposed = 0.0
    detector = start["detectors"][0]
    for name, doc in documents:
        if name == "event" and f"{detector}_exposure" in doc["data"]:
            count = streams[doc["descriptor"]]["data_keys"][f"{detector}_frames"]["shape"][0]
            frames += count
            exposed += count * doc["data"][f"{detector}_exposure"]
    return {"frames": frames, "exposed": exposed, "duration": stop["time"] - start["time"]}


def print_table(
    console: Console, shells: list[ShellComparison], journal: Path, map_file: Path, *, speed: float
) -> None:
    """Print recovered against true valence per shell, and what the scan cost."""
    table = Table(title="valence by depth below the surface")
    for column in ("depth (µm)", "voxels", "half height (eV)", "valence", "truth", "deviation (σ)"):
        table.add_column(column, justify="right")
    for shell in shells:
        table.add_row(
            f"{shell.shallow:.1f} to {shell.deep:.1f}",
            str(shell.voxels),
            f"{shell.edge:.2f} ± {shell.edge_sigma:.2f}",
            f"{shell.valence:.3f} ± {shell.sigma:.3f}",
            f"{shell.truth:.3f}",
            f"{shell.deviation:+.1f}",
        )
    console.print(table)
    facts = scan_facts(journal)
    exposed = facts["exposed"] / speed
    with h5py.File(map_file) as file:
        photons = float(np.mean(file["map/energies/photons_per_pixel"]))
    console.print(
        f"{facts['frames']:.0f} frames, {photons:.2g} photons per pixel and frame; exposed {exposed:.1f} s of"
        f" {facts['duration']:.1f} s (motion and exposure run {speed:g} times faster than real): dead time"
        f" {100 * (1 - exposed / facts['duration']):.0f} %"
    )


def draw(map_file: Path, truth: Truth, path: Path, *, title: str) -> Path:
    """Draw slices of the valence volume, the depth profile with the truth, and spectra of core and surface."""
    with h5py.File(map_file) as file:
        entry = file["map"]
        valence, voxel = entry["valence"][()], _parameter(entry, "voxel_size_um")
        sigma = entry["valence_sigma"][()]
        shells = {name: entry["shells"][name][()] for name in entry["shells"]}
    figure = Figure(figsize=(12, 7.6), layout="constrained")
    figure.suptitle(title)
    grid = figure.add_gridspec(2, 6)
    limits = (float(np.nanmin(shells["valence"])) - 0.2, float(np.nanmax(shells["valence"])) + 0.2)
    middle = [n // 2 for n in valence.shape]
    slices = (
        ("horizontal slice", valence[middle[0]], limits, "viridis", "valence"),
        ("vertical slice", valence[:, middle[1]], limits, "viridis", "valence"),
        ("uncertainty, horizontal slice", sigma[middle[0]], (0, float(np.nanpercentile(sigma, 98))), "magma", "σ"),
    )
    for column, (name, image, scale, colours, label) in enumerate(slices):
        axes = figure.add_subplot(grid[0, 2 * column : 2 * column + 2])
        _image(figure, axes, image, voxel, scale, colours, label)
        axes.set_title(name)
    _profile(figure.add_subplot(grid[1, :3]), shells, truth)
    _spectra(figure.add_subplot(grid[1, 3:]), shells)
    figure.savefig(path, dpi=110)
    return path


def _parameter(entry: Any, name: str) -> float:
    import json

    return float(json.loads(entry.attrs["parameters"])[name])


def _image(figure: Figure, axes: Any, image: NDArray[Any], voxel: float, limits: Any, colours: str, label: str) -> None:
    half = [0.5 * n * voxel for n in image.shape]
    shown = axes.imshow(
        image,
        origin="lower",
        extent=(-half[1], half[1], -half[0], half[0]),
        vmin=limits[0],
        vmax=limits[1],
        cmap=matplotlib.colormaps[colours],
        interpolation="nearest",
    )
    axes.set_facecolor("0.92")
    axes.set_xlabel("µm")
    figure.colorbar(shown, ax=axes, label=label, shrink=0.85)


def _profile(axes: Any, shells: dict[str, NDArray[Any]], truth: Truth) -> None:
    fine = np.arange(0.0, float(shells["depth_edges"][-1]), 0.1)
    true = [truth.mean_valence(depth, depth + 0.1) for depth in fine]
    axes.plot(fine + 0.05, true, color="0.6", linewidth=2, label="truth (hidden by the simulation)")
    axes.errorbar(
        shells["depth"],
        shells["valence"],
        yerr=shells["valence_sigma"],
        xerr=np.diff(shells["depth_edges"]) / 2,
        fmt="o",
        color="C3",
        capsize=3,
        label="recovered, ± 1 σ",
    )
    axes.set_xlabel("depth below the surface (µm)")
    axes.set_ylabel("valence")
    axes.set_title("depth profile")
    axes.legend()


def _spectra(axes: Any, shells: dict[str, NDArray[Any]]) -> None:
    reported = np.flatnonzero(np.isfinite(shells["valence"]))
    for index, label, colour in ((reported[0], "surface", "C0"), (reported[-1], "core", "C1")):
        jump, energies = shells["jump"][index], shells["energies"]
        spectrum = (shells["spectra"][index] - shells["spectra"][index][0]) / jump
        error = shells["spectra_sigma"][index] / jump
        axes.errorbar(energies, spectrum, yerr=error, fmt=".-", color=colour, linewidth=1, label=label)
        axes.axvline(shells["edge"][index], color=colour, linestyle=":", linewidth=1)
    axes.set_xlabel("photon energy (eV)")
    axes.set_ylabel("absorption above the first energy / edge jump")
    axes.set_title("mean spectra; dotted: half height")
    axes.legend()
