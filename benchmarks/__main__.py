"""Runs the benchmarks one after another, each in a process of its own: ``python -m benchmarks [--quick] [names]``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent
PEERS = {"algotom": "reconstruction, registration", "astra": "reconstruction", "larch": "edges"}
# The peers and our reconstruction of one slice are compared on one thread; the kernels set their own number.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def names() -> list[str]:
    """Names of all benchmarks: the scripts bench_*.py beside this one."""
    return sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def run(name: str, *, quick: bool) -> tuple[int, float]:
    """Run one benchmark, which prints its own tables; returns its exit status and the seconds it took."""
    script = FOLDER / f"bench_{name}.py"
    short = ["--quick"] if quick and '"--quick"' in script.read_text(encoding="utf-8") else []
    path = os.pathsep.join(filter(None, [str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]))
    print(f"\n=== {' '.join([name, *short])}", flush=True)
    start = time.perf_counter()
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, str(script), *short], env=environment, check=False)
    return done.returncode, time.perf_counter() - start


def main() -> int:
    """Run what was asked for and sum up; the status is that of the worst."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run; all if none is given")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds, fewer competitors")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args()
    known = names()
    if options.list:
        print("\n".join(known))
        return 0
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(known)}")
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")
    for peer, where in PEERS.items():
        if importlib.util.find_spec(peer) is None:
            print(f"{peer} is not installed: missing in {where} (requirements-bench.lock installs it)")
    results = {name: run(name, quick=options.quick) for name in options.names or known}
    print("\n=== summary")
    for name, (status, seconds) in results.items():
        print(f"{name:20} {'done' if status == 0 else f'failed with status {status}':24} {seconds:7.1f} s")
    return max((abs(status) for status, _ in results.values()), default=0)


if __name__ == "__main__":
    sys.exit(main())
