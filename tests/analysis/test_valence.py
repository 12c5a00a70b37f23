"""Valence from edge positions: exact for mixtures of the references, honest at the ends, refused across scales."""

import numpy as np
import pytest

from analysis.edge import Code, fit_edges
from analysis.energy_scale import FOIL_SCALES, EnergyScale, ScaleError, align
from analysis.foil import foil_shift
from analysis.shells import shell_profile
from analysis.spectra import Normalisation, Spectrum
from analysis.spectrum_files import read_spectrum, read_xdi
from analysis.valence import (
    EDGE_TABLE,
    Calibration,
    CalibrationError,
    calibration_from_points,
    calibration_from_references,
    calibration_from_table,
    spectrum_valence,
)

NI = FOIL_SCALES["Ni"]
FINE = np.arange(8200.0, 8520.0, 0.5)
WINDOWS = Normalisation(pre=(8210, 8325), post=(8365, 8510), e0=8342)


def oxide(at, white_line, name, *, scale=NI, energy=FINE):
    rise = 0.5 + np.arctan((energy - at) / 1.3) / np.pi
    mu = 0.2 - 1e-4 * (energy - 8300) + rise + white_line * np.exp(-(((energy - at - 7) / 4) ** 2))
    return Spectrum(energy, mu, name=name, element="Ni", edge="K", scale=scale)


REFERENCES = [(oxide(8341.0, 0.8, "NiO"), 2.0), (oxide(8343.8, 0.5, "LiNiO2"), 3.0)]
COARSE = np.array([8220, 8260, 8300, 8320, 8334, 8338, 8341, 8343, 8345, 8348, 8352, 8358, 8370, 8400, 8450, 8500.0])


@pytest.mark.parametrize("energies", [FINE, COARSE], ids=["half eV", "16 energies"])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.6, 1.0])
def test_a_mixture_has_the_mixed_valence_on_any_grid(energies, share):
    calibration = calibration_from_references(REFERENCES, energies, WINDOWS)
    (a, _), (b, _) = REFERENCES
    mu = 3 * ((1 - share) * a.mu + share * b.mu) + 0.7
    mixture = Spectrum(energies, np.interp(energies, FINE, mu), name="voxel", element="Ni", scale=NI)
    found = spectrum_valence(mixture, calibration, WINDOWS, sigma=1e-3)
    assert found.valence[0] == pytest.approx(2 + share, abs=0.005)  # nine mixtures, joined smoothly


def test_voxels_read_by_the_low_rank_fit_agree():
    energies = np.concatenate([np.arange(8220.0, 8330, 15), np.arange(8332.0, 8354), np.arange(8360.0, 8510, 15)])
    calibration = calibration_from_references(REFERENCES, energies, WINDOWS)
    rng = np.random.default_rng(2)
    share = np.repeat([0.1, 0.5, 0.9], 400)
    a, b = (np.interp(energies, FINE, spectrum.mu) for spectrum, _ in REFERENCES)
    clean = (1 - share) * a[:, None] + share * b[:, None]
    edges = fit_edges(energies, clean + rng.normal(0, 0.01, clean.shape), sigma=0.01, normalisation=WINDOWS)
    found = calibration.valence(edges.energy, edges.sigma, code=edges.code)
    pull = (found.valence - 2 - share) / found.statistical
    assert np.all(found.code == Code.OK)
    assert np.mean(pull) == pytest.approx(0.0, abs=0.1)  # 1200 voxels: 0.03 standard error
    assert np.std(pull) == pytest.approx(1.0, abs=0.15)


def test_uncertainties_of_references_are_carried_along():
    curve = calibration_from_points([8342.0, 8345.0], [2, 3], [0.3, 0.6], element="Ni", scale=NI)
    found = curve.valence([8342.0, 8345.0], [0.0, 0.03])
    np.testing.assert_allclose(found.systematic, [0.1, 0.2], rtol=1e-3)  # eV over 3 eV per unit
    np.testing.assert_allclose(found.statistical, [0.0, 0.01], atol=1e-6)
    np.testing.assert_allclose(found.sigma, np.hypot(found.systematic, found.statistical))


def test_uncertainties_of_the_axes_of_references_are_carried_along():
    low, high = REFERENCES
    curve = calibration_from_references([high, low], FINE, WINDOWS, axis_sigma=[0.3, 0.1])
    np.testing.assert_allclose(curve.sigmas[[0, -1]], [0.1, 0.3], rtol=0.01)  # the references themselves are smooth
    with pytest.raises(CalibrationError, match=r"axis_sigma -0\.1 eV is not 0 or more"):
        calibration_from_references(REFERENCES, FINE, WINDOWS, axis_sigma=-0.1)


def test_reference_uncertainty_is_that_of_simulated_references():
    rng = np.random.default_rng(4)
    energies, sigmas, at = np.array([8342.0, 8344.5, 8346.0]), np.array([0.1, 0.15, 0.05]), np.array([8343.1, 8345.2])
    stated = calibration_from_points(energies, [2, 3, 3.6], sigmas, element="Ni", scale=NI).valence(at).systematic
    drawn = [
        calibration_from_points(rng.normal(energies, sigmas), [2, 3, 3.6], sigmas, element="Ni", scale=NI)
        .valence(at)
        .valence
        for _ in range(400)
    ]
    # 400 draws give 3.5 %; the curve is not quite linear in its references.
    np.testing.assert_allclose(np.std(drawn, axis=0), stated, rtol=0.15)


def test_beyond_the_references_counts_only_within_noise():
    curve = calibration_from_points([8342.0, 8345.0], [2, 3], [0, 0], element="Ni", scale=NI)
    found = curve.valence([8341.8, 8341.8, 8345.5], [0.1, 0.01, 0.01])
    assert found.code.tolist() == [Code.OK, Code.OUT_OF_RANGE, Code.OUT_OF_RANGE]
    assert found.valence[0] == pytest.approx(2 - 0.2 / 3)
    assert np.isnan(found.valence[1:]).all()
    assert curve.valence([8345.5], [0.01], extrapolate=1.0).valence[0] == pytest.approx(3 + 0.5 / 3)


def test_ends_are_not_biased_by_leaving_voxels_out():
    curve = calibration_from_points([8342.0, 8345.0], [2, 3], [0, 0], element="Ni", scale=NI)
    noise = np.random.default_rng(0).normal(8342.0, 0.2, 20000)
    mean = np.nanmean(curve.valence(noise, np.full(noise.size, 0.2)).valence)
    assert mean == pytest.approx(2.0, abs=0.003)  # 0.0005 standard error, 0.1 % left out below


def test_codes_of_the_edges_are_kept():
    curve = calibration_from_table("Ni")
    found = curve.valence([8343.0, 8343.0, np.nan], [0.1, 0.1, 0.1], code=[Code.OK, Code.TOO_NOISY, Code.OK])
    assert found.code.tolist() == [Code.OK, Code.TOO_NOISY, Code.NOT_MEASURED]
    assert np.isfinite(found.valence).tolist() == [True, False, False]


def test_references_that_contradict_each_other_are_named():
    with pytest.raises(CalibrationError, match=r"valence 2 at 8345\.00 eV and 3 at 8342\.00 eV do not rise together"):
        Calibration(np.array([8345.0, 8342.0]), np.array([2.0, 3.0]), np.zeros(2), "Ni", "half height", NI, "")


def test_equal_valences_are_averaged_with_their_scatter():
    curve = calibration_from_points([6550, 6552.2, 6553.8], [3, 4, 4], 0.3, element="Mn", scale=FOIL_SCALES["Mn"])
    assert curve.edge_energies[1] == pytest.approx(6553.0)
    assert curve.sigmas[1] == pytest.approx(0.8 * np.sqrt(2))


@pytest.mark.parametrize("element", EDGE_TABLE)
def test_published_edges_rise_with_valence(element):
    curve = calibration_from_table(element)
    assert np.all(np.diff(curve.edge_energies) > 0.5)
    assert np.all(curve.edge_energies > FOIL_SCALES[element].foil_energy + 5)
    np.testing.assert_allclose(curve.valence(curve.edge_energies).valence, curve.valences, atol=1e-6)


def test_other_scales_are_refused():
    with pytest.raises(ScaleError, match="NiO is on 'FXI'"):
        calibration_from_references(
            [(oxide(8341, 0.8, "NiO", scale=EnergyScale("FXI")), 2.0), REFERENCES[1]], COARSE, WINDOWS
        )
    with pytest.raises(ScaleError, match="sample has no energy scale"):
        spectrum_valence(oxide(8342, 0.7, "sample", scale=None), calibration_from_table("Ni"), WINDOWS)
    with pytest.raises(ScaleError, match="add"):
        calibration_from_table("Ni").valence([8343.0], scale=EnergyScale("nominal", "Ni", 8331.4))


def test_references_whose_foils_lie_apart_are_refused_with_both_positions_and_calibrate_once_aligned():
    """A nominal axis 1.6 eV too low would make half a valence unit of it."""
    nominal = EnergyScale("nominal axis", "Ni", 8331.4)
    low = oxide(8341.0 - 1.6, 0.8, "NiO", scale=nominal)
    with pytest.raises(ScaleError, match=r"NiO .*foil at 8331\.40 eV.* LiNiO2 .*foil at 8333\.00 eV.*add -1\.600 eV"):
        calibration_from_references([(low, 2.0), REFERENCES[1]], COARSE, WINDOWS)
    mixed = calibration_from_references([(align(low, to=NI), 2.0), REFERENCES[1]], COARSE, WINDOWS)
    straight = calibration_from_references(REFERENCES, COARSE, WINDOWS)
    np.testing.assert_allclose(mixed.edge_energies, straight.edge_energies, atol=0.02)  # interpolated between points


def test_energies_beyond_a_reference_are_refused():
    with pytest.raises(CalibrationError, match=r"energies 8100\.0\.\.8500\.0 eV exceed 8200\.0\.\.8519\.5 eV of NiO"):
        calibration_from_references(REFERENCES, np.append(COARSE, 8100.0), WINDOWS)


def test_measured_mixed_scales_are_refused_and_aligned(measured_data):
    """FXI's NiO lies 2 eV below NiO on the foil scale: with the table it would pass for metal."""
    folder = measured_data / "xas_references"
    fxi = EnergyScale("NSLS-II FXI, no foil")
    nio = read_spectrum(folder / "fxi_NiO.txt", scale=fxi, element="Ni")
    nickelate = read_spectrum(folder / "fxi_LiNiO2.txt", scale=fxi, element="Ni")
    windows = Normalisation(pre=(8205, 8320), post=(8370, 8600), e0=8340)
    with pytest.raises(ScaleError, match="measure a foil on the axis of fxi_NiO"):
        spectrum_valence(nio, calibration_from_table("Ni"), windows)
    own = calibration_from_references([(nio, 2.0), (nickelate, 3.0)], nio.energy, windows)
    assert spectrum_valence(nio, own, windows, sigma=2e-3).valence[0] == pytest.approx(2.0, abs=0.02)
    assert own.edge_energies[0] == pytest.approx(8340.2, abs=0.4)
    assert own.edge_energies[-1] == pytest.approx(8341.9, abs=0.5)


def test_measured_manganese_oxides_are_in_order(measured_data):
    """XASDataLibrary, nominal scale; the spectra end 80 eV above the edge, so windows move them by 0.8 eV."""
    nominal = EnergyScale("SSRL 4-3, nominal")
    windows = Normalisation(pre=(6520, 6535), post=(6575, 6630), pre_order=1, post_order=1, e0=6550)
    found = []
    for name, valence in (("MnO_rt_01", 2.0), ("Mn2O3_rt_01", 3.0), ("MnO2_rt_01", 4.0)):
        found.append((read_spectrum(measured_data / "xas_references" / f"{name}.xdi", scale=nominal), valence))
    energies = found[0][0].energy[1:-1]
    curve = calibration_from_references(found, energies, windows, mixtures=2)
    np.testing.assert_allclose(curve.edge_energies, [6544.05, 6548.5, 6551.1], atol=0.8)
    first, second = np.diff(curve.edge_energies)
    assert 3.5 < first < 5.5
    assert 2.0 < second < 3.7


def test_mean_valence_of_noisy_voxels_is_not_biased():
    """At jump/noise 5, where single voxels scatter by 0.15, the mean of 5000 has a standard error of 0.002.

    The basis is learnt from noisy voxels too: 0.005, common to all."""
    energies = np.concatenate([np.arange(8220.0, 8330, 15), np.arange(8332.0, 8354), np.arange(8360.0, 8510, 15)])
    calibration = calibration_from_references(REFERENCES, energies, WINDOWS)
    a, b = (np.interp(energies, FINE, spectrum.mu) for spectrum, _ in REFERENCES)
    share = np.repeat([0.0, 0.4, 1.0], 5000)
    noise = np.random.default_rng(0).normal(0, 0.2, (energies.size, share.size))
    edges = fit_edges(energies, (1 - share) * a[:, None] + share * b[:, None] + noise, sigma=0.2, normalisation=WINDOWS)
    found = calibration.valence(edges.energy, edges.sigma, code=edges.code)
    profile = shell_profile(found.valence, found.statistical, 0.5 + share, [0.4, 0.6, 1.0, 2.0])
    np.testing.assert_allclose(profile.mean, [2.0, 2.4, 3.0], atol=0.015)
    assert profile.count.min() > 4900


def test_measured_hydroxide_is_divalent_once_aligned_by_its_own_foil(measured_data):
    """As given it lies 1 eV too high, four tenths of a valence unit; windows leave two tenths."""
    path = measured_data / "xas_references" / "NiOH2_rt_01.xdi"
    given, foil = read_xdi(path), read_xdi(path, signal="reference")
    moved = align(given, foil_shift(foil.energy, foil.mu, element="Ni"))
    windows = Normalisation(pre=(8150, 8310), post=(8380, 8600), e0=8345)
    found = spectrum_valence(moved, calibration_from_table("Ni"), windows, sigma=1e-3)
    assert found.valence[0] == pytest.approx(2.0, abs=0.25)
    with pytest.raises(ScaleError, match="has no energy scale"):
        spectrum_valence(given, calibration_from_table("Ni"), windows)
