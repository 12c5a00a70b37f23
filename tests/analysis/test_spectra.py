"""Normalisation of spectra: lines, jumps, orders that the energies can carry, and refusals."""

import numpy as np
import pytest

from analysis.bound import EdgeModel
from analysis.spectra import (
    Normalisation,
    Spectrum,
    checked_energies,
    default_normalisation,
    line_operator,
    normalise,
)

ENERGY = np.arange(8200.0, 8601.0, 2.0)
WINDOWS = Normalisation(pre=(8200, 8310), post=(8400, 8600), e0=8343)


def step(jump=0.7, offset=0.4, pre=-3e-4, post=2e-4):
    x = ENERGY - 8343.0
    return offset + pre * x + np.where(x > 0, jump + post * x, 0.0)


def test_a_step_between_lines_is_recovered_exactly():
    made = normalise(ENERGY, step(), WINDOWS)
    assert made.jump == pytest.approx(0.7, abs=1e-10)
    np.testing.assert_allclose(made.mu[ENERGY < 8343], 0.0, atol=1e-9)
    np.testing.assert_allclose(made.flat[ENERGY > 8343], 1.0, atol=1e-9)


def test_stacks_of_spectra_keep_their_axes():
    stack = np.stack([step(0.5), step(0.9)])[:, None]
    made = normalise(ENERGY, stack, WINDOWS)
    assert made.mu.shape == (2, 1, ENERGY.size)
    np.testing.assert_allclose(made.jump[:, 0], [0.5, 0.9])


def test_curved_post_edge_needs_its_order():
    curved = step() + np.where(ENERGY > 8343, 5e-7 * (ENERGY - 8343) ** 2, 0)
    second = Normalisation(pre=(8200, 8310), post=(8400, 8600), post_order=2, e0=8343)
    assert normalise(ENERGY, curved, second).jump == pytest.approx(0.7, abs=1e-8)
    assert abs(normalise(ENERGY, curved, WINDOWS).jump - 0.7) > 0.005


def test_jump_sigma_is_the_scatter_of_the_jump():
    rng = np.random.default_rng(1)
    noisy = step() + 0.01 * rng.standard_normal((4000, ENERGY.size))
    made = normalise(ENERGY, noisy, WINDOWS, sigma=0.01)
    assert made.jump.std() == pytest.approx(made.jump_sigma[0], rel=0.04)  # 4000 draws: 1.1 %
    unknown = normalise(ENERGY, noisy, WINDOWS)  # the noise is read from the pre-edge
    assert np.median(unknown.jump_sigma) == pytest.approx(made.jump_sigma[0], rel=0.05)


def test_few_points_lower_the_order_instead_of_failing():
    sparse = np.array([8250.0, 8341, 8343, 8345, 8420, 8500])
    used = WINDOWS.effective(sparse)
    assert (used.pre_order, used.post_order) == (0, 1)
    close = np.array([8250.0, 8252, 8341, 8343, 8420, 8500])  # two points 2 eV apart do not make a line to 8343 eV
    assert WINDOWS.effective(close).pre_order == 0


def test_line_operator_is_the_same_as_a_line_fit():
    mu = EdgeModel().mu(ENERGY)
    lines = line_operator(ENERGY, WINDOWS)
    inside = ENERGY <= 8310
    line = np.polyval(np.polyfit(ENERGY[inside] - 8343, mu[inside], 1), ENERGY - 8343)
    np.testing.assert_allclose(lines.pre @ mu, line, atol=1e-10)


def test_default_windows_fit_the_spectrum():
    windows = default_normalisation(ENERGY, 8343.0)
    assert windows.pre == (8200.0, 8323.0)
    assert windows.post == (8373.0, 8600.0)
    with pytest.raises(ValueError, match="do not reach"):
        default_normalisation(ENERGY[ENERGY > 8330], 8343.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pre": (8320, 8250), "post": (8400, 8600), "e0": 8343}, "empty"),
        ({"pre": (8200, 8310), "post": (8400, 8600), "e0": 8300}, "not between"),
        ({"pre": (8200, 8310), "post": (8400, 8600), "e0": 8343, "post_order": 5}, "post_order 5"),
    ],
)
def test_impossible_windows_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Normalisation(**options)


@pytest.mark.parametrize(
    ("energies", "message"),
    [([8300.0, 8299.0], "do not increase"), ([8300.0, np.nan], "finite"), ([8300.0], "at least 2")],
)
def test_bad_energies_are_refused(energies, message):
    with pytest.raises(ValueError, match=message):
        checked_energies(energies)


def test_bad_spectra_are_refused():
    with pytest.raises(ValueError, match="shape"):
        Spectrum(ENERGY, np.ones(3), name="NiO")
    with pytest.raises(ValueError, match="non-finite"):
        Spectrum(ENERGY, np.full(ENERGY.size, np.nan), name="NiO")
    with pytest.raises(ValueError, match="no energy in the post-edge"):
        normalise(ENERGY[ENERGY < 8350], step()[ENERGY < 8350], WINDOWS)
    with pytest.raises(ValueError, match="not positive"):
        normalise(ENERGY, -step(), WINDOWS)
