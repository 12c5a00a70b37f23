"""Time left, from what has been done."""

import pytest
from rich.console import Console

from acquisition.journal import Journal
from acquisition.progress import SeriesProgress, remaining


def test_nothing_is_promised_before_the_first_energy():
    assert remaining([100.0], 10) is None


def test_the_rest_takes_as_long_per_energy_as_the_first_ones():
    assert remaining([0.0, 10.0, 22.0], 10) == pytest.approx(8 * 11.0)


def test_nothing_is_left_at_the_end():
    assert remaining([0.0, 1.0, 2.0], 2) == 0.0


def test_a_run_is_shown_with_its_energy_and_the_map_so_far(tmp_path, run_documents):
    results = tmp_path / "results"
    results.mkdir()
    (results / "s.status.txt").write_text("90 % of 10 voxels, valence ± 0.10")
    console = Console(record=True, width=100, force_terminal=True)
    documents = run_documents(1, plan_args={"energies": [8300.0, 8400.0]}, series_uid="s")
    documents[0][1]["plan_name"] = "xanes_tomography"
    documents[2][1]["data"]["energy"] = 8300.0
    journal = Journal(tmp_path / "journal")
    with SeriesProgress(tmp_path / "journal", results=results, console=console):
        for name, doc in documents:
            journal(name, doc)
    shown = console.export_text()
    assert "1/2" in shown
    assert "8300.0 eV" in shown
    assert "map so far: 90 % of 10 voxels" in shown


def test_a_scan_that_waits_says_for_what(tmp_path, run_documents):
    console = Console(record=True, width=120, force_terminal=True)
    documents = run_documents(1, plan_args={"energies": [8300.0, 8400.0]}, series_uid="s")
    documents[0][1]["plan_name"] = "xanes_tomography"
    journal = Journal(tmp_path / "journal")
    state = "waiting for beam, 0.0 mA, since 21:33:05"
    with SeriesProgress(tmp_path / "journal", waiting=lambda: state, console=console):
        for name, doc in documents[:2]:
            journal(name, doc)
    assert state in console.export_text()
