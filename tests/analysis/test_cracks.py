"""Cracks of a phantom with known ones are found, with their volume and direction; a whole particle has none."""

import numpy as np
import pytest

from analysis.cracks import envelope, segment_cracks
from analysis.morphology import MorphologyError

SIZE, RADIUS = 96, 40.0


def grid():
    return np.indices((SIZE,) * 3, dtype=np.float32) - (SIZE - 1) / 2


def particle():
    z, y, x = grid()
    return np.sqrt(z**2 + y**2 + x**2) < RADIUS


def radial_cracks():
    """Five plates of 3 voxels from near the middle to near the surface."""
    z, y, x = grid()
    found = np.zeros(z.shape, bool)
    for turn in np.arange(5) * 2 * np.pi / 5 + 0.3:
        along, across = np.cos(turn) * x + np.sin(turn) * y, -np.sin(turn) * x + np.cos(turn) * y
        found |= (np.abs(across) < 1.5) & (along > 8) & (np.hypot(along, z) < 36) & (np.abs(z) < 20)
    return found


def shell_crack():
    """A gap of 3 voxels along a shell, over a third of it."""
    z, y, x = grid()
    distance = np.sqrt(z**2 + y**2 + x**2)
    return (np.abs(distance - 25) < 1.5) & (z > 8)


def noisy(solid, level, seed=0):
    return solid + level * np.random.default_rng(seed).standard_normal(solid.shape)


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_clean_cracks_are_found_to_the_voxel():
    whole, crack = particle(), radial_cracks()
    found = segment_cracks((whole & ~crack).astype(float), closing_radius=4.0, smooth=0)
    assert dice(found.mask, crack) > 0.99


def test_noisy_cracks_are_found():
    """Noise of a quarter of the contrast, as of a voxel at jump/noise 4."""
    whole, crack = particle(), radial_cracks()
    found = segment_cracks(noisy(whole & ~crack, 0.25), closing_radius=4.0)
    assert dice(found.mask, crack) > 0.95
    truth = np.count_nonzero(crack) / np.count_nonzero(whole)
    assert found.fraction == pytest.approx(truth, abs=2 * found.fraction_sigma)
    assert found.fraction_sigma < 0.2 * truth


@pytest.mark.parametrize(("make", "low", "high"), [(radial_cracks, -0.5, -0.4), (shell_crack, 0.7, 1.0)])
def test_direction_tells_inward_from_along_the_surface(make, low, high):
    found = segment_cracks(noisy(particle() & ~make(), 0.1), closing_radius=4.0)
    used = found.profile.fraction > 0.05
    assert used.any()
    order = np.average(found.profile.order[used], weights=found.profile.fraction[used])
    assert low <= order <= high


def test_profile_says_where_the_cracks_are():
    found = segment_cracks(noisy(particle() & ~shell_crack(), 0.1), closing_radius=4.0, edges=[0, 12, 18, 40])
    at = np.argmax(found.profile.fraction)
    assert at == 1  # the gap lies 13.5 to 16.5 voxels deep
    assert found.profile.fraction[0] < 0.01


def test_a_whole_particle_has_no_cracks():
    found = segment_cracks(noisy(particle(), 0.25), closing_radius=4.0)
    assert found.fraction < 2e-4
    assert np.isnan(found.profile.order).all() or found.volume.sum() < 60


def test_sizes_scale_with_the_voxel():
    volume = (particle() & ~radial_cracks()).astype(float)
    found = segment_cracks(volume, closing_radius=0.2, voxel_size=0.05, smooth=0)
    voxels = segment_cracks(volume, closing_radius=4.0, smooth=0)
    assert found.volume.sum() == pytest.approx(voxels.volume.sum() * 0.05**3)
    assert found.depth.max() == pytest.approx(voxels.depth.max() * 0.05)


def test_envelope_closes_gaps_up_to_twice_its_radius():
    slab = np.zeros((30, 20, 20), bool)
    slab[5:25, 3:17, 3:17] = True
    slab[13:17, :, :10] = False
    assert envelope(slab, 2.5)[15, 10, 6]
    assert not envelope(slab, 1.0)[15, 10, 6]


def test_without_particle_or_contrast_there_is_an_error():
    with pytest.raises(MorphologyError, match="no contrast"):
        segment_cracks(np.zeros((8, 8, 8)), closing_radius=2.0)
    whole = particle()
    with pytest.raises(MorphologyError, match="not brighter than what surrounds it"):
        segment_cracks((~whole).astype(float), closing_radius=2.0, mask=whole)
    with pytest.raises(MorphologyError, match="voxels that are not finite"):
        segment_cracks(np.where(whole, np.nan, 0.0), whole, closing_radius=2.0)
