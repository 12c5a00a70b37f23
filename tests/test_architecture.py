"""The plan of the house holds: who may know whom, and imports without effect."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("acquisition", "analysis", "devices", "plans", "sim")


def python(code: str) -> str:
    """Run code in a fresh interpreter at the root; returns what it printed."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nobody_knows_whom_he_should_not_know():
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(tool)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", ["acquisition.session", "acquisition.cli", "analysis.edge", "sim.beamline"])
def test_channel_access_is_not_touched_by_an_import(module):
    loaded = python(f"import sys, {module}; print(sorted({{'epics', 'ophyd'}} & sys.modules.keys()))")
    assert loaded == "[]"


def test_the_environment_is_not_touched_by_any_import():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    changed = python(
        "import os, importlib\n"
        "import bluesky, databroker, ophyd, tiled, numba, matplotlib, h5py  # what they do is theirs\n"
        "before = dict(os.environ)\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print({k for k in before.keys() | os.environ.keys() if before.get(k) != os.environ.get(k)} or 'nothing')"
    )
    assert changed == "nothing"


def test_the_lock_file_names_no_host():
    for lock in ROOT.glob("requirements*.lock"):
        assert "://" not in lock.read_text()
