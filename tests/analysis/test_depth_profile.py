"""Valence by depth from mean spectra: right, with every uncertainty, and a code where a shell tells nothing."""

import numpy as np
import pytest

from analysis.bound import EdgeModel
from analysis.depth_profile import depth_profile, excess_scatter
from analysis.edge import Code
from analysis.energy_scale import FOIL_SCALES
from analysis.spectra import Normalisation, Spectrum
from analysis.stratification import stratification
from analysis.valence import calibration_from_references

ENERGIES = np.concatenate([np.linspace(8250, 8320, 10), np.arange(8330, 8365, 1.0), np.linspace(8370, 8500, 15)])
FINE = np.arange(8200.0, 8600.0, 0.25)
WINDOWS = Normalisation(pre=(8250, 8320), post=(8370, 8500), e0=8343)
LOW, HIGH = EdgeModel(8340.3, white_line=0.60), EdgeModel(8343.7, white_line=0.72, white_line_sigma=3.0)
REFERENCES = tuple(
    (Spectrum(FINE, model.shape(FINE), name=name, element="Ni", scale=FOIL_SCALES["Ni"]), valence)
    for name, model, valence in (("NiO", LOW, 2.0), ("LiNiO2", HIGH, 3.0))
)
CALIBRATION = calibration_from_references(REFERENCES, ENERGIES, WINDOWS)
NOISE = 0.004  # 1/um, of a mean of thousands of voxels
DEPTH_EDGES = np.linspace(0, 4, 5)


def shells(valences, noise=NOISE, seed=0):
    """Mean spectra (S, E), 1/µm, of mixtures of the references on a falling background."""
    share = np.asarray(valences)[:, None] - 2
    background = 0.3 - 4e-4 * (ENERGIES - 8333)
    clean = background + 0.5 * ((1 - share) * LOW.shape(ENERGIES) + share * HIGH.shape(ENERGIES))
    return clean + noise * np.random.default_rng(seed).standard_normal(clean.shape)


def profile(spectra, *, energies=ENERGIES, noise=NOISE, voxels=(4000, 3000, 2000, 1000)):
    return depth_profile(
        energies,
        spectra,
        np.full(spectra.shape, noise),
        WINDOWS,
        CALIBRATION,
        REFERENCES,
        depth_edges=DEPTH_EDGES,
        depth=DEPTH_EDGES[:-1] + 0.5,
        voxels=np.array(voxels),
    )


def test_valence_of_each_shell_is_that_of_its_mixture():
    truth = [2.8, 2.6, 2.4, 2.2]
    found = profile(shells(truth))
    assert (np.abs(found.valence - truth) < 3 * found.valence_sigma).all()
    assert found.valence_sigma.max() < 0.06
    assert (np.abs(found.jump - 0.5) < 0.05 * 0.5).all()  # the windows read 97 % of an arctangent's jump


def test_sigma_is_the_scatter_of_the_valence():
    """Of noise: the systematic part, common to all shells, is told apart."""
    found = [profile(shells([2.7, 2.5, 2.4, 2.3], seed=k)) for k in range(16)]
    scatter = np.std([p.valence for p in found], axis=0).mean()
    noise = np.mean([np.sqrt(p.valence_sigma**2 - p.valence_systematic**2) for p in found])
    assert scatter == pytest.approx(noise, rel=0.3)  # 64 values tell a standard deviation to 9 %


def test_the_order_of_the_energies_does_not_matter():
    spectra = shells([2.8, 2.6, 2.4, 2.2])
    order = np.random.default_rng(1).permutation(ENERGIES.size)
    found = profile(spectra[:, order], energies=ENERGIES[order])
    np.testing.assert_allclose(found.valence, profile(spectra).valence, rtol=1e-12)
    assert (np.diff(found.energies) > 0).all()


def test_shells_without_voxels_or_without_an_edge_have_a_code_and_no_number():
    spectra = shells([2.8, 2.6, 2.4, 2.2])
    spectra[2] = 0.3
    found = profile(spectra, voxels=(4000, 0, 2000, 1000))
    assert found.code.tolist() == [Code.OK, Code.NOT_MEASURED, Code.NO_JUMP, Code.OK]
    for numbers in (found.valence, found.valence_sigma, found.edge, found.edge_sigma):
        assert np.isnan(numbers[1:3]).all()
        assert np.isfinite(numbers[[0, 3]]).all()


def test_spectra_that_no_mixture_explains_enlarge_the_uncertainty():
    spectra = shells([2.8, 2.6, 2.4, 2.2])
    spoiled = spectra + 5 * NOISE * np.sin(ENERGIES / 2)
    as_given, enlarged = profile(spectra), profile(spoiled)
    assert as_given.scatter.max() < 1.3
    assert enlarged.scatter.min() > 2.5
    assert (enlarged.edge_sigma > 2 * as_given.edge_sigma).all()


def test_a_shell_without_a_sigma_is_not_measured():
    spectra = shells([2.8, 2.6, 2.4, 2.2])
    sigma = np.full(spectra.shape, NOISE)
    sigma[1, 7], sigma[2, 7] = np.nan, 0.0
    found = profile(spectra, noise=sigma)
    assert found.code.tolist() == [Code.OK, Code.NOT_MEASURED, Code.NOT_MEASURED, Code.OK]
    assert np.isnan(found.valence[1:3]).all()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"spectra \(4, 59\)"):
        profile(shells([2.8, 2.6, 2.4, 2.2])[:, :-1])
    with pytest.raises(ValueError, match=r"voxels \(3,\) are not those of 4 shells"):
        profile(shells([2.8, 2.6, 2.4, 2.2]), voxels=(1, 2, 3))


def test_stratification_of_the_valence_is_found_and_not_invented():
    layered = stratification(profile(shells([2.8, 2.6, 2.4, 2.2])))
    assert layered.slope == pytest.approx(-0.2, abs=0.03)
    assert layered.p_value < 1e-6
    flat = [stratification(profile(shells([2.5] * 4, seed=k))).p_value for k in range(20)]
    assert min(flat) > 0.002  # even chances: the smallest of 20 is below this once in 25 times


def test_few_energies_tell_nothing_of_the_scatter():
    few = np.array([0, 5, 20, 25, 50, 59])
    ratio = excess_scatter(ENERGIES[few], shells([2.5])[:, few], np.full((1, 6), NOISE), REFERENCES)
    assert ratio.tolist() == [1.0]
