"""Edges per voxel: accuracy against the bound, honest uncertainties, codes, few voxels and few energies."""

import numpy as np
import pytest

from analysis.bound import EdgeModel
from analysis.edge import Code, fit_edges, half_height
from analysis.spectra import Normalisation

BOUND = {1e4: 0.0581, 1e3: 0.183}  # eV, rms over the shift family; tests/analysis/test_bound.py
LCF = {1e4: 0.0676, 1e3: 0.213}  # eV, two-phase mixture with exact references


def fitted(made, **options):
    return fit_edges(made.energies, made.spectra, sigma=made.sigma, normalisation=made.normalisation, **options)


def within_one_sigma(map_, truth):
    """Share of voxels with an edge whose truth lies within one sigma."""
    ok = map_.code == Code.OK
    return np.mean(np.abs(map_.energy - truth)[ok] < map_.sigma[ok])


@pytest.mark.parametrize(("photons", "limit"), [(1e4, 1.3), (1e3, 1.1)])
def test_scatter_of_the_shift_family_is_near_the_bound(voxels, photons, limit):
    made = voxels(20000, photons=photons)
    error = fitted(made).energy - made.truth
    assert error.std() < limit * BOUND[photons]
    assert abs(error.mean()) < 0.02


@pytest.mark.parametrize(("photons", "limit"), [(1e4, 1.3), (1e3, 1.1)])
def test_scatter_of_a_mixture_is_that_of_exact_references(voxels, photons, limit):
    made = voxels(20000, photons=photons, mixture=True)
    error = fitted(made).energy - made.truth
    assert error.std() < limit * LCF[photons]
    assert abs(error.mean()) < 0.02


@pytest.mark.parametrize("mixture", [False, True])
@pytest.mark.parametrize("photons", [1e4, 1e3, 10**2.5])
def test_two_thirds_lie_within_one_sigma(voxels, photons, mixture):
    made = voxels(20000, photons=photons, mixture=mixture)
    assert within_one_sigma(fitted(made), made.defined) == pytest.approx(0.68, abs=0.03)


@pytest.mark.parametrize("mixture", [False, True])
@pytest.mark.parametrize("photons", [1e4, 10**2.5])
def test_one_number_for_the_noise_is_enough(voxels, photons, mixture):
    """Photon noise differs by a factor of two between energies; the data tell by how much."""
    made = voxels(20000, photons=photons, mixture=mixture)
    guess = float(np.sqrt(np.mean(made.sigma**2)))
    map_ = fit_edges(made.energies, made.spectra, sigma=guess, normalisation=made.normalisation)
    assert map_.rank == fitted(made).rank
    assert map_.basis.sigma == pytest.approx(made.sigma, rel=0.15)  # where edges scatter most, signal adds to it
    assert (map_.energy - made.truth).std() == pytest.approx((fitted(made).energy - made.truth).std(), rel=0.02)
    assert within_one_sigma(map_, made.defined) == pytest.approx(0.68, abs=0.03)


def test_rare_edges_are_not_drawn_to_the_mean(voxels):
    made = voxels(20000, photons=1e3)
    error = fitted(made).energy - made.truth
    last = made.truth > np.quantile(made.truth, 0.9)
    assert abs(error[last].mean()) < 0.4 * BOUND[1e3]


@pytest.mark.parametrize(("jump_over_noise", "limit"), [(20, 0.025), (10, 0.025), (5, 0.07)])
def test_mixtures_are_not_drawn_to_the_mean(voxels, jump_over_noise, limit):
    """Depth profiles are means of voxels alike: their bias does not average out.

    Interpolation between energies alone moves single edges by 0.02 eV; a decile's standard error is 0.005 eV at
    jump/noise 10, and twice that at 5.
    """
    made = voxels(20000, noise=1 / jump_over_noise, mixture=True)
    error = fitted(made).energy - made.defined
    decile = np.argsort(np.argsort(made.defined)) // 2000
    means = np.bincount(decile, error) / 2000
    assert np.abs(means).max() < limit


@pytest.mark.parametrize("mixture", [False, True])
def test_no_outliers_at_the_signal_of_a_single_voxel(voxels, mixture):
    made = voxels(20000, noise=1 / 5, mixture=mixture)
    map_ = fitted(made)
    lost = (map_.code != Code.OK) | (np.abs(map_.energy - made.truth) > 4)
    assert lost.mean() < 0.005


def test_rank_follows_the_signal_and_is_reported(voxels):
    few, many = (fitted(voxels(20000, photons=n)) for n in (1e3, 1e4))
    assert 3 <= few.rank < many.rank <= 10
    assert many.eigenvalues[many.rank] < 1.5  # what is left out is little more than noise
    assert fitted(voxels(5000, photons=1e4), rank=4).rank == 4


def test_noise_given_wrongly_is_corrected(voxels):
    made = voxels(20000, noise=0.02)
    right = fitted(made)
    wrong = fit_edges(made.energies, made.spectra, sigma=0.6 * made.sigma, normalisation=made.normalisation)
    assert wrong.noise_scale == pytest.approx(1 / 0.6, rel=0.02)
    assert np.median(wrong.sigma / right.sigma) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("ratio", [3.0, 8.0])
def test_noise_of_each_voxel_may_be_given(voxels, ratio):
    made = voxels(20000, noise=0.015)
    factor = np.where(np.arange(20000) % 2, 1.0, ratio)
    rng = np.random.default_rng(3)
    spectra = made.spectra + made.sigma[:, None] * np.sqrt(factor**2 - 1) * rng.standard_normal(made.spectra.shape)
    sigma = made.sigma[:, None] * factor
    map_ = fit_edges(made.energies, spectra, sigma=sigma, normalisation=made.normalisation)
    for part in (slice(0, None, 2), slice(1, None, 2)):
        inside = np.abs(map_.energy - made.defined)[part] < map_.sigma[part]
        assert inside.mean() == pytest.approx(0.68, abs=0.04)  # the basis suits the quiet half as well


@pytest.mark.parametrize("mixture", [False, True])
def test_noise_that_differs_between_voxels_is_read_from_their_residuals(voxels, mixture):
    made = voxels(20000, noise=0.03, mixture=mixture)
    factor = np.where(np.arange(20000) % 2, 1.0, 3.0)
    rng = np.random.default_rng(3)
    more = made.sigma[:, None] * np.sqrt(factor**2 - 1) * rng.standard_normal(made.spectra.shape)
    map_ = fit_edges(made.energies, made.spectra + more, sigma=made.sigma, normalisation=made.normalisation)
    for part in (slice(0, None, 2), slice(1, None, 2)):
        inside = np.abs(map_.energy - made.defined)[part] < map_.sigma[part]
        assert inside.mean() == pytest.approx(0.68, abs=0.05)


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_few_voxels(voxels, count):
    made = voxels(count, photons=1e4, seed=4)
    map_ = fitted(made)
    assert (map_.code == Code.OK).all()
    assert np.abs(map_.energy - made.truth).max() < 5 * map_.sigma.max()


def test_one_voxel_reads_as_the_bulk_spectrum(voxels):
    made = voxels(1, photons=1e5)
    map_ = fitted(made)
    edge = half_height(made.energies, made.spectra[:, 0], made.normalisation, sigma=made.sigma)
    assert map_.energy[0] == pytest.approx(edge.energy, abs=2e-3)  # float32 holds 8342 eV to 1e-3
    assert map_.sigma[0] == pytest.approx(edge.sigma, rel=0.3)  # the voxel's own residual scales its noise
    assert map_.white_line[0] == pytest.approx(edge.white_line, abs=2e-3)
    assert map_.jump[0] == pytest.approx(edge.jump, rel=1e-4)


@pytest.mark.parametrize("step", [1.0, 2.0, 3.0])
def test_coarse_grids_say_how_far_off_they_are(voxels, step):
    energies = np.concatenate([[8260.0, 8290, 8315], np.arange(8330, 8364, step), [8400, 8450, 8490]])
    made = voxels(20000, photons=1e4, energies=energies)
    map_ = fitted(made)
    assert (map_.code == Code.OK).mean() > 0.99
    # The error of interpolation is the same for voxels with the same edge: no exact share can be promised.
    assert 0.5 < within_one_sigma(map_, made.truth) < 0.9


@pytest.mark.parametrize("mixture", [False, True])
@pytest.mark.parametrize("between", [[8340.0, 8346], [8332.0, 8336, 8340, 8344, 8348, 8352]])
def test_first_maps_of_a_few_energies_are_not_too_sure(voxels, mixture, between):
    """Six and ten energies at the jump/noise of a binned voxel: half the error is that of interpolation."""
    made = voxels(10000, noise=1 / 10, mixture=mixture, energies=np.array([8260.0, 8315, *between, 8400, 8480]))
    map_ = fitted(made)
    assert (map_.code == Code.OK).mean() > 0.95
    assert within_one_sigma(map_, made.defined) > 0.6


def test_energies_may_come_in_any_order(voxels):
    made = voxels(2000, photons=1e4)
    order = np.random.default_rng(0).permutation(60)
    map_ = fit_edges(
        made.energies[order], made.spectra[order], sigma=made.sigma[order], normalisation=made.normalisation
    )
    np.testing.assert_array_equal(map_.energy, fitted(made).energy)


def test_jump_and_white_line_within_their_sigma(voxels):
    made = voxels(20000, photons=1e4)
    map_ = fitted(made)
    # Both lines run over the tails of the arctangent: 2.5 % of the jump.
    assert np.abs((map_.jump / made.jump).mean() - 1) < 0.03
    shift = made.truth - made.truth.mean()
    slope = np.polyfit(shift, map_.white_line, 1)[0]
    assert slope == pytest.approx(1, abs=0.02)
    residual = map_.white_line - np.polyval(np.polyfit(shift, map_.white_line, 1), shift)
    assert np.median(np.abs(residual)) < np.median(map_.white_line_sigma)


def test_edges_are_the_same_without_white_lines(voxels):
    made = voxels(20000, noise=0.03)
    whole, edges = fitted(made), fitted(made, white_line=False)
    np.testing.assert_array_equal(edges.energy, whole.energy)
    np.testing.assert_array_equal(edges.sigma, whole.sigma)
    assert np.isnan(edges.white_line).all()
    assert np.isfinite(whole.white_line).mean() > 0.9


def test_codes_say_why_there_is_no_edge(voxels):
    made = voxels(3000, photons=1e4)
    spectra = made.spectra.copy()
    spectra[:, 0] = 0.5  # no edge
    spectra[7, 1] = np.nan
    spectra[:, 2] -= 0.9 * (made.energies > 8325)  # jumps down
    mask = np.ones(3000, bool)
    mask[3] = False
    map_ = fit_edges(made.energies, spectra, sigma=made.sigma, normalisation=made.normalisation, mask=mask)
    expected = [Code.NO_JUMP, Code.NOT_MEASURED, Code.NO_JUMP, Code.NOT_MEASURED]
    assert list(map_.code[:4]) == expected
    assert (map_.code[4:] == Code.OK).all()
    assert np.isnan(map_.energy[:4]).all()
    assert np.isnan(map_.sigma[:4]).all()


def test_edges_outside_the_search_range_are_not_reported(voxels):
    made = voxels(3000, photons=1e4)
    map_ = fitted(made, search=(8343, 8365))
    assert (map_.code[made.truth < 8341.5] == Code.OUT_OF_RANGE).all()
    assert (map_.code[made.truth > 8342.5] == Code.OK).all()


def test_uncertain_edges_are_not_reported(voxels):
    made = voxels(5000, noise=1 / 3)
    map_ = fitted(made, largest_sigma=0.5)
    assert (map_.sigma[map_.code == Code.OK] <= 0.5).all()
    assert (map_.code == Code.TOO_NOISY).any()


def test_crossing_is_the_last_below_the_white_line():
    e = np.arange(8250.0, 8501.0, 0.5)
    mu = EdgeModel(8342.0).mu(e) + 0.5 * np.exp(-((e - 8332) ** 2) / 2)  # a pre-edge peak above half height
    edge = half_height(e, mu, Normalisation((8250, 8320), (8370, 8500), e0=8343))
    assert edge.energy == pytest.approx(float(EdgeModel(8342.0).half_height()), abs=0.05)


def test_normalised_spectra_need_no_windows():
    e = np.arange(8250.0, 8501.0, 0.5)
    edge = half_height(e, EdgeModel(8342.0).shape(e), None, search=(8320, 8370))
    assert edge.normalisation is None
    assert edge.energy == pytest.approx(float(EdgeModel(8342.0).half_height()), abs=0.002)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energies": np.array([8250.0])}, "shape"),
        ({"energies": np.full(60, 8250.0)}, "do not increase"),
        ({"sigma": 0.0}, "not a positive number"),
        ({"sigma": np.ones(7)}, "sigma has shape"),
        ({"mask": np.ones(3, bool)}, "mask has shape"),
        ({"normalisation": Normalisation((8000, 8100), (8370, 8500), e0=8343)}, "no energy in the pre-edge window"),
        ({"rank": 61}, "outside 1..60"),
    ],
)
def test_bad_input_is_refused(voxels, change, message):
    made = voxels(10, photons=1e4)
    given = {"energies": made.energies, "sigma": made.sigma, "normalisation": made.normalisation} | change
    with pytest.raises(ValueError, match=message):
        fit_edges(given.pop("energies"), made.spectra, **given)


def test_measured_oxides_keep_their_published_half_heights(measured_data):
    for name, published in (("fxi_NiO", 8340.2), ("fxi_LiNiO2", 8341.9)):
        e, mu = np.loadtxt(measured_data / "xas_references" / f"{name}.txt").T
        windows = Normalisation((8200, 8310), (8400, 9000), e0=8341)
        edge = half_height(1000 * e, mu, windows)
        assert edge.energy == pytest.approx(published, abs=0.15)  # the windows alone move it by 0.1 eV


def test_mixtures_of_measured_oxides_are_read_as_the_mixture(measured_data):
    grid = np.concatenate([np.linspace(8250, 8320, 8), np.arange(8330, 8362, 1.0), np.linspace(8368, 8490, 10)])
    pair = [np.loadtxt(measured_data / "xas_references" / f"{n}.txt").T for n in ("fxi_NiO", "fxi_LiNiO2")]
    low, high = (np.interp(grid, 1000 * e, mu)[:, None] for e, mu in pair)
    rng = np.random.default_rng(5)
    share = rng.random(20000)
    windows = Normalisation((8250, 8320), (8368, 8490), e0=8341)

    def mixed(x):
        return 0.5 * (low * (1 - x) + high * x)

    map_ = fit_edges(grid, mixed(share) + 0.02 * rng.standard_normal((50, 20000)), sigma=0.02, normalisation=windows)
    nodes = np.linspace(0, 1, 101)
    error = map_.energy - np.interp(share, nodes, [half_height(grid, m, windows).energy for m in mixed(nodes).T])
    raw = half_height(grid, mixed(0.5)[:, 0], windows, sigma=0.02)
    assert abs(error.mean()) < 0.02
    assert error.std() < 0.25 * raw.sigma  # two parameters instead of fifty
    assert np.mean(np.abs(error) < map_.sigma) == pytest.approx(0.68, abs=0.03)
