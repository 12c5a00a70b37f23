"""Absorption is that of the material far from the edge and that of the references at it."""

import numpy as np
import pytest
import xraydb

from sim.absorption import cell_density, mass_fractions, material, resolution_nodes, write_standards
from sim.references import HALF_HEIGHTS, ReferenceSpectrumError, measured, parametric


def crossing(reference):
    peak = int(np.argmax(reference.mu))
    return float(np.interp(0.5, reference.mu[:peak], reference.energy[:peak]))


def test_density_is_that_of_the_unit_cell():
    # Z = 4 formula units of 85.2 g/mol in 200.3 A^3 (Zhang et al., supplementary table 1)
    assert cell_density() == pytest.approx(4.234, abs=0.002)
    assert sum(mass_fractions().values()) == pytest.approx(1)


@pytest.mark.parametrize("element", ["Mn", "Co", "Ni"])
def test_parametric_references_stand_at_their_half_heights(element):
    for reference, (valence, half_height) in zip(parametric(element), HALF_HEIGHTS[element], strict=True):
        assert reference.valence == valence
        assert crossing(reference) == pytest.approx(half_height, abs=0.01)
        assert reference.at(half_height - 100) == 0
        assert reference.at(half_height + 500) == 1


@pytest.mark.parametrize("energy", [7000.0, 8000.0, 8250.0, 8800.0, 9300.0])
def test_far_from_the_edge_all_valences_absorb_as_tabulated(energy):
    matter = material("Ni")
    expected = sum(f * xraydb.mu_elam(element, energy) for element, f in mass_fractions().items())
    # xraydb is met within 0.1 %, the error of a quadratic over 1 keV
    np.testing.assert_allclose(matter.basis(energy), expected * matter.density * 1e-4, rtol=1e-3)


def test_attenuation_has_no_steps_besides_the_edge():
    energy = np.arange(7000.0, 9800.0, 0.5)
    steps = np.abs(np.diff(material("Ni").basis(energy), axis=1))
    away = np.abs(energy[1:] - 8345) > 60
    # away from the edge the jumps stay below 1 % of the edge step, Co K at 7709 eV apart
    away &= np.abs(energy[1:] - 7709) > 5
    assert steps[:, away].max() < 1e-4


def test_resolution_nodes_average_to_the_bandwidth():
    energies, weights = resolution_nodes(8333.0, 1.3e-4)
    assert weights.sum() == pytest.approx(1)
    assert np.sqrt(weights @ (energies - 8333) ** 2) * 2.3548 == pytest.approx(8333 * 1.3e-4, rel=1e-3)


def test_standards_are_broadened_and_readable(tmp_path):
    paths = write_standards(tmp_path, "Ni")
    assert [path.name for path in paths] == ["Ni_2.00.xdi", "Ni_3.00.xdi", "Ni_4.00.xdi"]
    table = np.loadtxt(paths[0])
    sharp = parametric("Ni")[0]
    difference = np.abs(table[:, 1] - sharp.at(table[:, 0])).max()
    assert 0.005 < difference < 0.1  # 1.1 eV of resolution rounds a white line 5 eV wide by a few per cent


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["8300 0", "8299 0"], r"line 2: unsorted energy 8299.0000 eV after 8300.0000 eV"),
        (["8300 0", "8300 0"], r"line 2: duplicate energy 8300"),
        (["8300 0", "8301"], r"line 2: 1 columns, expected 2"),
        (["8300 0", "83xx 0"], r"line 2: '83xx 0' is not a row of numbers"),
        (["8300 0", "8301 nan"], r"line 2: '8301 nan' is not finite"),
    ],
)
def test_bad_reference_files_are_refused_by_line(tmp_path, lines, message):
    path = tmp_path / "reference.txt"
    rest = [f"{8400 + i} {i}" for i in range(20)]
    path.write_text("\n".join(lines + rest))
    with pytest.raises(ReferenceSpectrumError, match=message):
        measured(path, "Ni", 2.0)


def test_a_reference_that_ends_early_is_refused(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("\n".join(f"{8300 + i} {i}" for i in range(20)))
    with pytest.raises(ReferenceSpectrumError, match=r"8300.0..8319.0 eV does not reach"):
        measured(path, "Ni", 2.0)


def test_measured_references_in_kev_keep_their_half_height(tmp_path):
    sharp = parametric("Ni")[0]
    energy = np.concatenate([np.arange(8200, 8320, 5.0), np.arange(8320, 8400, 0.5), np.arange(8400, 8700, 5.0)])
    path = tmp_path / "nio.txt"
    np.savetxt(path, np.column_stack([energy / 1000, 0.3 + 1e-4 * (energy - 8333) + 0.8 * sharp.at(energy)]))
    # The post-edge line of a wiggling spectrum moves the half height by less than 0.1 eV.
    assert crossing(measured(path, "Ni", 2.0)) == pytest.approx(8342.1, abs=0.1)
