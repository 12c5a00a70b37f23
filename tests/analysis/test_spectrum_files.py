"""Spectra are read from any source into eV and absorption, or refused by file, line and value."""

import numpy as np
import pytest

from analysis.energy_scale import FOIL_SCALES
from analysis.spectra import Spectrum
from analysis.spectrum_files import read_columns, read_energies, read_spectrum, read_xdi, write_xdi
from analysis.text_tables import FileFormatError

ENERGY = np.arange(8300.0, 8400.0, 2.0)
MU = 0.5 + np.arctan(ENERGY - 8340) / np.pi


def written(path, *columns, header="", form="%.6f"):
    np.savetxt(path, np.column_stack(columns), header=header, fmt=form)
    return path


def test_columns_in_kev_become_ev(tmp_path):
    read = read_spectrum(written(tmp_path / "nio.txt", ENERGY / 1000, MU))
    np.testing.assert_allclose(read.energy, ENERGY, atol=1e-3)  # six decimals of a keV
    assert read.name == "nio"


def test_columns_are_chosen_by_name(tmp_path):
    path = written(tmp_path / "a.dat", MU * 0, ENERGY, MU, header="clock energy CoO")
    np.testing.assert_allclose(read_columns(path, energy="energy", mu="CoO").mu, MU, atol=1e-6)
    with pytest.raises(FileFormatError, match=r"no column 'NiO' among \['clock', 'energy', 'CoO'\]"):
        read_columns(path, energy="energy", mu="NiO")


def test_intensities_become_absorption(tmp_path):
    path = written(tmp_path / "a.dat", ENERGY, 1e5 + 0 * MU, 1e5 * np.exp(-MU))
    np.testing.assert_allclose(read_columns(path, i0=1, transmitted=2).mu, MU, atol=1e-9)


def test_dark_ion_chamber_is_named(tmp_path):
    transmitted = 1e5 * np.exp(-MU)
    transmitted[3] = 0
    path = written(tmp_path / "a.dat", ENERGY, 1e5 + 0 * MU, transmitted)
    with pytest.raises(FileFormatError, match=r"line 4: no logarithm of column 2 / column 1 = 0 / 100000"):
        read_columns(path, i0=1, transmitted=2)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (5, 8301.0, r"line 6: energy 8301\.0000 eV is below"),
        (5, np.nan, r"line 6: energy nan is not finite"),
    ],
)
def test_energies_that_do_not_increase_are_named(tmp_path, at, value, message):
    energy = ENERGY.copy()
    energy[at] = value
    with pytest.raises(FileFormatError, match=message):
        read_spectrum(written(tmp_path / "a.dat", energy, MU))


def test_spectra_scanned_downwards_are_turned_round(tmp_path):
    read = read_spectrum(written(tmp_path / "a.dat", ENERGY[::-1], MU[::-1]))
    np.testing.assert_allclose(read.energy, ENERGY)
    np.testing.assert_allclose(read.mu, MU, atol=1e-6)


def test_an_energy_measured_twice_counts_once_with_the_mean(tmp_path):
    energy, mu = np.insert(ENERGY, 5, ENERGY[5]), np.insert(MU, 5, MU[5] + 0.2)
    read = read_spectrum(written(tmp_path / "a.dat", energy, mu))
    np.testing.assert_allclose(read.energy, ENERGY)
    assert read.mu[5] == pytest.approx(MU[5] + 0.1, abs=1e-6)


def test_two_sweeps_are_refused_unless_sorted(tmp_path):
    path = written(tmp_path / "a.dat", np.concatenate([ENERGY, ENERGY]), np.concatenate([MU, MU + 0.2]))
    with pytest.raises(FileFormatError, match=r"line 51: energy 8300\.0000 eV is below .*sort=True"):
        read_spectrum(path)
    np.testing.assert_allclose(read_spectrum(path, sort=True).mu, MU + 0.1, atol=1e-6)


@pytest.mark.parametrize(
    ("header", "order"),
    [
        ("# Athena\n#---\n#  energy norm nbkg flat", (0, 1, 2, 2)),
        ("point;Energy (eV);i0;it", (2, 0, 3, 4)),
        ("Time, Photon_Energy [eV], xmu, I0", (2, 0, 1, 3)),
        ("; recorded by hand\n; mu energy theta", (1, 0, 2)),
        ("8 scans, 50 points\nEnergy,Absorbance", (0, 1)),
        ("! 2022-07-26\n* no names", (0, 1)),
        ("#C 1_Energy (eV) 2_sec 3_i0 4_i1", (0, 2, 3, 4)),
        ("#N 4\n#L Pt_No  mono1_energy_acs  i0  it", (2, 0, 3, 4)),
        ("# Mono Energy *        Scaler preset time * I0                   I1", (0, 2, 3, 4)),
        ("# energy  requested_energy  mu\n# a remark of four words", (0, 0, 1)),
        ("# Column.1: energy eV\n# Column.2: i0\n# Column.3: itrans", (0, 3, 4)),
        ('"Energy [eV]"\t"Norm. µ(E)"\t"I0"', (0, 1, 3)),
        ("# .  Pre-edge line: 3.3 -0.0004\n#   ee        xmu       bkg", (0, 1, 2)),
        ("# Energie/eV\tnormalized absorption", (0, 1)),
    ],
)
def test_columns_are_told_by_the_names_of_many_beamlines(tmp_path, header, order):
    columns = np.column_stack([ENERGY, MU, 1e-3 * np.arange(50), 1e5 + 0 * MU, 1e5 * np.exp(-MU)])[:, order]
    separator = ";" if ";" in header and not header.startswith(";") else "\t"
    rows = "\n".join(separator.join(f"{value:.9g}" for value in row) for row in columns)
    path = tmp_path / "a.dat"
    path.write_text(f"{header}\n{rows}\n")
    read = read_spectrum(path)
    np.testing.assert_allclose(read.energy, ENERGY)
    np.testing.assert_allclose(read.mu, MU, atol=1e-6)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", r"3 columns without names; say which with read_columns\(\.\.\., energy="),
        (
            "energy mcs3 mcs4",
            r"no column is named as absorption among \['energy', 'mcs3', 'mcs4'\].*i0=\.\.\., transmitted=",
        ),
        ("energy I0 timer", "no column is named as absorption"),
        ("k chi mu", "no column is named as energy"),
    ],
)
def test_columns_that_do_not_tell_are_not_guessed(tmp_path, header, message):
    with pytest.raises(FileFormatError, match=message):
        read_spectrum(written(tmp_path / "a.dat", ENERGY, 1e5 + 0 * MU, MU, header=header))


def test_intensities_named_by_the_beamline_become_the_signal_that_is_asked_for(tmp_path):
    foil = 0.3 + np.arctan(ENERGY - 8333) / np.pi
    columns = [1e5 + 0 * MU, 1e5 * np.exp(-MU), 1e5 * np.exp(-MU - foil), 3e4 * MU]
    path = written(tmp_path / "a.dat", ENERGY, *columns, header="energy i0 it ir iff")
    currents = written(
        tmp_path / "b.dat", ENERGY, *(-1e-11 * c for c in columns), header="energy i0 it ir iff", form="%.12g"
    )
    for file in (path, currents):  # an inverting amplifier gives negative currents
        np.testing.assert_allclose(read_spectrum(file).mu, MU, atol=1e-6)
        np.testing.assert_allclose(read_spectrum(file, signal="reference").mu, foil, atol=1e-6)
        np.testing.assert_allclose(read_spectrum(file, signal="fluorescence").mu, 0.3 * MU, atol=1e-6)


def test_a_detector_of_many_elements_is_summed_when_its_columns_are_named(tmp_path):
    header = "energy I0 I1 Ni_Ka_mca1 Ni_Ka_mca2"
    path = written(tmp_path / "a.dat", ENERGY, 1e5 + 0 * MU, 9e4 + 0 * MU, 1e3 * MU, 3e3 * MU, header=header)
    with pytest.raises(FileFormatError, match="no column is named as absorption"):  # transmission may not be meant
        read_spectrum(path)
    summed = read_columns(path, i0="I0", fluorescence=["Ni_Ka_mca1", "Ni_Ka_mca2"])
    np.testing.assert_allclose(summed.mu, 0.04 * MU, atol=1e-6)


def test_a_dark_chamber_beside_a_fluorescence_detector_leads_to_it(tmp_path):
    path = written(tmp_path / "a.dat", ENERGY, 1e5 + 0 * MU, 1e3 * MU, 0 * MU, header="Energy Io FY It")
    with pytest.raises(FileFormatError, match=r"It / Io = 0 / 100000; signal='fluorescence' reads"):
        read_spectrum(path)
    np.testing.assert_allclose(read_spectrum(path, signal="fluorescence").mu, 0.01 * MU, atol=1e-6)


def test_a_chamber_that_counts_its_noise_beside_a_fluorescence_detector_is_not_taken_for_transmission(tmp_path):
    dark = np.random.default_rng(4).poisson(75, MU.size)
    path = written(tmp_path / "a.dat", ENERGY, 13500 + 2 * (ENERGY - 8300), 1e3 * MU, dark, header="Energy Io FY It")
    with pytest.raises(FileFormatError, match=r"It / Io is smooth but for noise; signal='fluorescence' reads"):
        read_spectrum(path)
    assert np.ptp(read_spectrum(path, signal="fluorescence").mu) > 0
    assert np.ptp(read_spectrum(path, signal="transmission").mu) < 1


def test_the_deviation_of_merged_scans_is_read_where_all_points_have_it(tmp_path):
    whole = written(tmp_path / "a.xmu", ENERGY, MU, 0.01 + 0 * MU, header="energy xmu stddev")
    np.testing.assert_allclose(read_spectrum(whole).sigma, 0.01)
    lacking = written(tmp_path / "b.xmu", ENERGY, MU, 0 * MU, header="energy xmu stddev")
    assert read_spectrum(lacking).sigma is None


def test_of_two_ready_signals_the_first_is_meant(tmp_path):
    header = "XDI/1.0\nColumn.1: energy eV\nColumn.2: mufluor\nColumn.3: mutrans\n///"
    path = written(tmp_path / "a.xdi", ENERGY, MU, 4 + 0 * MU, header=header)
    np.testing.assert_allclose(read_spectrum(path).mu, MU, atol=1e-6)
    assert read_spectrum(path, signal="transmission").mu == pytest.approx(4)


def test_wavenumbers_are_not_taken_for_kev(tmp_path):
    with pytest.raises(FileFormatError, match=r"50\.\.24050 eV span a factor of 481"):
        read_spectrum(written(tmp_path / "a.chi", np.arange(0.05, 24.1, 0.5), np.arange(49) % 3))


def test_energies_relative_to_an_edge_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"energy -40\.0 is not positive; it must be absolute"):
        read_spectrum(written(tmp_path / "a.dat", ENERGY - 8340, MU))


def test_an_encoder_that_jitters_is_no_second_sweep(tmp_path):
    energy = ENERGY + np.where(np.arange(50) == 20, 2.05, 0.0)  # 0.05 eV beyond the next, of 98 eV
    read = read_spectrum(written(tmp_path / "a.dat", energy, MU))
    np.testing.assert_allclose(read.energy, np.sort(energy))
    np.testing.assert_allclose(read.mu[[20, 21]], MU[[21, 20]], atol=1e-6)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_encodings_and_line_ends_of_windows_do_not_matter(tmp_path, encoding):
    rows = "\r\n".join(f"{e:.1f}\t{m:.6f}".replace(".", ",") for e, m in zip(ENERGY, MU, strict=True))
    path = tmp_path / "a.txt"
    path.write_bytes(f"Energie [eV]\tµ (20 °C)\r\n{rows}\r\n".encode(encoding))
    read = read_spectrum(path)
    np.testing.assert_allclose(read.energy, ENERGY)
    np.testing.assert_allclose(read.mu, MU, atol=1e-6)


def test_athena_tells_element_and_edge(tmp_path):
    header = "Athena data file -- Athena version 0.8.050\n.  Element=Fe   Edge=K\n  energy norm nbkg flat"
    read = read_spectrum(written(tmp_path / "a.nor", ENERGY, MU, MU, MU, header=header))
    assert (read.element, read.edge) == ("Fe", "K")


def test_xdi_columns_may_be_named_by_the_last_line_of_the_header_only(tmp_path):
    header = "XDI/1.0 Demeter\nAthena.element: Ni\n///\n---\n energy norm stddev"
    read = read_spectrum(written(tmp_path / "a.xdi", ENERGY, MU, 0 * MU, header=header))
    np.testing.assert_allclose(read.mu, MU, atol=1e-6)
    assert read.element == "Ni"


def test_decimal_commas_and_kev_are_understood(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(f"{e / 1000:.4f};{m:.6f}".replace(".", ",") for e, m in zip(ENERGY, MU, strict=True)))
    read = read_spectrum(path)
    np.testing.assert_allclose(read.energy, ENERGY, atol=1e-6)
    np.testing.assert_allclose(read.mu, MU, atol=1e-6)


def test_angles_and_intensities_are_not_taken_for_a_spectrum(tmp_path):
    angles = written(tmp_path / "a.dat", np.linspace(14.2, 13.9, 50), MU, header="theta mu")
    with pytest.raises(FileFormatError, match="no column is named as energy"):
        read_spectrum(angles)
    counts = written(tmp_path / "b.dat", ENERGY, 1e5 + 0 * MU, header="energy I0")
    with pytest.raises(FileFormatError, match="no column is named as absorption"):
        read_spectrum(counts)


def test_nan_absorption_is_named(tmp_path):
    mu = MU.copy()
    mu[7] = np.inf
    with pytest.raises(FileFormatError, match=r"line 8: absorption inf is not finite"):
        read_spectrum(written(tmp_path / "a.dat", ENERGY, mu))


def test_a_few_points_are_no_spectrum(tmp_path):
    with pytest.raises(FileFormatError, match="3 points, a spectrum needs 10"):
        read_spectrum(written(tmp_path / "a.dat", ENERGY[:3], MU[:3]))


def test_xdi_round_trip(tmp_path):
    path = tmp_path / "nio.xdi"
    given = Spectrum(ENERGY, MU, sigma=0.01 * MU, name="NiO", element="Ni", edge="K", scale=FOIL_SCALES["Ni"])
    write_xdi(path, given, extra={"Facility.name": "simulation"})
    read = read_spectrum(path)
    np.testing.assert_allclose(read.mu, MU, rtol=1e-8)  # nine digits are written
    np.testing.assert_allclose(read.sigma, 0.01 * MU, rtol=1e-8)
    assert (read.name, read.element, read.edge) == ("NiO", "Ni", "K")
    assert read.scale.agrees_with(FOIL_SCALES["Ni"])
    with pytest.raises(FileExistsError):
        write_xdi(path, given)


def test_xdi_angles_become_energies(tmp_path):
    angle = np.degrees(np.arcsin(12398.4198 / (2 * 3.1356 * ENERGY)))
    header = "XDI/1.0\nColumn.1: angle degrees\nColumn.2: mutrans\nMono.d_spacing: 3.1356\n///"
    rising = written(tmp_path / "b.xdi", angle, MU, header=header, form="%.9f")
    np.testing.assert_allclose(read_xdi(rising).energy, ENERGY, atol=1e-3)


def test_columns_of_angles_become_energies_with_the_spacing_of_the_crystal(tmp_path):
    angle = np.degrees(np.arcsin(12398.4198 / (2 * 3.13551 * ENERGY)))
    title = "9809 KEK-PF\nMono : Si(111) D= 3.13551 A\nAngle(c) Angle(o) time/s 2 3\nMode 0 0 1 2"
    path = written(
        tmp_path / "a.dat", angle, angle, 0 * MU + 1, 0 * MU + 1e5, 1e5 * np.exp(-MU), header=title, form="%.9f"
    )
    with pytest.raises(FileFormatError, match="5 columns without names"):
        read_spectrum(path)
    read = read_columns(path, energy=1, i0=3, transmitted=4, d_spacing=3.13551)
    np.testing.assert_allclose(read.energy, ENERGY, atol=1e-3)
    np.testing.assert_allclose(read.mu, MU, atol=1e-6)
    with pytest.raises(FileFormatError, match="no Bragg angle of"):
        read_columns(written(tmp_path / "b.dat", ENERGY, MU), energy=0, mu=1, d_spacing=3.13551)


def test_xdi_without_the_signal_says_what_it_has(tmp_path):
    path = written(tmp_path / "a.xdi", ENERGY, MU, header="XDI/1.0\nColumn.1: energy eV\nColumn.2: i0\n///")
    with pytest.raises(FileFormatError, match=r"no columns for transmission or fluorescence, only \['energy', 'i0'\]"):
        read_xdi(path)


def test_energy_lists_keep_their_order(tmp_path):
    path = written(tmp_path / "list.txt", [8.5, 8.2, 8.34])
    assert read_energies(path).tolist() == [8500.0, 8200.0, 8340.0]


def test_every_measured_reference_is_read(measured_data):
    folder = measured_data / "xas_references"
    spectra = [read_spectrum(path) for path in sorted(folder.glob("*")) if path.suffix in {".xdi", ".dat"}]
    assert len(spectra) == 13
    assert all(6000 < spectrum.energy[0] < spectrum.energy[-1] < 10000 for spectrum in spectra)
    assert len(read_energies(folder / "fxi_Ni_energy_list_keV.txt")) == 101
