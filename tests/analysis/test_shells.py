"""Means by depth: right, with uncertainties that hold for correlated noise, and a test of stratification."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from analysis.morphology import MorphologyError, depth
from analysis.noise_correlation import noise_correlation, shell_factors
from analysis.shell_spectra import shell_spectra
from analysis.shells import particle_profiles, shell_edges, shell_profile
from analysis.stratification import stratification
from analysis.tomography import FilteredBackProjection

SIZE = 48
EDGES = np.array([0.0, 1.0, 3.0, 6.0, 12.0, 30.0])


@pytest.fixture(scope="module")
def below():
    z, y, x = np.indices((SIZE,) * 3, dtype=np.float32) - (SIZE - 1) / 2
    return depth(np.sqrt(z**2 + y**2 + x**2) < 20.4)


def noise(rng, correlated):
    white = rng.standard_normal((SIZE,) * 3).astype(np.float32)
    if not correlated:
        return white
    smooth = ndimage.gaussian_filter(white, 0.8, mode="wrap")
    return smooth / smooth.std()


def test_means_are_those_of_the_voxels(below):
    values = np.random.default_rng(0).normal(8343.0, 1.0, below.shape)
    profile = shell_profile(values, None, below, EDGES)
    for k, (low, high) in enumerate(pairwise(EDGES)):
        inside = (below > 0) & (below >= low) & (below < high)
        assert profile.count[k] == inside.sum()
        assert profile.mean[k] == pytest.approx(values[inside].mean(), abs=1e-6)
        assert profile.std[k] == pytest.approx(values[inside].std(ddof=1), rel=1e-6)
        assert profile.depth[k] == pytest.approx(below[inside].mean(), rel=1e-5)


def test_noisy_voxels_weigh_little(below):
    rng = np.random.default_rng(1)
    sigma = np.where(rng.random(below.shape) < 0.5, 0.1, 3.0)
    values = 2.5 + sigma * rng.standard_normal(below.shape)
    good = shell_profile(values, sigma, below, EDGES, weights="inverse variance")
    equal = shell_profile(values, sigma, below, EDGES)
    assert np.all(good.sigma < 0.15 * equal.sigma)
    assert np.all(np.abs(good.mean - 2.5) < 4 * good.sigma)
    assert np.all(np.abs(equal.mean - 2.5) < 4 * equal.sigma)


def test_flagged_voxels_are_left_out(below):
    values, sigma = np.full(below.shape, 2.5), np.full(below.shape, 0.1)
    values[::2] = np.nan
    sigma[:, ::2] = np.nan
    sigma[:, :, ::2] = -0.1
    profile = shell_profile(values, sigma, below, EDGES)
    full = shell_profile(np.full(below.shape, 2.5), None, below, EDGES)
    assert np.all(profile.count < 0.15 * full.count)
    np.testing.assert_allclose(profile.mean, 2.5)


@pytest.mark.parametrize("correlated", [False, True], ids=["white", "correlated"])
def test_uncertainty_of_means_holds(below, correlated):
    """68 % of the means of 40 noise volumes lie within one sigma, in shells from one layer to a core."""
    rng = np.random.default_rng(2)
    correlation = noise_correlation(noise(rng, correlated), below > 0)
    sigma = np.full(below.shape, 1.0, np.float32)
    stated = shell_profile(sigma, sigma, below, EDGES, correlation=correlation)
    means = [shell_profile(noise(rng, correlated), sigma, below, EDGES).mean for _ in range(40)]
    np.testing.assert_allclose(np.std(means, axis=0), stated.sigma, rtol=0.35)  # 40 volumes give 11 %
    if correlated:
        assert np.all(stated.independent < 0.35 * stated.count)


def test_number_of_independent_voxels_is_that_of_the_smoothing(below):
    rng = np.random.default_rng(3)
    # A Gaussian of s voxels sums its correlation to (4 pi s²)^1.5.
    found = noise_correlation(noise(rng, True), np.ones(below.shape, bool), reach=4)
    assert found.factor == pytest.approx((4 * np.pi * 0.8**2) ** 1.5, rel=0.15)
    assert found.sigma == pytest.approx(1.0, rel=0.02)


def test_systematic_uncertainty_does_not_average_out(below):
    values = np.full(below.shape, 3.0)
    profile = shell_profile(values, np.full(below.shape, 0.1), below, EDGES, systematic=np.full(below.shape, 0.05))
    np.testing.assert_allclose(profile.systematic, 0.05, rtol=1e-6)
    assert np.all(profile.total >= 0.05)


@pytest.mark.parametrize("correlated", [False, True], ids=["white", "correlated"])
def test_flat_profiles_are_called_flat(below, correlated):
    """Noise alone: significances scatter by one, and p is uniform, neighbouring shells' correlation included."""
    rng = np.random.default_rng(4)
    edges = np.array([0, 1, 2, 3, 4, 6, 9, 21.0])
    factor = shell_factors(noise_correlation(noise(rng, correlated), below > 0), below, edges)
    found = [
        stratification(shell_profile(3 + noise(rng, correlated), 1.0, below, edges, correlation=factor))
        for _ in range(60)
    ]
    assert np.std([s.significance for s in found]) == pytest.approx(1.0, abs=0.3)  # 60 volumes give 0.09
    assert np.mean([s.p_value for s in found]) == pytest.approx(0.5, abs=0.13)  # and 0.04
    contrast = [s.contrast / s.contrast_sigma for s in found]
    assert np.std(contrast) == pytest.approx(1.0, abs=0.3)


def test_layers_are_found(below):
    rng = np.random.default_rng(4)
    layered = 3 - 0.2 * np.exp(-below / 4) + rng.normal(0, 0.5, below.shape)
    found = stratification(shell_profile(layered, 0.5, below, EDGES))
    assert found.significance > 10
    assert found.p_value < 1e-6
    assert found.contrast == pytest.approx(0.2 * 0.85, abs=4 * found.contrast_sigma)


def test_one_sigma_for_all_is_that_of_each(below):
    values = np.random.default_rng(6).normal(3, 0.5, below.shape)
    one, each = (shell_profile(values, sigma, below, EDGES) for sigma in (0.5, np.full(below.shape, 0.5)))
    np.testing.assert_allclose(one.sigma, each.sigma, rtol=1e-6)
    np.testing.assert_allclose(one.mean, each.mean, rtol=1e-6)


def test_each_particle_has_its_own_profile():
    below = np.tile(np.linspace(0.5, 9.5, 10), 200)
    labels = np.repeat([1, 2], 1000)
    values = np.where(labels == 1, 2.0, 3.0)
    one, two = particle_profiles(values, None, below, [0, 5, 10], labels)
    np.testing.assert_array_equal([one.mean, two.mean], [[2, 2], [3, 3]])
    assert one.count.tolist() == [500, 500]


def test_shell_spectra_are_means_of_voxel_spectra():
    rng = np.random.default_rng(5)
    below = rng.uniform(0, 10, 5000)
    truth = np.where(below < 5, 1.0, 2.0) * np.linspace(0, 1, 7)[:, None]
    spectra = (truth + rng.normal(0, 0.1, truth.shape)).astype(np.float32)
    spectra[3, 17] = np.nan
    found = shell_spectra(spectra, below, [0, 5, 10], sigma=0.1)
    assert found.count.sum() == 4999
    pull = (found.mean - np.outer([1, 2], np.linspace(0, 1, 7))) / found.sigma
    assert np.abs(pull).max() < 4
    scatter = shell_spectra(spectra, below, [0, 5, 10])
    np.testing.assert_allclose(scatter.sigma, found.sigma, rtol=0.06)  # 2500 voxels tell a scatter to 1.4 %


def test_voxels_of_unknown_depth_are_in_no_shell():
    spectra = np.ones((3, 4))
    found = shell_spectra(spectra, [1.0, np.nan, 3.0, 1.0], [0, 2, 4])
    assert found.count.tolist() == [2, 1]
    np.testing.assert_array_equal(found.mean, 1.0)
    assert np.isnan(found.sigma[1]).all()  # one voxel has no scatter


def test_shells_of_equal_volume_hold_equally_many_voxels(below):
    edges = shell_edges(below, 5, equal="volume")
    count = shell_profile(below, None, below, edges).count
    np.testing.assert_allclose(count, count.mean(), rtol=0.15)  # depths on a grid come in ties


def test_bad_shells_are_refused(below):
    with pytest.raises(MorphologyError, match="must increase"):
        shell_profile(below, None, below, [0, 2, 2])
    with pytest.raises(MorphologyError, match="must have one shape"):
        shell_profile(below[:10], None, below, EDGES)
    flat, correlation = below.ravel(), noise_correlation(below, below > 0)
    with pytest.raises(MorphologyError, match="depth as a volume"):
        shell_profile(flat, None, flat, EDGES, correlation=correlation)
    with pytest.raises(MorphologyError, match="0 shells have a mean"):
        stratification(shell_profile(np.full(below.shape, np.nan), None, below, EDGES))
    with pytest.raises(MorphologyError, match="sigma nan is not a positive number"):
        shell_profile(below, float("nan"), below, EDGES)


def test_uncertainty_of_shells_holds_for_reconstructed_noise():
    """Noise alone, back-projected: the spread of shell means over 16 volumes, to the 18 % that 16 give and a fifth."""
    size, angles, rng = 48, np.arange(0, 180, 3.0), np.random.default_rng(7)

    def volume(chosen, projections):
        back = FilteredBackProjection(angles[chosen], (size, size), axis=(size - 1) / 2)
        back.add(projections[chosen], range(len(angles[chosen])))
        return back.volume().values

    z, y, x = np.indices((size,) * 3, dtype=np.float32) - (size - 1) / 2
    below = depth(np.sqrt(z**2 + y**2 + x**2) < 20.3)
    edges = [0, 2, 5, 10, 21]
    drawn = [rng.standard_normal((angles.size, size, size), dtype=np.float32) for _ in range(16)]
    volumes = [volume(slice(None), projections) for projections in drawn]
    odd, even = (volume(slice(k, None, 2), drawn[0]) for k in (0, 1))
    correlation = noise_correlation(0.5 * (odd - even), below > 0)
    sigma = float(volumes[0][below > 0].std())
    stated = shell_profile(volumes[0], sigma, below, edges, correlation=correlation).sigma
    observed = np.std([shell_profile(v, None, below, edges).mean for v in volumes], axis=0)
    assert np.all((stated / observed > 0.7) & (stated / observed < 1.7))
    assert np.mean(stated / observed) == pytest.approx(1.15, abs=0.25)
