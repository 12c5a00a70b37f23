"""A foil's position is found between the grid points, its drift to thousandths of an eV."""

import numpy as np
import pytest

from analysis.energy_scale import FOIL_ENERGIES, ScaleError
from analysis.foil import foil_position, foil_shift
from analysis.foil_drift import foil_drift
from analysis.spectrum_files import read_spectrum, read_xdi

GRID = np.arange(8290.0, 8380.0, 0.4)


def foil(energy, at):
    """Symmetric about its steepest point, with a later, flatter rise as nickel has."""
    edge = 0.5 * np.tanh((energy - at) / 1.7) + 0.4 * np.tanh((energy - at - 14) / 5)
    return 0.8 + edge + 1e-4 * (energy - at)


@pytest.mark.parametrize("offset", [0.0, 0.1, 0.2, 0.31])
def test_steepest_point_is_found_between_grid_points(offset):
    found = foil_position(GRID, foil(GRID, 8333.0 + offset), near=8333.0)
    # The later rise tilts the slope by less than 0.01 eV.
    assert found.energy == pytest.approx(8333.0 + offset, abs=0.015)


def test_shift_leads_to_the_foil_scale():
    shift = foil_shift(GRID, foil(GRID, 8331.2), element="Ni")
    assert shift.shift == pytest.approx(1.8, abs=0.02)


def test_uncertainty_covers_the_noise():
    rng = np.random.default_rng(3)
    found = [foil_position(GRID, foil(GRID, 8333.07) + rng.normal(0, 2e-3, GRID.size), near=8333) for _ in range(60)]
    pull = np.array([(f.energy - 8333.07) / f.sigma for f in found])
    # The window's part makes single uncertainties generous, never small.
    assert 0.4 < np.std(pull) < 1.3


def test_drift_is_followed_to_milli_electronvolts():
    rng = np.random.default_rng(5)
    hours = np.arange(24.0)
    axis_error = 0.02 * hours + rng.normal(0, 0.02, 24)
    foils = [foil(GRID, 8333 + d) + rng.normal(0, 1e-3, GRID.size) for d in axis_error]
    drift = foil_drift(GRID, foils, element="Ni", times=3600 * hours)
    found = -(drift.shift - drift.shift.mean())
    pull = (found - axis_error + axis_error.mean()) / drift.sigma
    assert np.std(pull) == pytest.approx(1.0, abs=0.35)  # 24 values: 0.15 standard error
    assert drift.rate == pytest.approx(0.02, abs=4 * drift.rate_sigma)
    assert drift.sigma.max() < 0.01


def test_drift_on_an_axis_far_off_is_followed_where_the_foil_is_said_to_be():
    far = [foil(GRID, 8343.0 + d) for d in (0.0, 0.02, 0.04)]
    with pytest.raises(ScaleError):
        foil_drift(GRID, far, element="Ni")
    shift = foil_drift(GRID, far, element="Ni", near=8343.0).shift
    np.testing.assert_allclose(shift, [-10.0, -10.02, -10.04], atol=0.02)


def test_a_dead_foil_channel_is_left_out():
    rng = np.random.default_rng(8)
    foils = np.stack([foil(GRID, 8333.0)] * 8) + rng.normal(0, 1e-3, (8, GRID.size))
    foils[1] = np.nan
    foils[4] = rng.normal(0, 1, GRID.size)
    foils[6] = 0.0
    drift = foil_drift(GRID, foils, element="Ni")
    assert np.flatnonzero(np.isnan(drift.shift)).tolist() == [1, 4, 6]
    np.testing.assert_allclose(drift.shift[[0, 2, 3, 5, 7]], 0, atol=0.02)


def test_no_edge_no_position():
    with pytest.raises(ScaleError, match=r"within 6\.0 eV of 8333"):
        foil_position(GRID - 60, foil(GRID, 8333), near=8333.0)
    with pytest.raises(ScaleError):
        foil_position(GRID, -foil(GRID, 8333), near=8333.0)


def test_light_of_the_sample_in_the_detector_of_the_foil_is_told():
    leaking = 0.5 * foil(GRID, 8333.0) + 0.4 * np.tanh((GRID - 8338.6) / 1.5)
    with pytest.raises(ScaleError, match=r"rises first at 833\d\.\d eV but steeper at 8338\.\d eV"):
        foil_position(GRID, leaking, near=8333.0)


def test_an_axis_so_far_off_that_the_second_rise_lies_where_the_first_is_sought_is_refused():
    iron = 0.5 * np.tanh((GRID - 8326.0) / 1.7) + 0.5 * np.tanh((GRID - 8334.0) / 1.9)
    with pytest.raises(ScaleError, match=r"the first steep rise is at 832\d\.\d eV; give near="):
        foil_position(GRID, iron, near=8333.0)
    assert foil_position(GRID, iron, near=8326.0).energy == pytest.approx(8326.0, abs=0.1)


def test_a_glitch_below_the_edge_is_no_edge():
    glitched = foil(GRID, 8333.0) + 0.5 * (np.abs(GRID - 8321.2) < 0.1)
    assert foil_position(GRID, glitched, near=8333.0).energy == pytest.approx(8333.0, abs=0.015)


def test_a_weak_foil_is_as_uncertain_as_it_scatters():
    rng = np.random.default_rng(21)
    found = [foil_position(GRID, foil(GRID, 8333.07) + rng.normal(0, 0.02, GRID.size), near=8333) for _ in range(60)]
    pull = np.array([(f.energy - 8333.07) / f.sigma for f in found])
    assert np.std(pull) == pytest.approx(
        1.1, abs=0.4
    )  # 60 values: 0.1 standard error; jump/noise is 50, a point 0.2 eV


def test_a_grid_that_is_coarser_around_the_edge_still_gives_five_points():
    grid = np.concatenate(
        [np.arange(8270.0, 8325.0, 0.4), np.arange(8325.0, 8342.0, 0.9), np.arange(8342.0, 8380.0, 0.4)]
    )
    assert foil_position(grid, foil(grid, 8333.1), near=8333.0).energy == pytest.approx(8333.1, abs=0.05)


@pytest.mark.parametrize(("element", "known"), [("Mn", 6539.1), ("Co", 7709.2), ("Ni", 8333.2)])
def test_measured_foils(measured_data, element, known):
    spectrum = read_spectrum(measured_data / "xas_references" / f"{element}_foil_{element}_K.dat")
    found = foil_position(spectrum.energy, spectrum.mu, near=FOIL_ENERGIES[element])
    assert found.energy == pytest.approx(known, abs=0.12)  # the window alone moves it by 0.1 eV


def test_a_holder_without_a_foil_has_no_position():
    rng = np.random.default_rng(11)
    for _ in range(40):  # noise always has a steepest point somewhere; a slope is no jump either
        hole = 0.9 + 1e-3 * (GRID - 8333.0) + rng.normal(0, 1e-3, GRID.size)
        with pytest.raises(ScaleError, match=r"no foil in the beam: the jump|has no steepest point"):
            foil_position(GRID, hole, near=8333.0)


def test_the_jump_is_given_with_its_uncertainty():
    rng = np.random.default_rng(12)
    step = 0.8 + 0.5 * np.tanh((GRID - 8333.0) / 1.7)  # level 5 eV beyond the edge: the jump is 1 wherever it is found
    found = [foil_position(GRID, step + rng.normal(0, 2e-3, GRID.size), near=8333.0) for _ in range(60)]
    pull = np.array([(f.jump - 1.0) / f.jump_sigma for f in found])
    assert np.std(pull) == pytest.approx(1.0, abs=0.4)  # 60 values: 0.09 standard error


def test_a_jump_smaller_than_the_foil_must_have_is_none():
    with pytest.raises(ScaleError, match=r"at least 3 and 5 of its standard deviations"):
        foil_position(GRID, foil(GRID, 8333.0), near=8333.0, least_jump=3.0)


def test_without_points_below_the_edge_a_jump_cannot_be_seen():
    grid = np.arange(8329.0, 8380.0, 0.4)
    with pytest.raises(ScaleError, match=r"0 and \d+ foil points -60\.\.-5 eV"):
        foil_position(grid, foil(grid, 8333.0), near=8333.0)


@pytest.mark.parametrize("name", ["MnO_rt_01", "MnO_rt_02", "MnO_rt_03", "MnO2_rt_01", "Mn2O3_rt_01"])
def test_an_oxide_is_not_taken_for_the_foil(measured_data, name):
    """The reference of these is a manganese filter, whose pre-edge would pass for the edge of the metal."""
    filtered = read_xdi(measured_data / "xas_references" / f"{name}.xdi", signal="reference")
    with pytest.raises(
        ScaleError, match=r"rises first at 65(39|40)\.\d eV but steeper at 654\d\.\d eV, as an oxide does"
    ):
        foil_shift(filtered.energy, filtered.mu, element="Mn")
