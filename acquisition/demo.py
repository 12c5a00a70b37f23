"""The demonstration: one energy-stepped tomography of a simulated particle, from the first motor to the valence map."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.table import Table

from acquisition.config import BeamlineFile, packaged
from acquisition.errors import ServiceError
from acquisition.progress import SeriesProgress
from acquisition.session import Control, Session
from plans.grids import angle_set

if TYPE_CHECKING:
    from acquisition.beamline import Beamline

__all__ = ["NICKEL", "DemoSettings", "run_demo"]


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What a demonstration measures.

    Attributes
    ----------
    element : str
    energies : tuple of float
        eV, in the order in which they are taken: before and after the edge first, then the edge from coarse to fine.
    windows : str
        TOML of the normalisation windows.
    scale : str
        TOML of the energy scale.
    references : tuple of (str, float)
        Reference spectra (path below the demonstration's folder, or absolute) and their valence; empty: the standards
        that the simulated beamline measures itself.
    simulation : str
        TOML added to the beamline file.
    angles : int
    exposure : float
        s
    speed : float
        Motion and exposure of the simulated beamline are compressed by this factor.
    """

    element: str
    energies: tuple[float, ...]
    windows: str
    scale: str
    references: tuple[tuple[str, float], ...] = ()
    simulation: str = ""
    angles: int = 96
    exposure: float = 0.5
    speed: float = 20.0


NICKEL = DemoSettings(
    element="Ni",
    energies=(
        8250.0, 8310.0, 8375.0, 8440.0, 8340.0, 8346.0, 8343.0, 8349.0, 8337.0, 8353.0,
        8341.5, 8344.5, 8347.5, 8338.5, 8351.0, 8334.0,
    ),
    windows="pre = [8250, 8325]\npost = [8370, 8440]\ne0 = 8344.0\n",
    scale='name = "foil at 8333 eV"\nfoil_energy = 8333.0\n',
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a demonstration leaves behind.

    Attributes
    ----------
    folder : Path
        Everything it wrote.
    series_uid, run_uid : str
    map_file : Path
        The valence map.
    picture : Path
    shells : list of ShellComparison
        Recovered against true valence.
    """

    folder: Path
    series_uid: str
    run_uid: str
    map_file: Path
    picture: Path
    shells: list[Any]


def run_demo(
    folder: Path, settings: DemoSettings = NICKEL, *, title: str = "demo", console: Console | None = None
) -> DemoResult:
    """Start everything, measure, map, compare with the truth, and end every process again.

    Raises
    ------
    ServiceError
        When a part did not do its work; the message names its log.
    """
    from acquisition.report import compare_shells, draw, print_table, read_truth
    from acquisition.verification import verify_archive

    console = console or Console()
    folder = Path(folder).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    beamline_file = _write_beamline_file(folder, settings)
    with Session(beamline_file, folder) as session:
        console.print(f"[bold]Edgewise {title}[/bold]: simulated beamline, Tiled, archive and live analysis start")
        simulated = session.start_simulation(speed=settings.speed)
        session.start_storage()
        session.start_live_analysis(
            _write_map_settings(folder, settings, simulated.write_standards(folder / "standards"))
        )
        control = session.connect()
        session.services["live"].wait_for("READY", timeout=60)
        storage = session.file.storage
        with SeriesProgress(storage.journal, results=storage.results, waiting=control.beam.waiting, console=console):
            run_uid, series_uid = _scan(session, control, settings)
        map_file = _wait_for_map(session, series_uid, len(settings.energies))
        truth = read_truth(simulated.truth)
        shells = compare_shells(map_file, truth)
        picture = draw(map_file, truth, folder / "valence.png", title=f"{settings.element} valence, {title}")
        checks = verify_archive(session, control.journal.path(run_uid))
    for line in checks:
        console.print(line)
    print_table(console, shells, control.journal.path(run_uid), map_file, speed=settings.speed)
    console.print(_where(folder, map_file, picture, session))
    return DemoResult(folder, series_uid, run_uid, map_file, picture, shells)


def _write_beamline_file(folder: Path, settings: DemoSettings) -> Path:
    path = folder / "beamline.toml"
    path.write_text(packaged("txm_sim").read_text() + settings.simulation)
    return path


def _write_map_settings(folder: Path, settings: DemoSettings, standards: list[tuple[Path, float]]) -> Path:
    references = settings.references or [(str(path), valence) for path, valence in standards]
    lines = [f'element = "{settings.element}"', "shell_thickness = 0.6", "air_columns = 4", "smoothing = 0.7"]
    lines += ['flux = "flux_rate"', ""]
    lines += ["[windows]", settings.windows, "[scale]", settings.scale]
    for path, valence in references:
        lines += ["[[references]]", f'path = "{path}"', f"valence = {valence}", ""]
    file = folder / "map.toml"
    file.write_text("\n".join(lines))
    return file


def _scan(session: Session, control: Control, settings: DemoSettings) -> tuple[str, str]:
    from plans.xanes_tomography import xanes_tomography

    b, scan = cast("Beamline", control.beamline), cast(BeamlineFile, session.file).scan
    plan = xanes_tomography(
        b.detector,
        b.energy,
        b.sample.rotation,
        b.sample.x,
        b.shutter,
        energies=settings.energies,
        angles=angle_set(settings.angles),
        exposure=settings.exposure,
        fly=b.fly,
        period=1.2 * settings.exposure,
        sample_in=scan.sample_in,
        sample_out=scan.sample_out,
        flats=scan.flats,
        darks=scan.darks,
        monitors=[b.ring, b.flux],
        md={"sample": {"name": "Li1.2Mn0.54Co0.13Ni0.13O2, simulated", "element": settings.element}},
    )
    (run_uid,) = cast(tuple[str, ...], control.engine(plan))
    from acquisition.journal import read

    return run_uid, str(read(control.journal.path(run_uid))[0][1]["series_uid"])


def _wait_for_map(session: Session, series_uid: str, energies: int) -> Path:
    """Wait until the live analysis has seen the last energy of the series."""
    session.services["live"].wait_for(f"SERIES {series_uid}", timeout=120)
    path = session.file.storage.results / f"{series_uid}.h5"
    if not path.exists():
        raise ServiceError(f"the live analysis made no map of {energies} energies; see {session.services['live'].log}")
    return path


def _where(folder: Path, map_file: Path, picture: Path, session: Session) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for what, where in (
        ("picture", picture),
        ("valence map (HDF5)", map_file),
        ("frames (HDF5)", session.file.storage.frames),
        ("journal", session.file.storage.journal),
        ("logs", session.file.storage.logs),
        ("open it in IPython", f"{Path(sys.executable).with_name('edgewise')} open {folder}"),
    ):
        table.add_row(f"[bold]{what}[/bold]", str(where).replace(f"{Path.cwd()}/", ""))
    return table
