"""Images follow the physics, and every effect can be switched off."""

import numpy as np
import pytest

from sim.absorption import material
from sim.effects import Amplitudes
from sim.exposure import Instrument, State
from sim.morphology import Morphology
from sim.optics import ZonePlate
from sim.specimen import particle

LENS = ZonePlate()
IDEAL = frozenset()


@pytest.fixture(scope="module")
def instrument():
    return Instrument(
        particle(Morphology(voxel=0.25)),
        [material("Ni")],
        LENS,
        shape=(48, 64),
        pixel=0.25,
        photon_rate=4e5,
        photons_per_count=8.0,
        amplitudes=Amplitudes(),
        seed=5,
    )


def state(energy=8400.0, angle=0.0, effects=IDEAL, **changes):
    focus = (0.0, 0.0, LENS.focus(energy))
    return State(energy=energy, angle=angle, effects=frozenset(effects), **({"zone_plate": focus} | changes))


def test_beer_lambert_through_the_middle(instrument):
    sample = particle(Morphology(voxel=0.25))
    n = sample.density.shape[0]
    path = sample.density[n // 2, :, n // 2].sum() * 0.25
    expected = np.exp(-path * material("Ni").basis(8800.0)[0])
    middle = instrument.transmission(state(8800.0))[23:25, 31:33].mean()
    # 8800 eV: all references absorb alike; 1 % for the curvature within four pixels
    assert middle == pytest.approx(expected, rel=0.01)


def test_the_particle_absorbs_more_above_the_edge(instrument):
    below, above = (-np.log(instrument.transmission(state(e))).sum() for e in (8320.0, 8400.0))
    assert 1.1 < above / below < 1.3  # 9 % Ni by mass raise the attenuation by about 20 %


def test_counts_are_photons_over_gain(instrument):
    image = instrument.image(state(effects={"photon_noise"}, sample=(1000.0, 0.0, 0.0)))
    assert image.mean() == pytest.approx(4e5 * 0.5 / 8, rel=1e-3)
    # Poisson: variance = counts / photons per count; 3072 pixels give it within 10 %
    assert image.var() == pytest.approx(image.mean() / 8, rel=0.1)


def test_gain_multiplies_the_signal_and_its_noise_but_not_the_offset(instrument):
    light = {"effects": {"photon_noise", "dark_current"}, "sample": (1000.0, 0.0, 0.0)}
    weak, strong = (instrument.image(state(gain=gain, **light)).astype(float) for gain in (1.0, 2.0))
    assert (strong.mean() - 100.0) / (weak.mean() - 100.0) == pytest.approx(2.0, rel=1e-3)
    assert strong.var() / weak.var() == pytest.approx(4.0, rel=0.15)  # of 3072 pixels each


def test_few_photons_are_poisson_distributed(instrument):
    dim = state(effects={"photon_noise"}, duration=2e-4, sample=(1000.0, 0.0, 0.0))
    counts = np.concatenate([instrument.image(dim).ravel() for _ in range(5)]) * 8.0
    assert counts.mean() == pytest.approx(80.0, rel=0.02)


def test_no_beam_leaves_the_dark(instrument):
    dark = instrument.image(state(beam=0.0, effects={"dark_current"}))
    assert dark.mean() == pytest.approx(102.0, abs=0.2)  # 100 + 4 / s x 0.5 s


def test_long_exposures_saturate(instrument):
    assert instrument.image(state(duration=100.0)).max() == 65535


def test_axis_offset_shifts_by_pixels(instrument):
    columns = np.arange(64) - 31.5
    shadow = {}
    for effects in (set(), {"axis_offset"}):
        absorbed = 1 - instrument.transmission(state(effects=effects)).astype(float)
        shadow[bool(effects)] = (absorbed.sum(0) @ columns) / absorbed.sum()
    assert shadow[True] - shadow[False] == pytest.approx(Amplitudes().axis_offset, abs=0.02)


def test_half_a_turn_mirrors_the_particle(instrument):
    front = instrument.transmission(state(angle=0.0))
    back = instrument.transmission(state(angle=180.0))
    np.testing.assert_allclose(front, back[:, ::-1], atol=2e-3)


def test_turning_during_the_exposure_averages(instrument):
    turned = instrument.transmission(state(angle=75.0, sweep=30.0))
    still = [instrument.transmission(state(angle=75.0 + offset)) for offset in (-12.0, -6.0, 0.0, 6.0, 12.0)]
    np.testing.assert_allclose(turned, np.mean(still, axis=0), atol=1e-5)


def test_defocus_softens_the_surface(instrument):
    sharp, soft = (
        np.abs(np.diff(instrument.transmission(state(effects={"defocus"}, zone_plate=(0, 0, z))), axis=1)).max()
        for z in (LENS.focus(8400.0), LENS.focus(8400.0) + 1.0)
    )
    assert soft < 0.6 * sharp


def test_a_sample_out_of_its_plane_is_out_of_focus(instrument):
    sharp, soft, followed = (
        np.abs(np.diff(instrument.transmission(state(effects={"defocus"}, **places)), axis=1)).max()
        for places in (
            {},
            {"sample": (0.0, 0.0, 1.0)},  # mm
            {"sample": (0.0, 0.0, 1.0), "zone_plate": (0.0, 0.0, LENS.focus(8400.0) + 1.0)},
        )
    )
    assert soft < 0.6 * sharp
    assert followed == sharp


def test_fixed_camera_shrinks_the_particle_with_energy(instrument):
    width = {}
    for energy in (8300.0, 8800.0):
        absorbed = -np.log(instrument.transmission(state(energy, effects={"magnification"})).astype(float))
        width[energy] = (absorbed / absorbed.max() > 0.2).sum() ** 0.5
    expected = LENS.pixel_ratio(8300.0) / LENS.pixel_ratio(8800.0)
    # counted pixels of a disk 40 across: 2 %
    assert width[8800.0] / width[8300.0] == pytest.approx(expected, rel=0.02)


def test_moving_the_camera_away_enlarges_the_particle(instrument):
    area = {}
    for camera in (0.0, 100.0):  # mm
        absorbed = -np.log(instrument.transmission(state(effects={"magnification"}, camera=camera)).astype(float))
        area[camera] = absorbed.sum()
    # mass times pixels: the square of the magnification, which grows as the camera's 1780 mm distance from the lens
    expected = (LENS.magnification(8400.0, camera=100.0) / LENS.magnification(8400.0)) ** 2
    assert expected == pytest.approx((1 + 100.0 / 1780.0) ** 2, rel=0.01)
    assert area[100.0] / area[0.0] == pytest.approx(expected, rel=1e-3)


def empty(instrument, effects=frozenset(), **changes):
    """Return a noise-free flat: the sample is out."""
    return instrument.image(state(effects=effects, sample=(1000.0, 0.0, 0.0), **changes)).astype(float)


def test_a_condenser_out_of_focus_dims_the_field_most_in_the_middle(instrument):
    ratio = empty(instrument, {"condenser"}, condenser=3.0) / empty(instrument, {"condenser"})
    # 7.2 um on the 8 um that fill half of the longer side
    assert ratio[24, 32] == pytest.approx(1 / (1 + (7.2 / 8.0) ** 2), rel=0.01)
    assert ratio[24, 32] < ratio[24, 0] < 1.0
    np.testing.assert_array_equal(empty(instrument, condenser=3.0), empty(instrument))  # switched off


def test_a_misplaced_aperture_takes_light_and_contrast(instrument):
    def seen(offset, effects=frozenset({"order_sorting_aperture"})):
        image = instrument.image(state(effects=effects, aperture=(0.0, offset))).astype(float)
        return image[24, 2], image[24, 32] / image[24, 2]  # beside the particle; through it

    light, transmission = seen(0.0)
    assert seen(15.0) == (light, transmission)  # um; the cone still fits
    dimmer, leaked = seen(35.0)
    assert dimmer < 0.8 * light
    assert leaked > transmission + 0.01  # undiffracted light without an image
    assert not instrument.image(state(effects={"order_sorting_aperture"}, aperture=(300.0, 0.0))).any()
    assert seen(300.0, frozenset()) == (light, transmission)  # switched off


def test_a_zone_plate_that_runs_out_takes_the_image_along(instrument):
    def centre(energy, effects):
        absorbed = 1 - instrument.transmission(state(energy, effects=effects)).astype(float)
        return (absorbed.sum(0) @ np.arange(64.0)) / absorbed.sum(), (
            absorbed.sum(1) @ np.arange(48.0)
        ) / absorbed.sum()

    travel = LENS.focus(8373.0)  # mm, from the reference position
    shift = np.subtract(centre(8373.0, {"zone_plate_runout"}), centre(8373.0, IDEAL)) * 0.25  # um
    np.testing.assert_allclose(shift, 5.0 * travel * np.array([0.8, 0.6]), atol=0.005)  # a fiftieth of a pixel


def test_binning_sums_photons(instrument):
    fine = instrument.image(state()).astype(float)
    coarse = instrument.image(state(binning=(2, 2), duration=0.25)).astype(float)
    blocks = fine.reshape(24, 2, 32, 2).sum((1, 3)) / 2
    np.testing.assert_allclose(coarse, blocks, atol=1.5)  # rounding of four pixels


def test_same_seed_same_image():
    def first():
        return make([material("Ni")]).image(State(8345.0, 10.0))

    np.testing.assert_array_equal(first(), first())


def test_oxidation_moves_the_edge():
    def absorbance(oxidation):
        light = State(8344.0, 0.0, effects=IDEAL, oxidation=oxidation, zone_plate=(0, 0, LENS.focus(8344.0)))
        return -np.log(make([material("Ni")]).transmission(light)).sum(dtype=float)

    assert absorbance(0.0) > absorbance(0.5) > absorbance(1.0)  # the edge moves up: less light is lost at 8344 eV


def test_each_edge_shows_its_own_valence():
    both = particle(Morphology(voxel=0.5), {"Ni": ((0.0, 2.0), (9.0, 2.0)), "Mn": ((0.0, 4.0), (9.0, 4.0))})
    instrument = make([material("Ni"), material("Mn")], both)
    for energy, element, valence in ((8344.0, "Ni", 2.0), (6548.0, "Mn", 4.0)):
        transmission = instrument.transmission(state(energy))
        references = [reference.valence for reference in material(element).references]
        mu = material(element).basis(energy)[references.index(valence)]
        path = -np.log(transmission[8, 8]) / mu
        assert path == pytest.approx(10.0, rel=0.1)  # through the middle of a ball of 5 um radius, with its shells


def make(materials, specimen=None):
    return Instrument(
        specimen or particle(Morphology(voxel=0.5)),
        materials,
        LENS,
        shape=(16, 16),
        pixel=0.8,
        photon_rate=4e5,
        photons_per_count=8.0,
        amplitudes=Amplitudes(),
        seed=9,
    )
