"""The demonstration on measured input: a particle made of measured spectra, and a measured operando series."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from acquisition.demo import NICKEL, DemoResult, DemoSettings, run_demo
from acquisition.errors import EdgewiseError
from acquisition.operando_report import operando
from analysis.edge import half_height
from analysis.operando import OperandoResult
from analysis.spectra import Spectrum, default_normalisation
from analysis.spectrum_files import read_spectrum
from analysis.text_tables import FileFormatError

__all__ = ["RealInput", "find_input", "run_demo_real", "settings_for"]


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


def settings_for(references: Iterable[tuple[Path, float]], *, element: str = "Ni") -> DemoSettings:
    """The demonstration of `acquisition.demo` with measured references: the energies follow their edges.

    The references are on an energy scale of their own, and the simulated beamline takes it over with them.
    """
    known: list[tuple[Path, float, float, Spectrum]] = []
    for path, valence in references:
        try:
            spectrum = read_spectrum(path, element=element)
        except (FileFormatError, OSError) as reason:
            raise EdgewiseError(str(reason)) from reason
        known.append((path.absolute(), valence, _half_height(spectrum), spectrum))
    if len({valence for _, valence, _, _ in known}) < 2:
        raise EdgewiseError(f"{len(known)} references given; two of different valence are needed")
    # The energies of the built-in references, whose half heights are 8342.1 and 8344.8 eV, moved along.
    middle = sum(edge for _, _, edge, _ in known) / len(known)
    move = round(middle - 8343.45, 1)
    low, high = max(s.energy[0] for *_, s in known), min(s.energy[-1] for *_, s in known)
    energies = tuple(min(max(energy + move, float(low)), float(high)) for energy in NICKEL.energies)
    pre = f"pre = [{min(energies)}, {8325.0 + move}]"
    post = f"post = [{8370.0 + move}, {max(energies)}]"
    tables = "".join(
        f'\n[[simulation.references]]\npath = "{path}"\nvalence = {valence}\n' for path, valence, *_ in known
    )
    return replace(
        NICKEL,
        element=element,
        energies=energies,
        windows=f"{pre}\n{post}\ne0 = {8344.0 + move}\n",
        scale='name = "as measured with the references"\n',
        references=tuple((str(path), valence) for path, valence, *_ in known),
        simulation=tables,
    )


def _half_height(spectrum: Spectrum) -> float:
    steepest = float(spectrum.energy[int((spectrum.mu[1:] - spectrum.mu[:-1]).argmax())])
    edge = half_height(spectrum.energy, spectrum.mu, default_normalisation(spectrum.energy, steepest))
    return float(edge.energy)


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
