"""The check names what is lost, in alarm or outside its limits."""

import argparse
import io
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from acquisition.check import Finding, Report, add_check_command, survey
from acquisition.config import packaged
from acquisition.errors import ServiceError
from acquisition.faults import BY_NAME, SimulationAddress, add_fault_command, known_faults, put_fault


@pytest.fixture(scope="module")
def fresh(beamline_path):
    """A microscope in process that no other test has used."""
    from acquisition import beamline
    from acquisition.channel_access import set_timeouts
    from acquisition.config import BeamlineFile
    from sim.beamline import build
    from sim.control_layer import install
    from sim.simulation import Simulation

    set_timeouts()
    layer = install(build(Simulation.from_toml(beamline_path)).bank)
    try:
        devices = beamline.build(BeamlineFile.load(beamline_path))
        beamline.connect(devices)
    finally:
        layer.restore()
    yield SimpleNamespace(devices=devices, put=layer.put, fault=lambda text: layer.put("SIM:sim:Fault", text))
    layer.close()


@pytest.fixture
def world(fresh):
    """The microscope, healed afterwards."""
    yield fresh
    fresh.fault("")


def failures(world):
    return survey("test", world.devices, timeout=1.0).failures


def test_a_healthy_beamline_passes(world):
    assert failures(world) == ()


def test_an_alarm_is_named(world):
    world.fault("alarm=ring:Current")
    (found,) = failures(world)
    assert found.reason.startswith("ring_current (SIM:ring:Current) is ")
    assert found.reason.endswith("in MAJOR alarm")


def test_lost_process_variables_are_all_named(world):
    world.fault("pv=shutter:")
    names = {found.pv for found in failures(world)}
    assert names == {f"SIM:{s}:{pv}" for s in ("shutter", "photon_shutter") for pv in ("Cmd", "Sts")}


def test_the_table_names_devices_values_and_limits(world):
    text = io.StringIO()
    survey("test", world.devices, timeout=1.0).print(Console(file=text, width=160))
    assert "SIM:sample:x.VAL" in text.getvalue()
    assert "-25..25" in text.getvalue()
    assert "0 fail" in text.getvalue()


@pytest.mark.parametrize("name", ["fxi_sim", "xas_sim"])
@pytest.mark.system
def test_a_packaged_beamline_passes_on_its_own_simulation(name):
    code = (
        "import sys; from pathlib import Path; from acquisition.check import check_beamline;"
        f"sys.exit(not check_beamline(Path({str(packaged(name))!r}), simulate=True).ok)"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EPICS_")}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 fail" in run.stdout


def test_known_faults_are_those_the_simulation_takes(world):
    for device, faults in known_faults().items():
        for fault in faults if device not in BY_NAME else ():
            world.put("SIM:sim:Fault", f"{device}={fault}")
            world.put("SIM:sim:Fault", f"{device}=")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nose=red", "no device 'nose'"),
        ("cam=red", "cam has no fault 'red'"),
        ("cam=hung", "did you mean cam=hang"),
        ("shuter=stuck", "did you mean shutter or photon_shutter"),
        ("cam", "say cam=FAULT, with one of hang"),
    ],
)
def test_a_fault_that_does_not_exist_is_refused_with_those_that_do(fault, message):
    with pytest.raises(ServiceError, match=message):
        put_fault(SimulationAddress("127.0.0.1:1", "SIM:"), fault)


def test_the_commands_fit_into_a_command_line(capsys):
    line = argparse.ArgumentParser()
    commands = line.add_subparsers()
    add_check_command(commands)
    add_fault_command(commands)
    options = line.parse_args(["fault"])
    assert options.run(options) == 0
    assert "disk_full" in capsys.readouterr().out
    assert line.parse_args(["check", "x.toml", "--simulate"]).simulate


def test_the_simulation_of_a_session_is_found_by_its_log(tmp_path):
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "ioc.log"
    log.write_text("READY port=5 records=1 prefix=OLD:\nREADY port=20000 records=764 prefix=SIM:\n")
    assert SimulationAddress.of_session(tmp_path) == SimulationAddress("127.0.0.1:20000", "SIM:")
    with pytest.raises(ServiceError, match="no simulated beamline has been started"):
        SimulationAddress.of_session(tmp_path / "elsewhere")


def test_names_of_process_variables_are_printed_as_they_are():
    console = Console(record=True, width=120)
    Report("ring", (Finding("ring", "SIM:ring:Current", 500.0, None, "ok"),)).print(console)
    assert "SIM:ring:Current" in console.export_text()
