"""Edge jumps become atomic fractions and densities."""

import numpy as np
import pytest
import xraydb

from analysis.composition import JUMP_COEFFICIENT, composition, element_density


@pytest.mark.parametrize("element", sorted(JUMP_COEFFICIENT))
def test_coefficients_are_those_of_the_tables(element):
    edge = xraydb.xray_edge(element, "K").energy
    below, above = xraydb.mu_elam(element, np.array([edge - 1, edge + 1]), kind="photo")
    assert JUMP_COEFFICIENT[element] == pytest.approx(above - below, rel=2e-3)


def test_lithium_rich_oxide_has_its_formula():
    """Li1.2Mn0.54Co0.13Ni0.13O2: Mn 67.5 %, Co and Ni 16.25 % of the metals that have edges here."""
    per_cell = {"Mn": 0.54 * 54.938, "Co": 0.13 * 58.933, "Ni": 0.13 * 58.693}
    jumps = {element: JUMP_COEFFICIENT[element] * mass * 0.05 / 1e4 for element, mass in per_cell.items()}
    found = composition(jumps, dict.fromkeys(jumps, 1e-4))
    np.testing.assert_allclose(found.fraction, [0.675, 0.1625, 0.1625], atol=1e-4)
    np.testing.assert_allclose(found.density.sum(), 0.05 * sum(per_cell.values()), rtol=1e-6)


def test_uncertainty_is_that_of_simulated_jumps():
    rng = np.random.default_rng(0)
    true, sigma = {"Mn": 0.06, "Ni": 0.02}, {"Mn": 0.002, "Ni": 0.001}
    drawn = {element: rng.normal(true[element], sigma[element], 20000) for element in true}
    found = composition(drawn, sigma)
    stated = composition(true, sigma)
    np.testing.assert_allclose(np.std(found.fraction, axis=1), stated.fraction_sigma, rtol=0.03)


def test_nothing_has_no_composition():
    found = composition({"Mn": [0.001, 0.1], "Ni": [-0.001, 0.1]}, {"Mn": 0.001, "Ni": 0.001})
    assert np.isnan(found.fraction[:, 0]).all()
    assert np.isfinite(found.fraction[:, 1]).all()


def test_bad_input_is_named():
    with pytest.raises(KeyError, match="no jump coefficient for 'O'"):
        element_density(0.1, "O")
    with pytest.raises(ValueError, match=r"jumps of \['Mn'\] but sigmas of \['Ni'\]"):
        composition({"Mn": 0.1}, {"Ni": 0.1})
    with pytest.raises(ValueError, match="different shapes"):
        composition({"Mn": [0.1], "Ni": [0.1, 0.2]}, {"Mn": 0.1, "Ni": 0.1})
