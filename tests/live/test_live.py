"""The live analysis refreshes a map file while energies arrive, and survives whatever a run may bring."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

from acquisition.journal import Follower, Journal
from acquisition.live import Analyst, follow


@pytest.fixture
def analyst(series, tmp_path):
    """A live analysis that writes to tmp_path."""
    return Analyst(series.settings, tmp_path)


def keep(folder, documents):
    journal = Journal(folder)
    for name, doc in documents:
        journal(name, doc)
    return journal.path(documents[0][1]["uid"])


def feed(analyst, path, documents):
    for name, doc in documents:
        analyst.take(path, name, doc)


def energies_in(path):
    with h5py.File(path) as file:
        return json.loads(file["map"].attrs["parameters"])["energies_eV"]


def test_the_file_is_refreshed_after_each_energy(series, analyst, documents_of, tmp_path):
    counts = []
    for name, doc in documents_of(series.tomograms):
        analyst.take(tmp_path / "run", name, doc)
        if (tmp_path / "series-a.h5").exists():
            counts.append(len(energies_in(tmp_path / "series-a.h5")))
    assert sorted(set(counts)) == [*range(min(counts), 13)]
    assert min(counts) <= 6


def test_a_map_file_stands_alone(series, analyst, documents_of, tmp_path):
    documents = documents_of(series.tomograms)
    feed(analyst, tmp_path / "run", documents)
    with h5py.File(tmp_path / "series-a.h5") as file:
        assert json.loads(file.attrs["run_uids"]) == [documents[0][1]["uid"]]
        assert json.loads(file.attrs["left_out"]) == []
        found = json.loads(file["map"].attrs["parameters"])
        assert found["element"] == "Ni"
        assert found["normalisation"]["pre_order"] == 1
        assert found["field_shape_zyx"] == [64, 64, 64]
        assert file["map/valence"].shape == file["map/code"].shape == file["map/mask"].shape
        assert file["map/energies/energy"].shape == (12,)
        for node in ("edge", "jump", "attenuation", "depth"):
            assert file["map"][node].attrs["units"] != ""
        assert np.isfinite(file["map/shells/valence"][0])


@pytest.mark.parametrize("how", ["missing", "empty", "no light", "not finite"])
def test_a_bad_energy_is_left_out_and_named_and_the_others_go_on(series, analyst, documents_of, copied, tmp_path, how):
    bad = copied(series.tomograms[6])
    path = bad.projections.frames[0]
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    else:
        with h5py.File(path, "r+") as file:
            if how == "no light":
                file["frames"][...] = 0
            else:
                file["angle"][3] = np.nan
    tomograms = [bad if t.planned == bad.planned else t for t in series.tomograms]
    feed(analyst, tmp_path / "run", documents_of(tomograms))
    (reason,) = analyst.series["series-a"].left_out
    assert reason.startswith("energy 8343.00 eV: ")
    assert len(energies_in(tmp_path / "series-a.h5")) == 11
    with h5py.File(tmp_path / "series-a.h5") as file:
        assert json.loads(file.attrs["left_out"]) == [reason]


def test_a_bad_first_energy_leaves_the_start_to_the_next(series, analyst, documents_of, copied, tmp_path):
    bad = copied(series.tomograms[0])
    bad.projections.frames[0].unlink()
    feed(analyst, tmp_path / "run", documents_of([bad, *series.tomograms[1:]]))
    assert len(energies_in(tmp_path / "series-a.h5")) == 11


def test_two_series_in_one_journal_give_two_maps(series, analyst, documents_of, tmp_path):
    one = keep(tmp_path / "journal", documents_of(series.tomograms[:7], series_uid="one"))
    two = keep(tmp_path / "journal", documents_of(series.tomograms[:6], series_uid="two", stop=False))
    assert one != two
    follow(Follower(tmp_path / "journal"), analyst)
    assert len(energies_in(tmp_path / "one.h5")) == 7
    assert len(energies_in(tmp_path / "two.h5")) == 6


def test_a_run_that_continues_a_series_sharpens_its_map(series, analyst, documents_of, tmp_path):
    feed(analyst, tmp_path / "first", documents_of(series.tomograms[:7], stop=False))
    feed(analyst, tmp_path / "second", documents_of(series.tomograms[7:9]))
    assert len(energies_in(tmp_path / "series-a.h5")) == 9
    with h5py.File(tmp_path / "series-a.h5") as file:
        assert len(json.loads(file.attrs["run_uids"])) == 2


def test_a_damaged_journal_line_stops_that_run_only(series, analyst, documents_of, tmp_path):
    damaged = keep(tmp_path / "journal", documents_of(series.tomograms[:6], series_uid="bad", stop=False))
    damaged.write_bytes(damaged.read_bytes() + b"not json\n")
    keep(tmp_path / "journal", documents_of(series.tomograms[:6], series_uid="good"))
    follower = Follower(tmp_path / "journal")
    for _ in range(3):
        follow(follower, analyst)
    assert len(energies_in(tmp_path / "bad.h5")) == len(energies_in(tmp_path / "good.h5")) == 6


def test_a_start_document_without_its_arguments_is_left_out(analyst, tmp_path):
    start = {"uid": "x", "plan_name": "xanes_tomography", "series_uid": "s", "time": 0.0}
    analyst.take(tmp_path / "run", "start", start)
    assert analyst.series == {}


@pytest.mark.parametrize("text", ["", "element = 3", "not toml ["])
def test_wrong_settings_end_the_process_with_a_message(tmp_path, text):
    settings = tmp_path / "map.toml"
    settings.write_text(text)
    arguments = ["--journal", tmp_path, "--results", tmp_path, "--settings", settings]
    ended = subprocess.run(
        [sys.executable, "-m", "acquisition.live", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"live analysis: map settings {settings}")
    assert "Traceback" not in ended.stderr
