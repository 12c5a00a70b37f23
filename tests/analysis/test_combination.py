"""Linear combination of references: fractions, uncertainties, chi-square, refusals."""

import numpy as np
import pytest

from analysis.bound import EdgeModel
from analysis.combination import linear_combination

ENERGY = np.concatenate([np.linspace(8250, 8320, 8), np.arange(8330.0, 8362.0), np.linspace(8370, 8500, 10)])
REFERENCES = np.stack([EdgeModel(c, white_line=w).shape(ENERGY) for c, w in ((8340.3, 0.60), (8343.7, 0.72))])


def mixture(share, jump=0.5, noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    clean = jump * (REFERENCES[0][:, None] * (1 - share) + REFERENCES[1][:, None] * share)
    line = (0.4 - 4e-4 * (ENERGY - 8333))[:, None]
    return clean + line + noise * rng.standard_normal((ENERGY.size, share.size))


def test_exact_mixtures_are_exact():
    share = np.linspace(0, 1, 11)
    fit = linear_combination(ENERGY, mixture(share, noise=0.0), REFERENCES, sigma=0.01)
    np.testing.assert_allclose(fit.fractions[1], share, atol=1e-5)  # float32 spectra
    np.testing.assert_allclose(fit.jump, 0.5, atol=1e-5)


def test_fractions_scatter_by_their_sigma_and_chi2_is_one():
    share = np.random.default_rng(1).random(20000)
    fit = linear_combination(ENERGY, mixture(share), REFERENCES, sigma=0.01)
    inside = np.abs(fit.fractions[1] - share) < fit.sigma[1]
    assert inside.mean() == pytest.approx(0.683, abs=0.02)  # 20000 voxels: 0.3 %
    assert fit.chi2.mean() == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(fit.fractions.sum(axis=0), 1.0, atol=1e-5)
    np.testing.assert_allclose(fit.sigma[0], fit.sigma[1], rtol=1e-3)  # two fractions that add to 1 share an error


def test_a_foreign_spectrum_shows_in_chi2():
    strange = 0.5 * EdgeModel(8347.0, white_line=0.2).shape(ENERGY)[:, None]
    fit = linear_combination(ENERGY, strange, REFERENCES, sigma=0.01)
    assert fit.chi2[0] > 10


def test_non_negative_fractions():
    outside = mixture(np.array([-0.2, 0.5, 1.3]), noise=0.0)
    fit = linear_combination(ENERGY, outside, REFERENCES, sigma=0.01, non_negative=True)
    np.testing.assert_allclose(fit.fractions[1], [0.0, 0.5, 1.0], atol=1e-5)


def test_a_fraction_held_at_zero_is_not_certain():
    truth = np.full(4000, 0.02)
    fit = linear_combination(ENERGY, mixture(truth, noise=0.03), REFERENCES, sigma=0.03, non_negative=True)
    held = fit.fractions[1] == 0
    assert 0.1 < held.mean() < 0.5  # it is less than one sigma of 0.033
    assert (np.abs(fit.fractions[1] - truth)[held] < fit.sigma[1][held]).all()
    assert np.mean(np.abs(fit.fractions[1] - truth) < fit.sigma[1]) > 0.68


def test_spectra_without_an_edge_or_with_gaps_are_flagged():
    spectra = mixture(np.array([0.5, 0.5, 0.5]))
    spectra[3, 0] = np.nan
    spectra[:, 1] = 0.4
    spectra[:, 1] -= 0.3 * (ENERGY > 8342)
    fit = linear_combination(ENERGY, spectra, REFERENCES, sigma=0.01)
    assert np.isnan(fit.fractions[:, :2]).all()
    assert np.isfinite(fit.fractions[:, 2]).all()


@pytest.mark.parametrize(
    ("references", "sigma", "message"),
    [
        (np.stack([REFERENCES[0], 2 * REFERENCES[0]]), 0.01, "apart"),
        (REFERENCES[:, :5], 0.01, "references have shape"),
        (REFERENCES, 0.0, "not positive"),
    ],
)
def test_bad_input_is_refused(references, sigma, message):
    with pytest.raises(ValueError, match=message):
        linear_combination(ENERGY, mixture(np.array([0.5])), references, sigma=sigma)
