"""Particles are found, told apart and measured; depth is the distance below the surface whatever its direction."""

import numpy as np
import pytest

from analysis.morphology import MorphologyError, bounding_box, depth, label_particles, particle_mask


def ball(size, radius, centre=None):
    z, y, x = np.indices((size,) * 3, dtype=np.float32)
    cz, cy, cx = ((size - 1) / 2,) * 3 if centre is None else centre
    return np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) - radius


def test_depth_in_a_ball_is_radius_less_distance():
    below = -ball(72, 30.3)
    found = depth(below > 0, voxel_size=0.1)
    deviation = (found / 0.1 - below)[below > 0]
    assert abs(deviation.mean()) < 0.05
    assert np.abs(deviation).max() < 0.7  # within a voxel's half diagonal everywhere


def test_depth_in_a_slab_counts_layers():
    slab = np.zeros((20, 12, 12), bool)
    slab[5:15] = True
    found = depth(slab)[:, 6, 6]
    np.testing.assert_allclose(found[5:10], [0.57, 1.7, 2.75, 3.79, 4.81], atol=0.01)
    assert found[5] == found[14]
    assert found[4] == 0


def test_a_particle_cut_by_the_field_goes_on_beyond_it():
    slab = np.ones((20, 8, 8), bool)
    slab[15:] = False
    assert depth(slab)[0, 4, 4] == pytest.approx(15, abs=0.2)
    assert depth(slab, border_is_surface=True)[0, 4, 4] < 1


def test_touching_particles_have_a_surface_between_them():
    labels = np.zeros((12, 12, 24), np.uint8)
    labels[2:10, 2:10, 2:12], labels[2:10, 2:10, 12:22] = 1, 2
    assert depth(labels)[6, 6, 11] < 1 < depth(labels > 0)[6, 6, 11]


def test_particles_are_measured_largest_first():
    size = 64
    mask = (ball(size, 12.0, (20, 20, 20)) < 0) | (ball(size, 7.0, (46, 40, 44)) < 0)
    mask[:3, 60:, 60:] = True
    found = label_particles(mask, voxel_size=0.5, smallest=5.0)
    np.testing.assert_allclose(found.diameter[:2], [12.0, 7.0], rtol=0.02)  # 2 % is the grid
    np.testing.assert_allclose(found.centre[0], [10.0, 10.0, 10.0], atol=0.01)
    np.testing.assert_allclose(found.centre[1], [23.0, 20.0, 22.0], atol=0.01)
    assert found.cut.tolist() == [False, False] or found.cut.tolist() == [False, False, True]
    assert found.labels[20, 20, 20] == 1
    assert found.labels[46, 40, 44] == 2
    assert found.volume.size == np.unique(found.labels).size - 1


def test_particles_that_touch_are_told_apart_at_their_neck():
    mask = (ball(48, 10.0, (24, 24, 14)) < 0) | (ball(48, 9.0, (24, 24, 31)) < 0)
    mask[2:4, 2:4, 2:40] = True  # a thin whisker, without a core
    assert label_particles(mask).volume.size == 2
    found = label_particles(mask, neck=12.0)
    assert found.volume.size == 3
    np.testing.assert_allclose(found.diameter[:2], [20, 18], rtol=0.03)
    assert found.labels[24, 24, 14] == 1
    assert found.labels[24, 24, 31] == 2


def test_three_values_separate_into_particle_and_rest():
    """Air 0, binder 0.2, oxide 1, with noise of 0.2: the particle is the oxide."""
    below = -ball(64, 20.0)
    rng = np.random.default_rng(0)
    volume = np.where(below > 0, 1.0, np.where(below > -8, 0.2, 0.0)) + rng.normal(0, 0.2, below.shape)
    found = particle_mask(volume)
    wrong = np.count_nonzero(found != (below > 0))
    assert wrong / np.count_nonzero(np.abs(below) < 0.5) < 0.5  # less than half of the surface layer


def test_bad_volumes_are_refused():
    with pytest.raises(MorphologyError, match="1 of 64 voxels that are not finite"):
        particle_mask(np.where(np.arange(64).reshape(4, 4, 4) == 7, np.nan, 1.0))
    with pytest.raises(MorphologyError, match=r"no contrast: all voxels are 2\.0"):
        particle_mask(np.full((4, 4, 4), 2.0))
    with pytest.raises(MorphologyError, match="mask is empty"):
        depth(np.zeros((4, 4, 4), bool))
    with pytest.raises(MorphologyError, match=r"axes \(4, 4\)"):
        label_particles(np.ones((4, 4), bool))


def test_bounding_box_has_a_margin_within_the_volume():
    mask = np.zeros((10, 10, 10), bool)
    mask[0, 4:6, 9] = True
    assert bounding_box(mask) == (slice(0, 2), slice(3, 7), slice(8, 10))
