"""The light follows the true crystals; the read-back follows what the beamline believes."""

import numpy as np
import pytest

from sim.beamline import build
from sim.monochromator import fixed_exit_gap
from sim.optics import bragg_angle
from sim.simulation import Simulation


def small(**settings):
    base = {"shape": [16, 16], "pixel_size": 800.0, "speed": 1000.0, "specimen": {"voxel": 0.5}}
    return build(Simulation.from_dict(base | settings))


def move(beamline, run, **targets):
    async def work():
        for name, target in targets.items():
            await beamline.bank["SIM:mono:" + name].put(target)

    run(work())


def test_calibration_moves_the_readback_only(run):
    beamline = small()
    before = beamline.parts.mono.true_energy(beamline.clock.now())
    move(beamline, run, BraggOffset=-0.002)
    assert beamline.parts.mono.true_energy(beamline.clock.now()) == before
    # dE = -E cot(theta) dtheta: 8333 / tan(13.7246 deg) x 0.002 deg = 1.19 eV
    assert beamline.bank["SIM:mono:EnergyRBV"].value - before == pytest.approx(1.191, abs=0.005)


def test_a_hidden_error_is_cancelled_by_its_calibration(run):
    beamline = small(bragg_error=0.003)
    move(beamline, run, BraggOffset=0.003)
    shown = beamline.bank["SIM:mono:EnergyRBV"].value
    assert shown == pytest.approx(beamline.parts.mono.true_energy(beamline.clock.now()), abs=1e-6)


def test_backlash_depends_on_the_direction(run):
    beamline = small(effects={"backlash": True})
    target, light = bragg_angle(8340.0), []
    for start in (13.0, 15.0):
        move(beamline, run, bragg=start)
        move(beamline, run, bragg=target)
        light.append(beamline.parts.mono.true_energy(beamline.clock.now()))
    # 2e-4 deg are 0.119 eV at 8340 eV; from smaller angles the true angle is larger
    assert light[1] - light[0] == pytest.approx(0.119, abs=0.002)


def test_jitter_is_unseen_and_has_its_size():
    beamline = small(effects={"energy_jitter": True})
    values = [beamline.parts.mono.true_energy(0.0) for _ in range(2000)]
    assert np.std(values) == pytest.approx(0.02, rel=0.07)  # 4 standard errors of 2000 values


def test_the_gap_must_follow_for_a_fixed_exit(run):
    beamline = small(effects={"fixed_exit": True})
    assert beamline.parts.mono.throughput() == pytest.approx(1.0, abs=1e-6)
    move(beamline, run, bragg=18.0)
    assert beamline.parts.mono.throughput() < 0.6
    move(beamline, run, gap=fixed_exit_gap(18.0))
    assert beamline.parts.mono.throughput() == pytest.approx(1.0, abs=1e-6)


def test_the_second_crystal_has_a_rocking_curve(run):
    beamline = small(effects={"rocking_curve": True}, amplitudes={"pitch_drift": 0.0})
    move(beamline, run, pitch=20.0)
    assert beamline.parts.mono.throughput() == pytest.approx(0.5, abs=1e-6)  # half of 40 urad full width


def test_off_energy_fault_keeps_the_readback_from_its_target(run):
    beamline = small()

    async def work():
        await beamline.bank["SIM:sim:Fault"].put("mono=off_energy")
        await beamline.bank["SIM:mono:bragg"].put(bragg_angle(8340.0))

    run(work())
    assert beamline.bank["SIM:mono:EnergyRBV"].value == pytest.approx(8345.0, abs=0.01)
