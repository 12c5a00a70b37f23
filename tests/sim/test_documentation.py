"""The list of process variables names what exists, and all of it."""

import re
from pathlib import Path

import pytest

from sim.area_detector import FAULTS as CAMERA_FAULTS
from sim.cell import Cell
from sim.effects import Effects
from sim.motor_record import FAULTS as MOTOR_FAULTS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "process-variables.md").read_text(encoding="utf-8")
NAMES = sorted(
    {
        name
        for line in PAGE.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+:[\w:]+)`", line.split("|")[1])
        if "NAME" not in name
    }
)


def test_the_page_lists_names():
    assert len(NAMES) > 50


@pytest.mark.parametrize("name", NAMES)
def test_documented_names_exist(beamline, name):
    assert f"SIM:{name}" in beamline.bank


def test_every_record_outside_motors_and_camera_is_documented(beamline):
    names = {name.removeprefix("SIM:") for name in beamline.bank}
    served = {
        n for n in names if "." not in n and not n.startswith(("cam:cam1", "cam:HDF1", "cam:image1", "sim:Effects"))
    }
    chambers = {n for n in served if n.startswith(("ic1:", "ic2:"))}  # as ic0
    assert served - chambers == set(NAMES)


@pytest.mark.parametrize("word", [*Effects.names(), *MOTOR_FAULTS, *CAMERA_FAULTS, *Cell.FAULTS])
def test_effects_and_faults_are_documented(word):
    assert f"`{word}`" in PAGE
