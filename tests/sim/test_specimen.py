"""The particle is what it says: depth, density, valence, and their projections."""

import h5py
import numpy as np
import pytest

from sim.morphology import Morphology
from sim.projection import Projector, imaging_matrix
from sim.specimen import SpecimenError, depth_profile, from_file, mixing_weights, particle

COARSE = Morphology(voxel=0.25)


def projector(specimen):
    return Projector(specimen.density, specimen.valence("Ni"), specimen.voxel, (2.0, 3.0))


def test_volume_is_that_of_the_ball():
    ball = particle(Morphology(voxel=0.25, flattening=0.0, density_dip=0.0))
    # anti-aliased surface: 0.5 % of a ball 40 voxels across
    assert ball.density.sum() * 0.25**3 == pytest.approx(4 / 3 * np.pi * 5.0**3, rel=5e-3)


def test_valence_profile_is_the_one_asked_for():
    specimen = particle(COARSE)
    centres = np.arange(0.5, 4.5, 0.5)
    mean, _ = depth_profile(specimen, "Ni", np.append(centres - 0.25, centres[-1] + 0.25))
    # the mean over a shell differs from the value at its middle by its curvature only
    np.testing.assert_allclose(mean, COARSE.valence_at(centres), atol=0.03)


def test_shells_show_in_the_density():
    assert COARSE.density_at(0.8) == pytest.approx(0.75, abs=0.01)
    assert COARSE.density_at(4.5) == pytest.approx(1.0, abs=1e-3)


def test_weights_mix_neighbouring_references():
    weights = mixing_weights(np.array([2.0, 2.25, 3.5], np.float32), [2, 3, 4])
    np.testing.assert_allclose(weights.T, [[1, 0, 0], [0.75, 0.25, 0], [0, 0.5, 0.5]], atol=1e-6)


def test_valence_beyond_the_references_is_refused():
    with pytest.raises(ValueError, match=r"valence 1.900..2.000 is outside 2..3"):
        mixing_weights(np.array([1.9, 2.0], np.float32), [2, 3])


@pytest.mark.parametrize("angle", [0.0, 17.0, 90.0])
def test_projection_keeps_the_mass(angle):
    specimen = particle(COARSE)
    projected = projector(specimen).at(angle).sum(dtype=float) * COARSE.voxel**2
    assert projected == pytest.approx(specimen.density.sum(dtype=float) * COARSE.voxel**3, rel=1e-5)


def test_projection_at_zero_and_ninety_degrees_sums_along_the_beam():
    specimen = particle(COARSE)
    project = projector(specimen)
    np.testing.assert_allclose(project.at(0.0).sum(0), specimen.density.sum(1) * 0.25, atol=1e-4)
    np.testing.assert_allclose(project.at(90.0).sum(0), specimen.density.sum(2) * 0.25, atol=1e-4)


def test_imaging_keeps_a_uniform_object_uniform():
    matrix = imaging_matrix(8, 0.3, 101, 0.1, 0.0, 0.05)
    np.testing.assert_allclose(matrix.sum(1), 1.0, atol=1e-5)


def test_imaging_shifts_and_magnifies():
    pixels = np.arange(200) - 99.5
    for pixel, shift in ((0.1, 0.0), (0.1, 1.25), (0.05, -0.7)):
        spot = imaging_matrix(200, pixel, 101, 0.1, shift, 0.2)[:, 50]
        assert (spot * pixels).sum() / spot.sum() * pixel == pytest.approx(shift, abs=1e-3)


def test_several_particles_stand_where_they_are_put():
    pair = Morphology(
        voxel=0.25, particles=((-4.0, 0.0, 1.0, 2.0), (3.0, 1.0, 0.0, 1.5)), flattening=0.0, density_dip=0.0
    )
    specimen = particle(pair)
    # two balls of 2 and 1.5 um; anti-aliased surfaces: 2 %
    assert specimen.density.sum() * 0.25**3 == pytest.approx(4 / 3 * np.pi * (8 + 1.5**3), rel=0.02)
    n = specimen.density.shape[0] // 2
    assert specimen.depth[n + 4, n, n - 16] == pytest.approx(2.0, abs=1e-5)  # the centre of the first


def test_cracks_take_material_away_and_leave_the_valence():
    whole, cracked = particle(COARSE), particle(Morphology(voxel=0.25, cracks=3))
    lost = 1 - cracked.density.sum() / whole.density.sum()
    assert 0.01 < lost < 0.15
    np.testing.assert_array_equal(whole.valence("Ni"), cracked.valence("Ni"))


def test_volumes_of_the_user_are_read(tmp_path):
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file["density"], file["valence"] = np.ones((4, 4, 4)), np.full((4, 4, 4), 2.5)
        file.attrs["voxel_um"] = 0.5
    specimen = from_file(path, ["Ni"])
    assert specimen.voxel == 0.5
    assert specimen.valence("Ni").mean() == 2.5


@pytest.mark.parametrize(
    ("missing", "message"), [("voxel_um", "voxel_um is missing"), ("density", "no volume 'density'")]
)
def test_incomplete_volumes_are_refused(tmp_path, missing, message):
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        if missing != "density":
            file["density"] = np.ones((4, 4, 4))
        file["valence"] = np.ones((4, 4, 4))
        if missing != "voxel_um":
            file.attrs["voxel_um"] = 0.5
    with pytest.raises(SpecimenError, match=message):
        from_file(path, ["Ni"])


def test_a_truncated_file_of_volumes_is_named(tmp_path):
    path = tmp_path / "broken.h5"
    path.write_bytes(b"\x89HDF")
    with pytest.raises(SpecimenError, match=r"broken\.h5"):
        from_file(path, ["Ni"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": -1.0}, "radius -1.0 um must be positive"),
        ({"voxel": 0.001}, "voxel 0.001 um is below"),
        ({"valence": ((1.0, 2.0), (0.5, 3.0))}, "not at least two, increasing"),
    ],
)
def test_impossible_particles_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Morphology(**settings)
