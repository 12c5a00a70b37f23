"""The benchmarks are found by their names, without running any."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_benchmarks_are_listed():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {"edges", "incremental", "morphology", "reconstruction", "registration"} <= set(done.stdout.split())


def test_unknown_benchmarks_are_refused_by_name():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "speed"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no benchmark 'speed'" in done.stderr
