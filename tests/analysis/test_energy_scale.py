"""Two energy scales are compared only when a foil says how they lie."""

import numpy as np
import pytest

from analysis.energy_scale import FOIL_SCALES, EnergyScale, EnergyShift, ScaleError, align, require_same_scale
from analysis.spectra import Spectrum

NOMINAL = EnergyScale("nominal", "Ni", 8331.4)


def spectrum(scale):
    return Spectrum(np.arange(8300.0, 8320.0), np.ones(20), name="NiO", element="Ni", scale=scale)


def test_one_foil_at_one_energy_is_one_scale():
    assert FOIL_SCALES["Ni"].agrees_with(EnergyScale("another beamline", "Ni", 8333.04))
    assert not FOIL_SCALES["Ni"].agrees_with(EnergyScale("another beamline", "Ni", 8333.16))


def test_a_scale_without_foil_agrees_with_itself_only():
    fxi = EnergyScale("FXI")
    assert fxi.agrees_with(EnergyScale("FXI"))
    assert not fxi.agrees_with(EnergyScale("SSRL"))


def test_missing_scale_is_refused():
    with pytest.raises(ScaleError, match="sample has no energy scale"):
        require_same_scale({"reference": FOIL_SCALES["Ni"], "sample": None})


def test_known_foils_tell_the_shift():
    with pytest.raises(ScaleError, match=r"add \+1\.600 eV to sample with align\(spectrum, to=scale\)"):
        require_same_scale({"reference": FOIL_SCALES["Ni"], "sample": NOMINAL})


def test_aligned_spectra_share_a_scale():
    moved = align(spectrum(NOMINAL), to=FOIL_SCALES["Ni"])
    assert moved.energy[0] == pytest.approx(8301.6)
    require_same_scale({"moved": moved.scale, "reference": FOIL_SCALES["Ni"]})


def test_a_measured_shift_moves_a_spectrum_of_unknown_scale():
    moved = align(spectrum(None), EnergyShift(-0.25, 0.01, FOIL_SCALES["Ni"], "foil"))
    assert moved.energy[0] == 8299.75
    assert moved.scale == FOIL_SCALES["Ni"]


def test_without_foil_there_is_no_way_across():
    with pytest.raises(ScaleError, match="both need a foil of one element"):
        align(spectrum(EnergyScale("FXI")), to=FOIL_SCALES["Ni"])


def test_the_foil_of_another_element_does_not_fix_this_axis():
    """An error of the angle that is 1 eV at nickel is 0.7 eV at iron."""
    with pytest.raises(ScaleError, match="NiO is of Ni but the foil of Fe"):
        align(spectrum(None), EnergyShift(1.0, 0.01, FOIL_SCALES["Fe"], "foil"))
