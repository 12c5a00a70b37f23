"""An IOC that dies ends what was under way at once, and the same devices work again when it is back."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
SCRIPT = Path(__file__).with_name("ioc_death.py")
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "faults.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """What the scenarios gave."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EPICS_")}
    command = [sys.executable, str(SCRIPT), str(tmp_path_factory.mktemp("death"))]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("what", "row"), [("move", "IOC killed in mid-move"), ("exposure", "IOC killed in mid-exposure")]
)
def test_the_operation_fails_with_the_process_variable_that_was_lost(answer, what, row):
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {row}")]
    expected = ".*".join(re.escape(part) for part in line.split("|")[3].strip().split("…"))
    assert re.search(expected, answer[what]["error"]), answer[what]["error"]


def test_a_lost_move_fails_long_before_its_limit(answer):
    assert answer["move"]["seconds"] < 10  # the motion would have taken 50 s


def test_nothing_is_recorded_of_the_exposure_that_died(answer):
    assert answer["exposure"]["exit_status"] == "fail"
    assert answer["exposure"]["events"] == 1  # the dark


def test_the_same_devices_work_again(answer):
    assert answer["move"]["back"]
    assert answer["exposure"]["back"]
    assert answer["again"] == "idle"
