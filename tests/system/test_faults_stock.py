"""What ophyd's own classes do under each fault is what the reference page says of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.soak, pytest.mark.timeout(180)]
SCRIPT = Path(__file__).with_name("stock_ophyd.py")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """How each scenario ended."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EPICS_")}
    command = [sys.executable, str(SCRIPT), str(tmp_path_factory.mktemp("stock"))]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_stock_ophyd_is_run_under_every_fault_that_can_be_put(outcomes, rows):
    assert set(outcomes) == {fault for fault in rows if "=" in fault}


def test_stock_ophyd_ends_as_the_page_says(outcomes, rows):
    found = {fault: outcome.partition(":")[0] for fault, outcome in outcomes.items()}
    assert found == {fault: rows[fault].stock for fault in found}
