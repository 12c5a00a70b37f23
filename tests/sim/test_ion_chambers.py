"""The bulk station measures the foil's edge where it is and the pellet's where the cell put it."""

import numpy as np
import pytest

from sim.beamline import build
from sim.optics import bragg_angle
from sim.references import HALF_HEIGHTS
from sim.simulation import Simulation


def station(**settings):
    base = {"shape": [16, 16], "pixel_size": 800.0, "speed": 1e4, "photon_rate": 4e7, "specimen": {"voxel": 0.5}}
    beamline = build(Simulation.from_dict(base | {"effects": {"ring_decay": False}} | settings))
    beamline.parts.shutter.status.value = 1
    return beamline


def spectrum(beamline, run, energies):
    """Return (mu t of the pellet, mu t of the foil) at energies, counted through the records."""

    async def work():
        counts = []
        for energy in energies:
            await beamline.bank["SIM:mono:bragg"].put(bragg_angle(float(energy)))
            await beamline.bank["SIM:counter:Count"].put(1)
            counts.append([beamline.bank[f"SIM:ic{n}:Counts"].value for n in range(3)])
        return np.array(counts)

    # dark offset of the amplifiers: 2 mV x 1e5 Hz/V x 1 s
    i0, i1, i2 = (run(work()) - 200.0).T
    return np.log(i0 / i1), np.log(i1 / i2)


def test_foil_edge_is_found_within_fifty_millielectronvolt(run):
    energies = np.arange(8330.0, 8336.01, 0.25)
    _, foil = spectrum(station(), run, energies)
    slope = np.gradient(foil, energies)
    peak = int(np.argmax(slope))
    a, b, _ = np.polyfit(energies[peak - 3 : peak + 4], slope[peak - 3 : peak + 4], 2)
    assert -b / (2 * a) == pytest.approx(8333.0, abs=0.05)


def test_a_hidden_bragg_error_shows_in_the_foil(run):
    shifted = station(bragg_error=-0.002)
    energies = np.arange(8329.0, 8337.01, 0.5)
    slopes = [np.gradient(spectrum(s, run, energies)[1], energies) for s in (station(), shifted)]
    found = [energies[np.argmax(slope)] for slope in slopes]
    # 0.002 deg are 1.19 eV; steps of 0.5 eV
    assert found[1] - found[0] == pytest.approx(-1.19, abs=0.5)


def test_pellet_edge_moves_with_the_state_of_charge(run):
    energies = np.r_[8250:8320:10.0, 8336:8350:0.5, 8380:8420:10.0]
    beamline = station()
    half = []
    for charge in (0.0, 0.28):
        beamline.parts.cell._charge = charge * beamline.parts.cell.capacity
        mu, _ = spectrum(beamline, run, energies)
        before, after = energies < 8320, energies > 8370
        line = np.polyval(np.polyfit(energies[before], mu[before], 1), energies)
        normal = (mu - line) / (mu - line)[after].mean()
        first = int(np.argmax(normal > 0.5))
        half.append(np.interp(0.5, normal[first - 1 : first + 1], energies[first - 1 : first + 1]))
    # Ni from 2 to 3: half heights of NiO and LiNiO2; 0.2 eV for normalising on a few points
    expected = [value for _, value in HALF_HEIGHTS["Ni"][:2]]
    np.testing.assert_allclose(half, expected, atol=0.2)


def test_too_much_gain_overloads(run):
    beamline = station()

    async def work():
        await beamline.bank["SIM:ic0:Gain"].put("1e11 V/A")
        await beamline.bank["SIM:counter:Count"].put(1)

    run(work())
    assert beamline.bank["SIM:ic0:Overload"].value == 1
    assert beamline.bank["SIM:ic0:Voltage"].severity == 2


def test_a_missing_foil_absorbs_nothing(run):
    beamline = station()
    run(beamline.bank["SIM:sim:Fault"].put("foil=missing"))
    _, foil = spectrum(beamline, run, [8300.0, 8400.0])
    assert foil[0] == pytest.approx(foil[1], abs=2e-3)  # no edge; noise of 1e7 detected photons and more
