"""Input that cannot be right gets an error that says why, or a voxel with a code: never a number."""

import numpy as np
import pytest

from analysis.angles import angle_weights
from analysis.bound import EdgeModel, cramer_rao, edge_bound
from analysis.combination import linear_combination
from analysis.composition import composition
from analysis.cracks import envelope, segment_cracks
from analysis.design import knowledge_from_spectra, next_energy, updated
from analysis.edge import Code, fit_edges, half_height
from analysis.edge_series import edge_positions
from analysis.energy_scale import FOIL_SCALES, EnergyScale
from analysis.flatfield import optical_density
from analysis.foil import foil_position, foil_shift
from analysis.foil_drift import foil_drift
from analysis.incremental import RunningEdges
from analysis.iterative import sirt
from analysis.morphology import depth, label_particles, particle_mask
from analysis.noise_correlation import noise_correlation
from analysis.registration import find_shift, find_stack_shift
from analysis.resampling import cubic_taps
from analysis.rotation_axis import find_axis
from analysis.series_files import SpectrumSeries
from analysis.shell_spectra import shell_spectra
from analysis.shells import particle_profiles, shell_edges, shell_profile
from analysis.spectra import Normalisation, Spectrum, default_normalisation, normalise
from analysis.stripes import remove_rings, remove_zingers
from analysis.tomography import reconstruct
from analysis.valence import Calibration, calibration_from_points, calibration_from_table

NAN = float("nan")
ENERGIES = np.concatenate([np.linspace(8250, 8320, 10), np.arange(8330, 8365, 1.0), np.linspace(8370, 8500, 15)])
BELOW = ENERGIES < 8325
WINDOWS = Normalisation(pre=(8250, 8320), post=(8370, 8500), e0=8343)
MU = EdgeModel().mu(ENERGIES)
SPECTRA = np.float32(MU[:, None] + 0.02 * np.random.default_rng(0).standard_normal((60, 600)))
REFERENCES = np.stack([EdgeModel(at).shape(ENERGIES) for at in (8340.0, 8344.0)])
FINE = np.arange(8290.0, 8380.0, 0.4)
FOIL = np.arctan((FINE - 8333) / 1.5)
IMAGE = np.random.default_rng(1).random((32, 32))
STACK = np.random.default_rng(2).random((20, 16, 32))
ANGLES = 9.0 * np.arange(20)
HALF_TURN = np.linspace(0.0, 180.0, 20)
TURNING = np.exp(-((np.arange(32) - 15.5 - 5 * np.cos(np.deg2rad(HALF_TURN))[:, None, None]) ** 2) / 8) + 0 * STACK
Z, Y, X = np.indices((24, 24, 24)) - 11.5
BALL = Z**2 + Y**2 + X**2 < 81
VOLUME = BALL + np.random.default_rng(3).normal(0, 0.05, BALL.shape)
DEPTH = depth(BALL)
NICKEL = calibration_from_table("Ni")


def spoiled(values, value=NAN):
    out = np.array(values, dtype=np.float64)
    out.flat[out.size // 2] = value
    return out


def edges(energies=ENERGIES, spectra=SPECTRA, sigma=0.02, normalisation=WINDOWS, **options):
    return fit_edges(energies, spectra, sigma=sigma, normalisation=normalisation, **options)


def knowledge(spectra=SPECTRA, noise=0.02):
    return knowledge_from_spectra(ENERGIES, spectra, sigma=0.02, noise=noise, normalisation=WINDOWS)


def points(edge_energy=(8342.0, 8345.0), valence=(2.0, 3.0), sigma=0.1):
    return calibration_from_points(edge_energy, valence, sigma, element="Ni", scale=FOIL_SCALES["Ni"])


def curve(values):
    return Calibration(values, [2.0, 3.0], [0.1, 0.1], "Ni", "", FOIL_SCALES["Ni"], "")


def series(low, high):
    energy = np.arange(low, high + 1.0)
    return SpectrumSeries(np.zeros(1), energy, energy[None], None, np.ones(1), True, None, "", ("",))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: edges(ENERGIES[:1], SPECTRA[:1]), "no energy in the"),
        (lambda: edges(ENERGIES[BELOW], SPECTRA[BELOW]), "no energy in the post-edge window"),
        (lambda: edges(ENERGIES[~BELOW], SPECTRA[~BELOW]), "no energy in the pre-edge window"),
        (lambda: edges(spoiled(ENERGIES)), "must be finite"),
        (lambda: edges(spectra=SPECTRA.T), "shape"),
        (lambda: edges(sigma=NAN), "not a positive number"),
        (lambda: edges(sigma=-1.0), "not a positive number"),
        (lambda: edges(sigma=np.zeros((60, 600))), "no voxel has a sigma"),
        (lambda: edges(mask=np.arange(600)), "bool is needed"),
        (lambda: edges(rank=2.5), "rank 2.5 is not a whole number"),
        (lambda: edges(sample=0), "sample 0 is below 1"),
        (lambda: edges(sample=-1), "sample -1 is below 1"),
        (lambda: edges(least_jump=NAN), "least_jump nan"),
        (lambda: RunningEdges(ENERGIES, 10, normalisation=WINDOWS, largest_sigma=NAN), "largest_sigma nan"),
        (lambda: RunningEdges(ENERGIES, 2.5, normalisation=WINDOWS), "n_voxels 2.5 is not a whole number"),
        (lambda: edges(largest_sigma=NAN), "largest_sigma nan"),
        (lambda: edges(mask=np.ma.masked_array(np.ones(600, bool), np.arange(600) == 7)), "masked values in mask"),
        (lambda: half_height(ENERGIES[:1], MU[:1], WINDOWS), "at least 2"),
        (lambda: half_height(ENERGIES[BELOW], MU[BELOW], WINDOWS), "post-edge window"),
        (lambda: half_height(ENERGIES, MU, WINDOWS, sigma=-0.1), "sigma -0.1 is negative"),
        (lambda: half_height(ENERGIES, MU, WINDOWS, sigma=[0.1] * 3), r"sigma has shape \(3,\)"),
        (lambda: normalise(ENERGIES, MU, WINDOWS, sigma=[0.1] * 3), r"sigma has shape \(3,\)"),
        (lambda: normalise(ENERGIES, MU, WINDOWS, sigma=-0.1), "sigma -0.1 is negative"),
        (lambda: normalise(ENERGIES, -MU, WINDOWS), "not positive"),
        (lambda: default_normalisation(ENERGIES[BELOW], 8343), "do not reach"),
        (lambda: Normalisation((8250, 8320), (8370, 8500), e0=NAN), "e0"),
        (lambda: Spectrum(ENERGIES, spoiled(MU)), "non-finite"),
        (lambda: optical_density(STACK, np.ones((5, 5)), np.zeros((16, 32))), "shape"),
        (lambda: optical_density(STACK, STACK + 1, STACK * 0, electrons_per_count=0.0), "electrons_per_count"),
        (lambda: optical_density(STACK, spoiled(STACK[0]), STACK[0] * 0), "flat has 1 pixels that are not finite"),
        (lambda: linear_combination(ENERGIES, SPECTRA, REFERENCES[:, :9], sigma=0.02), "shape"),
        (lambda: linear_combination(ENERGIES, SPECTRA, REFERENCES[[0, 0]], sigma=0.02), "do not tell"),
        (lambda: linear_combination(ENERGIES, SPECTRA, REFERENCES, sigma=0.0), "not positive"),
        (lambda: linear_combination(ENERGIES, SPECTRA, REFERENCES + 0j, sigma=0.02), "complex128 values in references"),
        (lambda: linear_combination(ENERGIES, SPECTRA, REFERENCES, sigma=[0.02] * 3), "sigma has shape"),
        (lambda: composition({"Ni": [0.1], "Mn": [0.2]}, {"Ni": [0.1]}), "Mn"),
        (lambda: composition({"Ni": ["0.1"]}, {"Ni": 0.1}), "<U3 values in jump of Ni"),
        (lambda: composition({"Ni": [0.1, 0.2]}, {"Ni": [0.1] * 3}), "sigma of Ni has shape"),
        (lambda: RunningEdges(ENERGIES, 0, normalisation=WINDOWS), "n_voxels"),
        (lambda: knowledge(spectra=SPECTRA * np.nan), "too few|no pilot"),
        (lambda: knowledge(noise=0.0), "not positive"),
        (lambda: knowledge(noise=[0.1] * 3), "noise has shape"),
        (lambda: knowledge(spectra=SPECTRA + 0j), "complex64 values in spectra"),
        (lambda: next_energy(knowledge(), target=0.01, most=NAN), "most nan"),
        (lambda: updated(knowledge(), 2, np.inf), "exposure inf"),
        (lambda: updated(knowledge(), 2.5, 1.0), "not a whole number"),
        (lambda: next_energy(knowledge(), target=NAN), "not positive"),
        (lambda: next_energy(knowledge(), target=0.01, exposures=(-1.0,)), "not all positive"),
        (lambda: next_energy(knowledge(), target=0.01, overhead=NAN), "overhead"),
        (lambda: updated(knowledge(), 99, 1.0), "outside"),
        (lambda: cramer_rao(np.full((1, 3), NAN), 0.1, [1.0]), "not finite"),
        (lambda: cramer_rao(np.ones((1, 3)), NAN, [1.0]), "not positive"),
        (lambda: cramer_rao(np.ones((1, 3)), 0.1, [NAN]), "not finite"),
        (lambda: edge_bound(EdgeModel(np.ones(3)), ENERGIES, 0.1), "center of the model is an array"),
        (lambda: foil_position(FINE, spoiled(FOIL), near=8333), "not finite"),
        (lambda: foil_position(FINE, FOIL, near=8333, half_width=0), "above 0"),
        (lambda: foil_position(FINE, FOIL, near=8333, least_jump=NAN), "least_jump nan"),
        (lambda: foil_shift(FINE, FOIL, element="Xx"), "no foil energy"),
        (lambda: edge_positions(series(7000, 7300), align=False), "'Ni'.* hold 7000..7300 eV, the edge of Fe"),
        (lambda: edge_positions(series(1000, 1300)), "'Ni'.* hold 1000..1300 eV, the edge of no element"),
        (lambda: foil_drift(FINE, [FOIL] * 4, element="Ni", times=[1, 2]), "times have shape"),
        (lambda: EnergyScale("bad", "Ni", NAN), "not a positive number"),
        (lambda: NICKEL.valence([8343.0], [-0.1]), "edge_sigma -0.1 is negative"),
        (lambda: NICKEL.valence([8343.0], extrapolate=NAN), "extrapolate"),
        (lambda: NICKEL.valence([8343.0], [0.1] * 3), r"edge_sigma has shape \(3,\)"),
        (lambda: NICKEL.valence([8343.0], code=[300]), "code 300"),
        (lambda: points(valence=[2.0, NAN]), "valence nan"),
        (lambda: points(sigma=[0.1] * 3), r"sigma has shape \(3,\)"),
        (
            lambda: calibration_from_points([1, 2, 1.5], [2, 3, 4], 0.1, element="Ni", scale=FOIL_SCALES["Ni"]),
            "do not rise",
        ),
        (lambda: reconstruct(spoiled(STACK), ANGLES, axis=15.5), "finite"),
        (lambda: reconstruct(STACK, ANGLES[:5], axis=15.5), "shape|angles"),
        (lambda: reconstruct(STACK, ANGLES, axis=NAN), "axis"),
        (lambda: reconstruct(STACK, ANGLES, axis=15.5, pixel_size=0.0), "pixel"),
        (lambda: sirt(spoiled(STACK), ANGLES, axis=15.5), "finite"),
        (lambda: angle_weights([0.0, NAN]), "not a number of degrees"),
        (lambda: find_shift(IMAGE, spoiled(IMAGE)), "not finite"),
        (lambda: find_shift(IMAGE, IMAGE, magnification=100.0), "magnification 100.0 leaves"),
        (lambda: find_shift(IMAGE, IMAGE, max_shift=NAN), "max_shift"),
        (lambda: find_shift(IMAGE, IMAGE, max_sigma=NAN), "max_sigma nan"),
        (lambda: find_shift(IMAGE, IMAGE, centre=(NAN, 15.5)), r"centre \(nan, 15.5\)"),
        (lambda: find_stack_shift(STACK[:0], STACK[:0]), "shape"),
        (lambda: find_stack_shift(STACK, STACK, limit=2.5), "limit 2.5 is not a whole number"),
        (lambda: cubic_taps([0.0, NAN], 9), "position nan"),
        (lambda: cubic_taps([[0.0]], 9), r"positions have shape \(1, 1\)"),
        (lambda: cubic_taps([0.0], 9.5), "length 9.5 is not a whole number"),
        (lambda: cubic_taps([0.0], 9, step=NAN), "step nan"),
        (lambda: find_axis(spoiled(STACK), ANGLES), "not finite"),
        (lambda: find_axis(0 * STACK, ANGLES), "cannot be known"),
        (lambda: find_axis(0 * STACK + 1, ANGLES), "cannot be known"),
        (lambda: remove_rings(STACK, threshold=NAN), "threshold"),
        (lambda: remove_rings(STACK, size=2.5), "size 2.5 is not a whole number"),
        (lambda: remove_zingers(STACK, threshold=NAN), "threshold"),
        (lambda: particle_mask(spoiled(VOLUME)), "not finite"),
        (lambda: particle_mask(0 * VOLUME), "no contrast"),
        (lambda: particle_mask(VOLUME[:0]), r"\(z, y, x\) is needed"),
        (lambda: particle_mask(VOLUME + 0j), "complex128 values in volume"),
        (lambda: particle_mask(np.ma.masked_greater(VOLUME, 0.9)), "masked values in volume"),
        (lambda: particle_mask(VOLUME, threshold=NAN), "threshold nan"),
        (lambda: particle_mask(VOLUME, smooth=-1.0), "smooth -1.0"),
        (lambda: label_particles(BALL, neck=NAN), "neck nan"),
        (lambda: depth(-1 * BALL), "label -1 is below 0"),
        (lambda: label_particles(BALL, voxel_size=NAN), "voxel size"),
        (lambda: label_particles(BALL & False), "empty"),
        (lambda: depth(BALL, voxel_size=-1.0), "voxel size"),
        (lambda: depth(BALL, voxel_size=(1.0, 2.0, 3.0)), "cubic voxels"),
        (lambda: depth(spoiled(VOLUME)), "bool or labels"),
        (lambda: depth(BALL | True), "no surface"),
        (lambda: shell_edges(0 * DEPTH, 3), "no voxel lies below a surface"),
        (lambda: shell_edges(DEPTH, 3, equal="depth"), "neither 'thickness' nor 'volume'"),
        (lambda: shell_profile(VOLUME + 0j, 0.1, DEPTH, [0, 2, 4]), "complex128 values in values"),
        (lambda: shell_profile(VOLUME, 0.1, DEPTH, [0, 2, 4], systematic=-0.1), "systematic -0.1 is below 0"),
        (lambda: particle_profiles(VOLUME, 0.1, DEPTH, [0, 2, 4], np.where(VOLUME > 1, -1, BALL)), r"labels -1\.\.1"),
        (lambda: particle_profiles(VOLUME, 0.1, DEPTH, [0, 2, 4], BALL.reshape(12, 48, 24)), "one shape"),
        (lambda: particle_profiles(VOLUME, 0.1, DEPTH, [0, 2, 4], 0.5 * BALL), "float64; whole numbers"),
        (lambda: shell_spectra(np.ones((3, 5)), np.ones(5), [0, 2], sigma=-1.0), "sigma -1.0 is not one positive"),
        (lambda: shell_profile(DEPTH, -1.0, DEPTH, [0, 2, 4]), "sigma"),
        (lambda: shell_profile(DEPTH, 0.1, DEPTH, [4, 2, 0]), "edges|increase"),
        (lambda: shell_profile(DEPTH[:5], 0.1, DEPTH, [0, 2, 4]), "shape"),
        (lambda: noise_correlation(VOLUME * np.nan, BALL), "too few"),
        (lambda: noise_correlation(0 * VOLUME, BALL), "no noise"),
        (lambda: segment_cracks(VOLUME, BALL[:5], closing_radius=3.0), "shape"),
        (lambda: segment_cracks(VOLUME, BALL, 0.0, closing_radius=3.0), "voxel size"),
        (lambda: segment_cracks(VOLUME, VOLUME, closing_radius=3.0), "bool or labels"),
        (lambda: segment_cracks(VOLUME, BALL, closing_radius=NAN), "closing_radius nan"),
        (lambda: segment_cracks(VOLUME, BALL, closing_radius=3.0, threshold=NAN), "threshold nan"),
        (lambda: envelope(BALL, np.inf), "closing radius inf"),
    ],
)
def test_it_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "right", "name"),
    [
        (lambda bad: edges(energies=bad), ENERGIES, "energies"),
        (lambda bad: edges(spectra=bad), SPECTRA, "spectra"),
        (lambda bad: edges(sigma=bad), np.full(60, 0.02), "sigma"),
        (lambda bad: half_height(bad, MU, WINDOWS), ENERGIES, "energy"),
        (lambda bad: half_height(ENERGIES, bad, WINDOWS), MU, "mu"),
        (lambda bad: half_height(ENERGIES, MU, WINDOWS, sigma=bad), MU, "sigma"),
        (lambda bad: normalise(bad, MU, WINDOWS), ENERGIES, "energies"),
        (lambda bad: normalise(ENERGIES, bad, WINDOWS), MU, "mu"),
        (lambda bad: normalise(ENERGIES, MU, WINDOWS, sigma=bad), MU, "sigma"),
        (lambda bad: Spectrum(bad, MU), ENERGIES, "energies"),
        (lambda bad: Spectrum(ENERGIES, bad, name="NiO"), MU, "mu of 'NiO'"),
        (lambda bad: Spectrum(ENERGIES, MU, bad, name="NiO"), MU, "sigma of 'NiO'"),
        (lambda bad: foil_position(bad, FOIL, near=8333), FINE, "energy"),
        (lambda bad: foil_position(FINE, bad, near=8333), FOIL, "mu"),
        (lambda bad: foil_shift(bad, FOIL, element="Ni"), FINE, "energy"),
        (lambda bad: foil_shift(FINE, bad, element="Ni"), FOIL, "foil"),
        (lambda bad: foil_drift(FINE, bad, element="Ni"), np.stack([FOIL] * 4), "foils"),
        (lambda bad: find_shift(bad, IMAGE), IMAGE, "reference"),
        (lambda bad: find_stack_shift(STACK, bad), STACK, "moving"),
        (remove_zingers, STACK, "projections"),
        (remove_rings, STACK, "projections"),
        (lambda bad: find_axis(bad, HALF_TURN), TURNING, "projections"),
        (lambda bad: edge_bound(EdgeModel(), bad, 0.01), ENERGIES, "energies"),
        (lambda bad: shell_profile(VOLUME, 0.1, DEPTH, [0, 2, 4], correlation=bad), np.eye(2), "correlation"),
        (lambda bad: points(edge_energy=bad), np.array([8342.0, 8345.0]), "edge_energy"),
        (lambda bad: points(valence=bad), np.array([2.0, 3.0]), "valence"),
        (lambda bad: points(sigma=bad), np.array([0.1, 0.1]), "sigma"),
        (curve, np.array([8342.0, 8345.0]), "edge_energies"),
        (NICKEL.valence, np.array([8342.0, 8345.0]), "edge_energy"),
        (lambda bad: NICKEL.valence([8343.0] * 2, bad), np.array([0.1, 0.1]), "edge_sigma"),
        (lambda bad: cubic_taps(bad, 9), np.arange(9.0), "positions"),
    ],
)
def test_what_is_no_real_number_is_refused_by_name(call, right, name):
    call(right)
    masked = np.ma.masked_array(right, np.arange(right.size).reshape(right.shape) == 0)
    with pytest.raises(ValueError, match=f"masked values in {name};"):
        call(masked)
    for kind in ("complex128", "<U32", "object"):
        with pytest.raises(ValueError, match=f"{kind} values in {name};"):
            call(right.astype(kind))


@pytest.mark.parametrize(
    ("spectra", "code"),
    [
        (0 * SPECTRA, Code.NO_JUMP),
        (0 * SPECTRA + 1, Code.NO_JUMP),
        (SPECTRA - np.float32(MU[:, None]), Code.NO_JUMP),
        (-SPECTRA, Code.NO_JUMP),
        (SPECTRA * np.nan, Code.NOT_MEASURED),
        (SPECTRA + np.inf, Code.NOT_MEASURED),
    ],
    ids=["zeros", "constant", "noise alone", "falling", "nan", "inf"],
)
def test_spectra_without_an_edge_have_a_code_and_no_number(spectra, code):
    map_ = edges(spectra=spectra)
    assert (map_.code == code).all()
    for numbers in (map_.energy, map_.sigma, map_.white_line, map_.white_line_sigma):
        assert np.isnan(numbers).all()


@pytest.mark.parametrize("wrong", [0.0, -0.02, NAN, np.inf])
def test_a_voxel_without_a_sigma_is_not_measured(wrong):
    sigma = np.full(SPECTRA.shape, 0.02)
    sigma[17, 5] = wrong
    map_ = edges(sigma=sigma)
    assert map_.code[5] == Code.NOT_MEASURED
    assert np.isnan([map_.energy[5], map_.sigma[5], map_.jump[5], map_.jump_sigma[5]]).all()
    assert (np.delete(map_.code, 5) == Code.OK).all()


def test_an_edge_that_was_not_measured_over_has_no_bound():
    assert edge_bound(EdgeModel(), ENERGIES[BELOW], 0.01) == np.inf


def test_fractions_need_a_jump():
    """Below the edge the references are almost alike; what noise makes of that is no fraction."""
    below = linear_combination(ENERGIES[BELOW], SPECTRA[BELOW], REFERENCES[:, BELOW], sigma=0.02)
    assert np.isnan(below.fractions).mean() > 0.99  # three sigma of the jump leave 0.13 % of noise


@pytest.mark.parametrize("flat", [0.0, -5.0])
def test_pixels_without_light_have_no_optical_density(flat):
    frames, flats = np.full((3, 8, 8), 100.0), np.full((8, 8), 200.0)
    flats[2, 3] = flat
    found = optical_density(frames, flats, np.zeros((8, 8)))
    assert np.isnan(found.values[:, 2, 3]).all()
    assert np.isfinite(found.values).sum() == 3 * 63


def test_two_images_of_nothing_have_no_shift():
    found = find_shift(0 * IMAGE + 1, 0 * IMAGE + 1)
    assert not found.trusted
    assert np.isnan(found.dx)


@pytest.mark.parametrize("order", ["<", ">"])
def test_labels_of_either_byte_order_are_the_same(order):
    """Files of other machines; compiled code would misread them."""
    labels = BALL.astype(f"{order}i4")
    np.testing.assert_array_equal(depth(labels), DEPTH)
    assert particle_profiles(VOLUME, 0.1, DEPTH, [0, 9], labels)[0].count.tolist() == [BALL.sum()]


def test_missing_voxels_do_not_spoil_the_correlation_of_the_others():
    noise = np.random.default_rng(4).standard_normal(BALL.shape)
    found, whole = noise_correlation(spoiled(noise), BALL), noise_correlation(noise, BALL)
    np.testing.assert_allclose(found.rho, whole.rho, atol=0.01)
