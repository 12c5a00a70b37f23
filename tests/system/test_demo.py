"""The demonstration, run once as a user runs it, leaves what it promises and no process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import event_model
import h5py
import numpy as np
import pytest

from acquisition.journal import read
from acquisition.report import compare_shells, read_truth

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The finished demonstration: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "output"
    command = [sys.executable, "-c", "import sys; from acquisition.cli import main; sys.exit(main())"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EPICS_")}
    ended = subprocess.run(
        [*command, "demo", "--output", str(folder)],
        capture_output=True, text=True, check=False, timeout=500, env={**environment, "COLUMNS": "200"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return folder, ended.stdout


@pytest.fixture(scope="module")
def map_file(demo):
    """The one map file."""
    (path,) = (demo[0] / "results").glob("*.h5")
    return path


@pytest.fixture(scope="module")
def documents(demo):
    """The documents of the one run."""
    (path,) = (demo[0] / "journal").glob("*.jsonl")
    return read(path)


def test_the_recovered_profile_agrees_with_the_truth_within_its_stated_uncertainty(demo, map_file):
    shells = compare_shells(map_file, read_truth(demo[0] / "simulation"))
    deviations = np.array([shell.deviation for shell in shells])
    assert len(shells) >= 4
    assert np.abs(deviations).max() < 3.0
    assert np.mean(deviations**2) < 2.5  # chi2 per shell; the systematic part is common to all
    sizeable = [shell.sigma for shell in shells if shell.voxels > 1000]
    assert max(sizeable) < 0.05  # not bought with an inflated uncertainty


def test_core_and_surface_are_told_apart(map_file):
    with h5py.File(map_file) as file:
        valence, sigma = file["map/shells/valence"][()], file["map/shells/valence_sigma"][()]
    assert abs(valence[0] - valence[-1]) > 5 * np.hypot(sigma[0], sigma[-1])


def test_the_map_stands_alone_and_leads_to_its_run(map_file, documents):
    start = documents[0][1]
    with h5py.File(map_file) as file:
        assert file.attrs["series_uid"] == start["series_uid"]
        assert json.loads(file.attrs["run_uids"]) == [start["uid"]]
        assert json.loads(file.attrs["raw"]) == [f"raw/{start['uid']}"]
        assert json.loads(file.attrs["left_out"]) == []
        parameters = json.loads(file["map"].attrs["parameters"])
        assert len(parameters["energies_eV"]) == len(start["plan_args"]["energies"])
        assert {"normalisation", "edge_definition", "energy_scale", "references", "rank"} <= parameters.keys()
        reported = file["map/code"][()] == 0
        np.testing.assert_array_equal(np.isfinite(file["map/valence"][()]), reported)
        assert Path(json.loads(json.dumps(file.attrs["frames_of_last_energy"]))).exists()


def test_the_map_was_refreshed_after_every_energy_from_the_fifth_or_so(demo, documents):
    maps = [line for line in (demo[0] / "logs" / "live.log").read_text().splitlines() if line.startswith("MAP ")]
    count = len(documents[0][1]["plan_args"]["energies"])
    numbers = [int(line.split()[1]) for line in maps]
    assert numbers == list(range(numbers[0], count + 1))
    assert numbers[0] <= 8


def test_the_picture_is_one(demo):
    from matplotlib.image import imread

    picture = imread(demo[0] / "valence.png")
    assert picture.shape[0] > 400
    assert picture.shape[1] > 800
    assert picture[..., :3].std() > 0.05


def test_it_prints_shells_checks_and_where_everything_is(demo):
    printed = demo[1]
    for text in (
        "valence by depth below the surface",
        "Tiled holds the run",
        "databroker's Broker gives the same energies and frames",
        "photons per pixel and frame",
        "valence.png",
        "edgewise open",
    ):
        assert text in printed


def test_the_journal_is_complete_and_valid(documents):
    for name, doc in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
    assert documents[-1][1]["exit_status"] == "success"


def test_no_process_is_left_behind(demo):
    """Every process of the demonstration names its folder on its command line."""
    folder = str(demo[0])
    left = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if folder in line and int(entry.parent.name) != os.getpid():
            left.append(line)
    assert left == []
