"""The bulk absorption station over real Channel Access: a short in situ series, and a session at its prompt."""

import subprocess
import sys

import pytest

from acquisition.config import load_file, packaged
from acquisition.engine import make_engine
from acquisition.journal import read_series
from acquisition.startup import welcome
from analysis.absorption_runs import read_scans
from analysis.cell_runs import cell_record
from plans.in_situ import in_situ

pytestmark = pytest.mark.system

PROMPT = """
regions = [(8320, 8340, 10, 1.0)]
RE(energy_scan(beamline.chambers, beamline.energy, beamline.shutter, element="Ni", regions=regions,
    foil=beamline.foil, monitors=[beamline.cell, beamline.ring]))
scan = read_scans(session.documents())[-1]
print("counted", scan.energy.size, scan.complete, sorted(scan.readings)[0])
print("beam:", beam.state)
print("costs", estimate_spectra({"Ni": regions}).points)
exit
"""


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


def test_the_shell_opens_at_the_station_and_its_first_plan_works(tmp_path):
    # A process of its own: it starts its own simulated station and points libca at it.
    command = [sys.executable, "-c", "from acquisition.cli import main; main()", "shell", "xas_sim", "--speed", "50"]
    command += ["--output", str(tmp_path)]
    done = subprocess.run(command, input=PROMPT, capture_output=True, text=True, timeout=200, check=False)
    shown = done.stdout + done.stderr
    assert "Edgewise at simulated XAS station" in shown
    assert "counted 3 True cell_charge" in shown, shown
    assert "beam: beam, " in shown
    assert "costs 3" in shown


@pytest.mark.parametrize("name", ["txm_sim", "xas_sim"])
def test_the_opening_screen_shows_a_plan_for_the_devices_there_are(name):
    file = load_file(packaged(name))
    shown = welcome(file)
    assert file.name in shown
    assert ("xanes_tomography(" in shown) == (name == "txm_sim")
    assert ("energy_scan(" in shown) == (name == "xas_sim")
