"""The demonstration on measured input: a particle made of measured spectra, and a measured operando series."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from rich.console import Console

from acquisition.demo import NICKEL, DemoResult, DemoSettings, run_demo
from acquisition.errors import EdgewiseError
from acquisition.operando_report import operando
from analysis.edge import Code, half_height
from analysis.energy_scale import FOIL_ENERGIES
from analysis.operando import OperandoResult
from analysis.spectra import Spectrum, default_normalisation
from analysis.spectrum_files import read_spectrum

__all__ = ["RealInput", "find_input", "run_demo_real", "settings_for"]

PROFILE = ((0.0, 0.15), (0.4, 0.35), (1.2, 0.7), (2.5, 0.85), (5.0, 0.9))  # depth (µm), between the valences


@dataclass(frozen=True, slots=True)
class RealInput:
    """Measured files.

    Attributes
    ----------
    references : tuple of (Path, float)
        Reference spectra of one element on one energy scale, with their valence.
    spectra : Path
        Folder or archive of operando spectra.
    cell : tuple of Path
        Records of the cell.
    """

    references: tuple[tuple[Path, float], ...]
    spectra: Path
    cell: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Reference:
    """A reference spectrum with its valence and half height (eV)."""

    path: Path
    valence: float
    spectrum: Spectrum
    half_height: float

    @classmethod
    def read(cls, path: Path, valence: float) -> Self:
        """Read a reference; refuse a file that is no spectrum or has no edge."""
        try:
            spectrum = read_spectrum(path)
            steepest = float(spectrum.energy[int(np.gradient(spectrum.mu, spectrum.energy).argmax())])
            edge = half_height(spectrum.energy, spectrum.mu, default_normalisation(spectrum.energy, steepest))
        except (ValueError, OSError) as reason:  # what the reader refuses, in its own words
            raise EdgewiseError(str(reason)) from reason
        if edge.code != Code.OK:
            raise EdgewiseError(f"{path}: no half height is found ({edge.code.name})")
        return cls(Path(path).absolute(), valence, spectrum, float(edge.energy))


def find_input(folder: Path) -> RealInput:
    """Find the measured files below a folder by their names.

    Raises
    ------
    EdgewiseError
        Naming every kind of file that is missing, and how to give it by hand.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EdgewiseError(f"{folder} is not a folder")
    references = [
        (path, valence)
        for name, valence in (("*NiO.txt", 2.0), ("*LiNiO2.txt", 3.0))
        for path in sorted(folder.rglob(name))[:1]
    ]
    cell = tuple(sorted(folder.rglob("*.mpt")))
    archives = sorted(p for p in folder.rglob("*.tar*") if p.is_file())
    spectra = archives[0] if archives else _folder_of_spectra(folder)
    missing = [
        what
        for what, found in (
            ("reference spectra *NiO.txt and *LiNiO2.txt (--reference FILE=VALENCE)", len(references) == 2),
            ("a folder or .tar archive of spectra (--spectra PATH)", spectra is not None),
            ("EC-Lab files *.mpt (--cell FILE)", bool(cell)),
        )
        if not found
    ]
    if missing or spectra is None:
        raise EdgewiseError(f"{folder} lacks: " + "; ".join(missing))
    return RealInput(tuple(references), spectra, cell)


def _folder_of_spectra(folder: Path) -> Path | None:
    """The folder below with most text files of spectra, at least ten."""
    counts = {path: sum(1 for p in path.glob("*.txt")) for path in [folder, *folder.rglob("*")] if path.is_dir()}
    best = max(counts, key=lambda path: counts[path], default=None)
    return best if best is not None and counts[best] >= 10 else None


def settings_for(references: Iterable[tuple[Path, float]]) -> DemoSettings:
    """The demonstration of `acquisition.demo` with measured references: element and energies follow their edges.

    The references are on an energy scale of their own, and the simulated beamline takes it over with them.
    """
    known = sorted((_Reference.read(path, valence) for path, valence in references), key=lambda r: r.valence)
    if len({reference.valence for reference in known}) < 2:
        raise EdgewiseError(f"{len(known)} references given; two of different valence are needed")
    element, edge = _element(known)
    # The energies of the built-in references, whose half heights are 8342.1 and 8344.8 eV, moved along.
    middle = 0.5 * (known[0].half_height + known[-1].half_height)
    move = round(middle - 8343.45, 1)
    low = max(float(reference.spectrum.energy[0]) for reference in known)
    high = min(float(reference.spectrum.energy[-1]) for reference in known)
    energies = tuple(dict.fromkeys(min(max(energy + move, low), high) for energy in NICKEL.energies))
    pre = f"pre = [{min(energies)}, {8325.0 + move}]"
    post = f"post = [{8370.0 + move}, {max(energies)}]"
    return replace(
        NICKEL,
        element=element,
        energies=energies,
        windows=f"{pre}\n{post}\ne0 = {8344.0 + move}\n",
        scale='name = "as measured with the references"\n',
        references=tuple((str(reference.path), reference.valence) for reference in known),
        simulation=_simulation(known, element, edge),
    )


def _simulation(known: list[_Reference], element: str, edge: float) -> str:
    """TOML of a particle whose valence runs from the first to the last reference, seen with the same pixel."""
    lowest, highest = known[0].valence, known[-1].valence
    profile = [[depth, round(lowest + part * (highest - lowest), 4)] for depth, part in PROFILE]
    lines = [
        f'element = "{element}"',
        f"pixel_size = {150.0 * 8333.0 / edge:.2f}",
        f"specimen = {{valence = {profile}}}",
    ]
    for reference in known:
        lines += ["", "[[simulation.references]]", f'path = "{reference.path}"', f"valence = {reference.valence}"]
    return "\n".join(lines) + "\n"


def _element(known: list[_Reference]) -> tuple[str, float]:
    """The element whose K edge lies below all half heights, within 30 eV, and that edge in eV."""
    for element, edge in FOIL_ENERGIES.items():
        if all(-5.0 < reference.half_height - edge < 30.0 for reference in known):
            return element, edge
    found = ", ".join(f"{r.path.name} at {r.half_height:.1f} eV" for r in known)
    edges = ", ".join(f"{element} {edge} eV" for element, edge in FOIL_ENERGIES.items())
    raise EdgewiseError(f"the references have their half heights at {found}; known K edges are {edges}")


def run_demo_real(
    real: RealInput, folder: Path, *, timezone: str | None = None, console: Console | None = None
) -> tuple[DemoResult, OperandoResult]:
    """Repeat the demonstration with measured references, then read the measured operando series."""
    console = console or Console()
    names = ", ".join(f"{path.name} ({valence:g}+)" for path, valence in real.references)
    console.print(f"[bold]1.[/bold] the particle's spectra are the measured {names}, and so is its calibration")
    demo = run_demo(folder, settings_for(real.references), title="demo on measured spectra", console=console)
    console.print(f"\n[bold]2.[/bold] {real.spectra.name} with {', '.join(path.name for path in real.cell)}")
    result = operando(real.spectra, real.cell, picture=demo.folder / "operando.png", timezone=timezone, console=console)
    return demo, result
