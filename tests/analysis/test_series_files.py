"""A folder or an archive of spectra becomes one series in the order of time, or the damaged file is named."""

import tarfile

import numpy as np
import pytest

from analysis.series_files import read_spectra_folder
from analysis.text_tables import FileFormatError

ENERGY = np.arange(8300.0, 8400.0, 5.0)
HEADER = """# Time at start=2022-07-26 23:{minute:02d}:00.500
#Time from start (seconds)=30.5
# E0_pivot = 8349.6
# pre-edge range: [8300.0, 8320.0]
# post-edge range: [8370.0, 8395.0]
# I jump at E0_pivot = 0.8
# shifted energy\tnormalized\treference
"""


def spectrum(path, minute, *, energy=ENERGY, level=0.0):
    rows = [f"  {e:.4f}  {level + i:.6g}   {2.0 * i:.6g}" for i, e in enumerate(energy)]
    path.write_text(HEADER.format(minute=minute) + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scans").mkdir()
    for name, minute in (("b.txt", 10), ("a.txt", 50), ("c.txt", 30)):
        spectrum(tmp_path / "scans" / name, minute, level=minute)
    return tmp_path / "scans"


def test_spectra_come_in_the_order_of_time(folder):
    series = read_spectra_folder(folder)
    assert series.names == ("b.txt", "c.txt", "a.txt")
    np.testing.assert_allclose(np.diff(series.time), [1200, 1200])
    np.testing.assert_array_equal(series.mu[:, 0], [10, 30, 50])
    np.testing.assert_array_equal(series.foil[0], 2 * np.arange(ENERGY.size))
    np.testing.assert_array_equal(series.jump, 0.8)


def test_header_says_how_it_was_normalised(folder):
    series = read_spectra_folder(folder)
    assert series.normalised
    assert series.normalisation.post == (8370.0, 8395.0)


def test_an_archive_reads_as_its_folder(folder, tmp_path):
    with tarfile.open(tmp_path / "scans.tar.xz", "w:xz") as archive:
        archive.add(folder, "scans")
    series, same = read_spectra_folder(tmp_path / "scans.tar.xz"), read_spectra_folder(folder)
    assert series.names == same.names
    np.testing.assert_array_equal(series.mu, same.mu)


def test_a_truncated_archive_is_named(folder, tmp_path):
    with tarfile.open(tmp_path / "scans.tar.xz", "w:xz") as archive:
        archive.add(folder, "scans")
    whole = (tmp_path / "scans.tar.xz").read_bytes()
    (tmp_path / "cut.tar.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match=r"cut\.tar\.xz is not a whole tar archive"):
        read_spectra_folder(tmp_path / "cut.tar.xz")


def test_a_truncated_spectrum_is_named(folder):
    text = (folder / "c.txt").read_text().splitlines()
    (folder / "c.txt").write_text("\n".join(text[:-3]) + "\n8385.0  1")
    with pytest.raises(FileFormatError, match=r"c\.txt line 25: 2 of 3 columns"):
        read_spectra_folder(folder)
    (folder / "c.txt").write_text("\n".join(text[:-3]) + "\n")
    with pytest.raises(FileFormatError, match=r"c\.txt has 17 energies but .*b\.txt 20"):
        read_spectra_folder(folder)


def test_another_grid_is_named(folder):
    spectrum(folder / "d.txt", 55, energy=ENERGY + 3.2)
    with pytest.raises(FileFormatError, match=r"d\.txt: energy 8303\.200 eV where the series has 8300\.000 eV"):
        read_spectra_folder(folder)


def test_a_spectrum_without_time_is_named(folder):
    (folder / "d.txt").write_text("# energy mu\n8300 1\n8301 2\n")
    with pytest.raises(FileFormatError, match=r"d\.txt: no 'Time at start'"):
        read_spectra_folder(folder)


def test_energies_as_read_back_are_brought_to_one_grid(folder):
    spectrum(folder / "d.txt", 55, energy=ENERGY + 0.2)
    series = read_spectra_folder(folder)
    np.testing.assert_array_equal(series.energy, ENERGY[1:])  # the last file begins above the first energy
    np.testing.assert_allclose(series.mu[3], np.arange(1, 20) - 0.04, atol=1e-9)  # a slope of 0.2 / eV


@pytest.mark.parametrize(
    "start",
    [
        "Scan.start_time: 2022-07-26 23:10:00",
        "Start time: 07/26/2022  23:10:00",
        "D Tue Jul 26 23:10:00 2022",
        '"LNO.001" created at APS 10ID on Tue Jul 26 23:10:00 2022 CDT',
    ],
)
def test_raw_intensities_of_other_beamlines_become_a_series(tmp_path, start):
    mu, foil = 0.5 + np.arctan(ENERGY - 8345) / np.pi, 0.5 + np.arctan(ENERGY - 8333) / np.pi
    intensities = (1e5 + 0 * mu, 1e5 * np.exp(-mu), 1e5 * np.exp(-mu - foil), 3e4 * mu)
    columns = np.column_stack([ENERGY, *intensities])[::-1]
    np.savetxt(tmp_path / "a.dat", columns, header=f"{start}\nenergy i0 it ir iff")
    series = read_spectra_folder(tmp_path)
    np.testing.assert_allclose(series.mu[0], mu)
    np.testing.assert_allclose(series.foil[0], foil)
    assert series.time[0] == np.datetime64("2022-07-26T23:10:00").astype(float)
    assert not series.normalised
    np.testing.assert_allclose(read_spectra_folder(tmp_path, signal="fluorescence").mu[0], 0.3 * mu)


def test_scans_may_be_numbered_by_their_suffix(folder):
    (folder / "b.txt").rename(folder / "lno.017")
    (folder / "notes.md").write_text("none of the series")
    assert set(read_spectra_folder(folder).names) == {"a.txt", "c.txt", "lno.017"}


def test_times_can_be_given(folder):
    (folder / "0.txt").write_text("# energy mu\n" + "\n".join(f"{e} 1" for e in ENERGY))
    with pytest.raises(FileFormatError, match=r"0\.txt: no 'Time at start' .* give times= for all files"):
        read_spectra_folder(folder)
    series = read_spectra_folder(folder, times=[40.0, 30.0, 20.0, 10.0])
    assert series.names == ("c.txt", "b.txt", "a.txt", "0.txt")
    with pytest.raises(ValueError, match=r"times have shape \(2,\); 4 files need as many"):
        read_spectra_folder(folder, times=[1.0, 2.0])


def test_a_foil_detector_without_light_costs_that_foil_only(tmp_path):
    for minute, light in ((0, 1.0), (1, 0.0)):
        columns = [ENERGY, 1e5 + 0 * ENERGY, 9e4 + 0 * ENERGY, light * (8e4 - ENERGY)]
        header = f"Scan.start_time: 2022-07-26 23:{minute:02d}:00\nenergy i0 it ir"
        np.savetxt(tmp_path / f"{minute}.dat", np.column_stack(columns), header=header)
    foil = read_spectra_folder(tmp_path).foil
    assert np.isfinite(foil[0]).all()
    assert np.isnan(foil[1]).all()


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="holds no spectrum"):
        read_spectra_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="neither a folder nor an archive"):
        read_spectra_folder(tmp_path / "nowhere")
