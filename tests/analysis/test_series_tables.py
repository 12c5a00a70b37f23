"""A table of one column per spectrum becomes a series, as files one by one do."""

import numpy as np
import pytest

from analysis.edge_series import edge_positions
from analysis.series_tables import read_spectra_table
from analysis.spectra import Normalisation

ENERGY = np.arange(7000.0, 7300.0, 1.0)
EDGES = 7120.0 + np.array([0.0, 1.5, 3.0])
SPECTRA = 0.5 + np.arctan((ENERGY - EDGES[:, None]) / 1.5) / np.pi


def written(path, *columns, header):
    np.savetxt(path, np.column_stack(columns), header=header, delimiter=",", comments="", fmt="%.8g")
    return path


def test_each_column_is_a_spectrum_of_its_time(tmp_path):
    path = written(tmp_path / "a.csv", ENERGY[::-1] / 1000, *SPECTRA[:, ::-1], header="Energy (keV),OCV,3.9 V,4.3 V")
    series = read_spectra_table(path, times=[0.0, 60.0, 120.0])
    assert series.names == ("OCV", "3.9 V", "4.3 V")
    found = edge_positions(
        series, element="Fe", align=False, normalisation=Normalisation(pre=(7000, 7090), post=(7170, 7290), e0=7120)
    )
    # The lines through an arctangent that has not settled move its half height by up to 0.1 eV, all alike.
    np.testing.assert_allclose(np.diff(found.energy), 1.5, atol=0.02)


def test_as_many_times_as_spectra_are_needed(tmp_path):
    path = written(tmp_path / "a.csv", ENERGY, *SPECTRA, header="energy,a,b,c")
    with pytest.raises(ValueError, match=r"times have shape \(2,\); 3 spectra need as many that rise"):
        read_spectra_table(path, times=[0.0, 60.0])
