"""Bragg's law and the zone plate give the numbers of a real microscope."""

import math

import pytest

from sim.optics import HC, SILICON_111, Condenser, OrderSortingAperture, ZonePlate, bragg_angle, bragg_energy


def test_nickel_edge_is_at_its_bragg_angle():
    # lambda = 1.48787 A at 8333 eV, sin(theta) = lambda / 2d
    assert bragg_angle(8333.0) == pytest.approx(13.7246, abs=1e-4)


def test_energies_below_the_crystal_are_refused():
    with pytest.raises(ValueError, match="1000 eV is below the 1977"):
        bragg_angle(1000)
    with pytest.raises(ValueError, match=r"outside 0\.\.90"):
        bragg_energy(0.0)
    assert bragg_energy(90.0) == pytest.approx(HC / 2 / SILICON_111)


def test_zone_plate_follows_by_five_micrometre_per_electronvolt():
    lens = ZonePlate()
    assert (lens.focus(8334.0) - lens.focus(8333.0)) * 1e3 == pytest.approx(5.09, abs=0.01)


def test_pixel_grows_as_on_a_fixed_camera():
    # SSRL 6-2C: pixel = 0.002039449 E - 0.792165 (nm); a straight line; a lens bends it by 0.3 % at Mn K.
    lens = ZonePlate()
    for energy in (6539.0, 7709.0, 8433.0):
        expected = (0.002039449 * energy - 0.792165) / (0.002039449 * 8333 - 0.792165)
        assert lens.pixel_ratio(energy) == pytest.approx(expected, rel=4e-3)


def test_out_of_focus_the_aperture_blurs():
    lens = ZonePlate()
    # 0.5 mm x NA 2.36e-3 is a disk of 1.18 um radius, 0.59 um standard deviation along an axis
    assert lens.blur(8333.0, 0.5) == pytest.approx(0.59, rel=0.01)
    assert lens.blur(8333.0, 0.0) == pytest.approx(0.0162, rel=0.01)


def test_a_camera_that_follows_keeps_the_magnification():
    lens = ZonePlate(reference_magnification=30.0)
    for energy in (6539.0, 8433.0, 8700.0):
        further = lens.focus(energy) - lens.focus(lens.reference_energy)
        camera = further * (30.0 + 1) ** 2 / 30.0
        # the lens takes its distance from the sample as f, not f (1 + 1/M): 1/M of the way, over the camera's distance
        assert lens.magnification(energy, camera=camera) == pytest.approx(30.0, rel=4e-4)


def test_a_lens_too_close_to_the_sample_magnifies_more():
    lens = ZonePlate()
    near, far = (lens.magnification(8333.0, defocus=z) for z in (-0.5, 0.5))
    f = lens.focal_length(8333.0)
    assert near / far == pytest.approx(1 + 1.0 / f, rel=0.05)  # M = q / p, and p is f to 1 / M


def test_the_condenser_spreads_its_light_with_its_cone():
    assert Condenser().spread(0.0, 10.0) == 1.0
    # 10 mm x NA 2.4e-3 = 24 um, on a spot of 10 um
    assert Condenser().spread(-10.0, 10.0) == pytest.approx(math.hypot(1.0, 2.4))


@pytest.mark.parametrize(
    ("offset", "first", "zeroth"),
    [
        (20.0, 1.0, 0.0),  # 50 um hole, 30 um cone: it just fits, and the ring begins 10 um further
        (80.0, 0.0, 5.0 * 0.0880),  # half of the hole is on the ring of 80..150 um, little less for its curvature
        (200.0, 0.0, 0.0),
    ],
)
def test_the_aperture_passes_the_first_order_and_leaks_the_zeroth_when_misplaced(offset, first, zeroth):
    passed = OrderSortingAperture().passed(offset, 0.0)
    assert passed == pytest.approx((first, zeroth), abs=1e-3)
    assert OrderSortingAperture().passed(0.0, -offset) == passed
