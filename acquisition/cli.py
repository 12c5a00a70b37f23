"""The command line: ``edgewise --help``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from acquisition.errors import EdgewiseError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors of ours are printed without a traceback and give exit status 1."""
    line = argparse.ArgumentParser(prog="edgewise", description="Acquire across absorption edges and map valence.")
    commands = line.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="measure and map a simulated particle, from motors to valence")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), help="folder, emptied first")
    demo.set_defaults(run=_demo)
    options = line.parse_args(arguments)
    try:
        return int(options.run(options))
    except EdgewiseError as reason:
        sys.stderr.write(f"edgewise: {_described(reason)}\n")
        return 1


def _demo(options: argparse.Namespace) -> int:
    from acquisition.demo import run_demo

    run_demo(options.output)
    return 0


def _described(reason: BaseException) -> str:
    if isinstance(reason, BaseExceptionGroup):
        return "\n  ".join([str(reason), *map(_described, reason.exceptions)])
    return str(reason)
