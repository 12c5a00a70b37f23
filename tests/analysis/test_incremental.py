"""Edge maps while energies arrive."""

import numpy as np
import pytest

from analysis.edge import Code, fit_edges
from analysis.incremental import RunningEdges

FIRST = [4, 55, 22, 28, 20, 24, 30, 50]  # one before, one behind, then the edge from coarse to fine


def running(made, order, **options):
    return RunningEdges(made.energies[order], made.spectra.shape[1], normalisation=made.normalisation, **options)


def order_of(made):
    return np.array(FIRST + [k for k in range(made.energies.size) if k not in FIRST])


def feed(live, made, order, first, last):
    for k in range(first, last):
        live.add(k, made.spectra[order[k]], made.sigma[order[k]])


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_the_last_energy_gives_the_batch_result(voxels, memory):
    made = voxels(5000, photons=1e4)
    order = order_of(made)
    with running(made, order, memory=memory) as live:
        feed(live, made, order, 0, 60)
        batch = fit_edges(made.energies, made.spectra, sigma=made.sigma, normalisation=made.normalisation)
        np.testing.assert_array_equal(live.result().energy, batch.energy)
        np.testing.assert_array_equal(live.result().sigma, batch.sigma)


def test_sums_over_a_basis_give_the_batch_result(voxels):
    pilot = voxels(5000, photons=1e4, seed=8)
    basis = fit_edges(pilot.energies, pilot.spectra, sigma=pilot.sigma, normalisation=pilot.normalisation).basis
    made = voxels(5000, photons=1e4)
    order = order_of(made)
    with running(made, order, basis=basis) as live:
        feed(live, made, order, 0, 60)
        map_ = live.result()
    batch = fit_edges(made.energies, made.spectra, sigma=made.sigma, normalisation=made.normalisation, basis=basis)
    np.testing.assert_allclose(map_.energy, batch.energy, atol=2e-3)  # float32 holds 8342 eV to 1e-3
    np.testing.assert_allclose(map_.sigma, batch.sigma, rtol=0.02)


def test_with_a_pilot_eight_energies_give_an_honest_map_that_only_sharpens(voxels):
    pilot = voxels(10000, photons=1e4, seed=8)
    basis = fit_edges(pilot.energies, pilot.spectra, sigma=pilot.sigma, normalisation=pilot.normalisation).basis
    made = voxels(10000, photons=1e4)
    order = order_of(made)
    scatter = []
    with running(made, order, basis=basis) as live:
        for first, last in ((0, 5), (5, 8), (8, 30), (30, 60)):
            feed(live, made, order, first, last)
            map_ = live.result()
            error = (map_.energy - made.truth)[map_.code == Code.OK]
            assert np.mean(map_.code == Code.OK) > 0.95
            assert np.mean(np.abs(error) < map_.sigma[map_.code == Code.OK]) == pytest.approx(0.68, abs=0.03)
            scatter.append(error.std())
    assert scatter[1] < 0.3
    assert scatter == sorted(scatter, reverse=True)


def test_without_a_pilot_a_coarse_map_comes_first(voxels):
    made = voxels(3000, photons=1e4)
    order = order_of(made)
    with running(made, order) as live:
        feed(live, made, order, 0, 1)
        assert not live.ready
        assert (live.result().code == Code.NOT_MEASURED).all()
        feed(live, made, order, 1, 8)
        early = live.result()
        ok = early.code == Code.OK
        assert ok.mean() > 0.3
        assert np.abs(early.energy - made.truth)[ok].mean() < 1.0
        feed(live, made, order, 8, 60)
        assert np.abs(live.result().energy - made.truth).mean() < 0.08


@pytest.mark.parametrize("with_basis", [False, True])
def test_an_energy_that_comes_again_counts_as_more_exposure(voxels, with_basis):
    made, more = voxels(3000, noise=0.05, seed=2), voxels(3000, noise=0.05, seed=2)
    rng = np.random.default_rng(6)
    second = made.spectra + made.sigma[:, None] * rng.standard_normal(made.spectra.shape)
    first = made.spectra - (second - made.spectra)  # independent noise of sqrt(2) sigma each, mean as before
    sigma = np.sqrt(2) * made.sigma
    batch = fit_edges(more.energies, more.spectra, sigma=more.sigma, normalisation=more.normalisation)
    basis = batch.basis if with_basis else None
    with running(made, np.arange(60), basis=basis) as live:
        for spectra in (first, second):
            for k in range(60):
                live.add(k, spectra[k], sigma[k])
        np.testing.assert_allclose(live.result().energy, batch.energy, atol=5e-3)


def test_spoiled_frames_are_replaced(voxels):
    made = voxels(1000, photons=1e4)
    with running(made, np.arange(60)) as live:
        live.add(3, 0 * made.spectra[3], made.sigma[3])
        feed(live, made, np.arange(60), 0, 3)
        live.add(3, made.spectra[3], made.sigma[3], replace=True)
        feed(live, made, np.arange(60), 4, 60)
        batch = fit_edges(made.energies, made.spectra, sigma=made.sigma, normalisation=made.normalisation)
        np.testing.assert_array_equal(live.result().energy, batch.energy)


def test_bad_input_is_refused(voxels):
    made = voxels(10, photons=1e4)
    with running(made, np.arange(60)) as live:
        with pytest.raises(ValueError, match=r"outside 0\.\.59"):
            live.add(60, made.spectra[0], 0.1)
        with pytest.raises(ValueError, match="10 voxels are needed"):
            live.add(0, made.spectra[0][:5], 0.1)
        with pytest.raises(ValueError, match="not a positive number"):
            live.add(0, made.spectra[0], 0.0)


def test_the_map_is_made_with_the_energies_that_were_measured(voxels):
    made = voxels(2000, photons=1e4)
    order = order_of(made)
    rng = np.random.default_rng(3)
    planned = made.energies + rng.uniform(-0.3, 0.3, 60)  # read-backs within a usual tolerance; some change places
    planned = np.sort(planned)
    with RunningEdges(planned[order], 2000, normalisation=made.normalisation) as live:
        for k, place in enumerate(order):
            live.add(k, made.spectra[place], made.sigma[place], energy=made.energies[place])
        batch = fit_edges(made.energies, made.spectra, sigma=made.sigma, normalisation=made.normalisation)
        np.testing.assert_array_equal(live.measured, made.energies)
        np.testing.assert_array_equal(live.result().energy, batch.energy)


def test_a_basis_holds_at_its_own_energies_only(voxels):
    made = voxels(1000, photons=1e4)
    basis = fit_edges(made.energies, made.spectra, sigma=made.sigma, normalisation=made.normalisation).basis
    with (
        running(made, np.arange(60), basis=basis) as live,
        pytest.raises(ValueError, match="the basis given was learnt at"),
    ):
        live.add(0, made.spectra[0], made.sigma[0], energy=made.energies[0] + 0.2)


@pytest.mark.parametrize("with_basis", [False, True])
def test_a_map_comes_in_parts_as_it_comes_whole(voxels, with_basis):
    made = voxels(3000, photons=1e4)
    batch = fit_edges(made.energies, made.spectra, sigma=made.sigma, normalisation=made.normalisation)
    basis = batch.basis if with_basis else None
    with running(made, np.arange(60), basis=basis, white_line=False) as live:
        feed(live, made, np.arange(60), 0, 60)
        whole = live.result()
        first, second = live.parts([(0, 1100), (1100, 3000)])
        np.testing.assert_array_equal(np.concatenate([first.energy, second.energy]), whole.energy)
        np.testing.assert_array_equal(np.concatenate([first.code, second.code]), whole.code)
        np.testing.assert_allclose(whole.energy, batch.energy, atol=2e-3)
        assert np.isnan(whole.white_line).all()
