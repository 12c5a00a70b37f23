"""The bulk absorption station over real Channel Access: a short in situ series, and the how-to page at the prompt."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from acquisition.config import load_file, packaged
from acquisition.engine import make_engine
from acquisition.journal import read_series
from acquisition.startup import welcome
from analysis.absorption_runs import read_scans
from analysis.cell_runs import cell_record
from plans.in_situ import in_situ

pytestmark = pytest.mark.system

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "in-situ-xas.md"


def test_an_in_situ_series_over_channel_access_is_complete_and_leaves_the_station_safe(
    bulk_over_channel_access, tmp_path
):
    b = bulk_over_channel_access.devices
    engine, _ = make_engine(tmp_path, beamline="small")
    edges = {"Ni": [(8320.0, 8340.0, 5.0, 1.0)]}
    engine(
        in_situ(
            b.chambers, b.energy, b.shutter, b.cell, edges=edges, current=0.5, rounds=2, foil=b.foil, monitors=[b.ring]
        )
    )
    documents = read_series(tmp_path)
    scans, record = read_scans(documents), cell_record(documents)
    assert [scan.complete for scan in scans] == [True, True]
    assert scans[1].readings["cell_charge"][-1] > scans[0].readings["cell_charge"][0]
    assert record.time[0] < scans[0].time[0] < scans[-1].time[-1] < record.time[-1]
    assert all(doc["exit_status"] == "success" for name, doc in documents if name == "stop")
    assert (b.shutter.status.get(), b.cell.status.get()) == ("Closed", "Idle")


@pytest.mark.soak
def test_the_how_to_page_runs_at_the_prompt_as_it_stands(tmp_path):
    # A process of its own: it starts its own simulated station and points libca at it. Less of the charge, and faster.
    page = PAGE.read_text().replace("upper_voltage=4.75", "upper_voltage=4.4").replace("--speed 50", "--speed 150")
    (shell,) = re.findall(r"^edgewise (shell .*)$", page, re.MULTILINE)
    typed = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)) + "\nexit\n"
    command = [sys.executable, "-c", "from acquisition.cli import main; main()", *shell.split()]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=250, check=False, cwd=tmp_path)
    shown = done.stdout + done.stderr
    assert "Edgewise at simulated XAS station" in shown
    assert "Error" not in shown, shown
    moved, half = re.findall(r"axis moved by (\S+) eV; half height (\S+) ±", shown)[0]
    assert float(moved) == pytest.approx(-0.71, abs=0.1)  # the hidden error; its foil is on a grid of 0.5 eV
    assert float(half) == pytest.approx(8342.1, abs=0.2)  # NiO, the windows
    assert "Ni K edge during the charge" in shown
    assert (tmp_path / "charge" / "charge.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", ["txm_sim", "xas_sim"])
def test_the_opening_screen_shows_a_plan_for_the_devices_there_are(name):
    file = load_file(packaged(name))
    shown = welcome(file)
    assert file.name in shown
    assert ("xanes_tomography(" in shown) == (name == "txm_sim")
    assert ("energy_scan(" in shown) == (name == "xas_sim")
