"""The command line: ``edgewise --help``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from acquisition.check import add_check_command
from acquisition.errors import EdgewiseError
from acquisition.faults import add_fault_command

__all__ = ["main"]

EPILOG = "Begin with `edgewise demo`. Each command has its own --help."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors of ours are printed without a traceback and give exit status 1."""
    line = argparse.ArgumentParser(
        prog="edgewise",
        description="Acquire across absorption edges and map valence while the data arrive.",
        epilog=EPILOG,
    )
    commands = line.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_demo, _add_demo_real, _add_operando, _add_shell, _add_open, add_check_command, add_fault_command):
        add(commands)
    options = line.parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except EdgewiseError as reason:
        sys.stderr.write(f"edgewise: {_described(reason)}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("edgewise: interrupted\n")
        return 130


Commands = argparse._SubParsersAction  # type: ignore[type-arg]


def _add_demo(commands: "Commands[argparse.ArgumentParser]") -> None:
    demo = commands.add_parser("demo", help="measure and map a simulated particle, from motors to valence")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), help="folder, emptied first")
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    from acquisition.demo import run_demo

    run_demo(options.output)


def _add_demo_real(commands: "Commands[argparse.ArgumentParser]") -> None:
    real = commands.add_parser(
        "demo-real", help="the demo with measured reference spectra, and a measured operando series with its cell"
    )
    real.add_argument("data", type=Path, help="folder below which the measured files are")
    real.add_argument("--output", type=Path, default=Path("demo-output-real"), help="folder, emptied first")
    real.add_argument(
        "--reference", action="append", default=[], metavar="FILE=VALENCE", help="reference spectrum; at least two"
    )
    real.add_argument("--spectra", type=Path, help="folder or .tar archive of operando spectra")
    real.add_argument("--cell", type=Path, action="append", default=[], help="EC-Lab file; may be repeated")
    real.add_argument("--timezone", help="zone of the clocks of spectra and cell, e.g. Europe/Paris")
    real.set_defaults(run=_demo_real)


def _demo_real(options: argparse.Namespace) -> None:
    from acquisition.demo_real import RealInput, find_input, run_demo_real

    references = tuple(_reference(text) for text in options.reference)
    if references and options.spectra and options.cell:
        real = RealInput(references, options.spectra, tuple(options.cell))
    else:
        found = find_input(options.data)
        real = RealInput(
            references or found.references, options.spectra or found.spectra, tuple(options.cell) or found.cell
        )
    run_demo_real(real, options.output, timezone=options.timezone)


def _reference(text: str) -> tuple[Path, float]:
    path, _, valence = text.rpartition("=")
    try:
        return Path(path), float(valence)
    except ValueError as reason:
        raise EdgewiseError(f"--reference {text!r} is not FILE=VALENCE, e.g. NiO.xdi=2") from reason


def _add_operando(commands: "Commands[argparse.ArgumentParser]") -> None:
    line = commands.add_parser("operando", help="edge positions of measured spectra, joined with the cell's record")
    line.add_argument("spectra", type=Path, help="folder or .tar archive of spectra")
    line.add_argument("cell", type=Path, nargs="+", help="EC-Lab text files of the cell")
    line.add_argument("--picture", type=Path, default=Path("operando.png"))
    line.add_argument("--timezone", help="zone of the clocks of spectra and cell, e.g. Europe/Paris")
    line.add_argument("--mass", type=float, metavar="MG", help="active mass in mg, when the file's is wrong")
    line.set_defaults(run=_operando)


def _operando(options: argparse.Namespace) -> None:
    from acquisition.operando_report import operando

    operando(options.spectra, options.cell, picture=options.picture, timezone=options.timezone, mass_mg=options.mass)


def _add_shell(commands: "Commands[argparse.ArgumentParser]") -> None:
    shell = commands.add_parser("shell", help="IPython at a beamline, with its devices, plans and RunEngine")
    shell.add_argument("beamline", nargs="?", default="txm_sim", help="beamline file, or the name of a packaged one")
    shell.add_argument("--output", type=Path, default=Path("session"), help="folder for everything that is written")
    shell.add_argument("--speed", type=float, help="run a simulated beamline this many times faster")
    shell.add_argument("--map", type=Path, metavar="FILE", help="map settings: starts the live analysis")
    shell.set_defaults(run=_shell)


def _shell(options: argparse.Namespace) -> None:
    from acquisition.startup import shell

    shell(options.beamline, options.output, speed=options.speed, map_settings=options.map)


def _add_open(commands: "Commands[argparse.ArgumentParser]") -> None:
    line = commands.add_parser("open", help="IPython with the runs and maps in a folder of an earlier session")
    line.add_argument("folder", type=Path, help="folder of a session or demonstration")
    line.set_defaults(run=_open)


def _open(options: argparse.Namespace) -> None:
    from acquisition.startup import open_folder

    open_folder(options.folder)


def _described(reason: BaseException) -> str:
    if isinstance(reason, BaseExceptionGroup):
        return "\n  ".join([str(reason), *map(_described, reason.exceptions)])
    return str(reason)
