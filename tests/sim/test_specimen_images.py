"""The specimen is seen in the images as it was described: particles, shells, cracks, metals, the user's own volumes."""

import h5py
import numpy as np
import pytest

from sim.absorption import material
from sim.beamline import build
from sim.cell import oxidation
from sim.effects import Amplitudes
from sim.exposure import Instrument, State
from sim.morphology import Morphology
from sim.optics import ZonePlate
from sim.references import EDGES
from sim.simulation import Simulation
from sim.specimen import particle

LENS = ZonePlate()
PIXEL = 0.25  # um
ROUND = {"voxel": 0.25, "flattening": 0.0, "shells": 0}


def instrument_of(specimen, elements=("Ni",)):
    return Instrument(
        specimen,
        [material(element) for element in elements],
        LENS,
        shape=(48, 64),
        pixel=PIXEL,
        photon_rate=4e5,
        photons_per_count=8.0,
        amplitudes=Amplitudes(),
        seed=5,
    )


def density(instrument, energy=8800.0, angle=0.0, **changes):
    """Return the optical density of an image by an ideal instrument; row 0 is z = -6 um, column 0 is x = -8 um."""
    state = State(energy, angle, effects=frozenset(), zone_plate=(0.0, 0.0, LENS.focus(energy)), **changes)
    return -np.log(instrument.transmission(state).astype(float))


def at(image, x, z):
    """Return the optical density at a place of the image, um from its middle."""
    return image[round(z / PIXEL + 23.5), round(x / PIXEL + 31.5)]


def test_several_particles_pass_behind_one_another_as_they_turn():
    pair = instrument_of(particle(Morphology(**ROUND, particles=((-3.5, 0.0, 0.0, 2.0), (3.5, 0.0, 1.0, 2.0)))))
    side_by_side, in_line = density(pair), density(pair, angle=90.0)
    mu = material("Ni").basis(8800.0)[0]
    assert at(side_by_side, -3.5, 0.0) == pytest.approx(4.0 * mu, rel=0.05)  # a diameter, on voxels of a sixteenth
    assert at(side_by_side, 3.5, 1.0) == pytest.approx(4.0 * mu, rel=0.05)
    assert at(side_by_side, 0.0, 0.5) == pytest.approx(0.0, abs=1e-3)
    chord = 2 * np.sqrt(2.0**2 - 0.5**2)  # of each ball, half a micrometre beside its centre
    assert at(in_line, 0.0, 0.5) == pytest.approx(2 * chord * mu, rel=0.05)


def test_shells_are_rings_of_lower_density():
    whole, shelled = (
        density(instrument_of(particle(Morphology(**(ROUND | {"shells": n, "voxel": 0.1}), shell_thickness=1.5))))
        for n in (0, 1)
    )
    profile = shelled[24, 32:50] / whole[24, 32:50]  # from the middle outwards; the ball ends at 5 um
    # a line of sight that touches the dip, 3.5 um from the centre, loses most
    assert (np.argmin(profile) + 0.5) * PIXEL == pytest.approx(3.5, abs=2 * PIXEL)


def test_a_crack_runs_from_inside_the_core_through_the_surface():
    ball = Morphology(**ROUND, cracks=1, crack_width=0.5)
    whole, cracked = particle(Morphology(**ROUND)), particle(ball)
    lost = (whole.density > 0.5) & (cracked.density < 0.5)
    n = lost.shape[0] // 2
    places = (np.argwhere(lost) - n) * 0.25
    radii = np.linalg.norm(places, axis=1)
    assert radii.max() > 4.8  # the surface is at 5 um
    assert radii.min() < 0.3  # and it crosses the centre
    directions = places[radii > 2.0] / radii[radii > 2.0, None]
    assert np.linalg.matrix_rank(directions, tol=0.1 * len(directions) ** 0.5) == 2  # a plane
    outward = directions.mean(axis=0) / np.linalg.norm(directions.mean(axis=0))
    along = places @ outward
    assert (along.min(), along.max()) == pytest.approx((-1.5, 5.0), abs=0.4)  # one side only: radial, not through


def test_composition_is_the_same_everywhere():
    instrument = instrument_of(particle(Morphology(voxel=0.25, cracks=2)))
    below, above = density(instrument, 8100.0), density(instrument, 8900.0)  # too far from the edge for valence to tell
    inside = below > 0.1
    ratio = above[inside] / below[inside]
    assert ratio.std() / ratio.mean() < 1e-3  # pixels at the surface average transmissions, not densities


@pytest.mark.parametrize("element", ["Mn", "Co", "Ni"])
def test_each_metal_follows_the_charge_first_and_hardly_on_the_plateau(element):
    """The edge of each metal moves in the images as its valence does; on the plateau oxygen gives the charge."""
    profile = ((0.0, {"Mn": 3.7, "Co": 3.5, "Ni": 3.6}[element]), (9.0, {"Mn": 3.7, "Co": 3.5, "Ni": 3.6}[element]))
    instrument = instrument_of(particle(Morphology(voxel=0.5), {element: profile}), (element,))
    energy = EDGES[element] + {"Mn": 13.0, "Co": 11.5, "Ni": 11.0}[element]  # on the slope of the edge
    pristine, plateau, charged = (
        density(instrument, energy, oxidation=oxidation(charge)).sum() for charge in (0.0, 0.42, 1.0)
    )
    assert abs(plateau - pristine) > 10 * abs(charged - plateau) > 0


def test_valence_against_depth_is_a_gradient_in_the_image():
    """A shell of Ni 2+ about a core of Ni 3+: at 8343 eV a line of sight through the shell absorbs more per length."""
    layered = particle(Morphology(**(ROUND | {"voxel": 0.1})), {"Ni": ((0.0, 2.0), (1.0, 2.0), (1.1, 3.0), (5.0, 3.0))})
    instrument = instrument_of(layered)
    edge, far = density(instrument, 8343.0), density(instrument, 8800.0)
    middle, rim = (
        edge[24, column] / far[24, column] for column in (32, 32 + 18)
    )  # 4.6 um beside the middle there is nothing but shell
    mu = material("Ni")
    assert rim == pytest.approx(mu.basis(8343.0)[0] / mu.basis(8800.0)[0], rel=0.01)
    mixed = 0.2 * mu.basis(8343.0)[0] + 0.8 * mu.basis(8343.0)[1]  # 1 um of shell on either side of 8 um of core
    assert middle == pytest.approx(mixed / mu.basis(8800.0)[0], rel=0.01)


def test_volumes_of_the_user_are_imaged(tmp_path):
    density_of = np.zeros((21, 21, 21), np.float32)
    density_of[8:13, 6:15, 8:13] = 0.5  # z, y, x: 9 voxels of half density along the beam
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["density"], file["valence"] = density_of, np.where(density_of > 0, 2.0, np.nan).astype(np.float32)
        file.attrs["voxel_um"] = 0.5
    settings = {"volumes": "mine.h5", "shape": [48, 64], "pixel_size": 250.0}
    image = density(build(Simulation.from_dict(settings, folder=tmp_path)).instrument)
    assert at(image, 0.0, 0.0) == pytest.approx(9 * 0.5 * 0.5 * material("Ni").basis(8800.0)[0], rel=1e-3)
    assert at(image, 3.0, 0.0) == pytest.approx(0.0, abs=1e-3)
