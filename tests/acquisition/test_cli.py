"""The command line answers in words, and measured files are found by their names."""

from pathlib import Path

import numpy as np
import pytest

from acquisition.cli import main
from acquisition.demo_real import find_input, settings_for
from acquisition.errors import EdgewiseError


def spectrum(path: Path, half_height: float) -> Path:
    """Write a two-column spectrum in keV."""
    energy = np.concatenate([np.arange(8200.0, 8320, 5), np.arange(8320.0, 8380, 0.5), np.arange(8380.0, 8560, 4)])
    mu = 0.5 + np.arctan((energy - half_height) / 1.5) / np.pi
    np.savetxt(path, np.column_stack([energy / 1e3, mu]), fmt="%.6f")
    return path


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(name in shown for name in ("demo", "demo-real", "operando", "shell", "open"))


def test_a_folder_without_measured_files_is_refused_with_what_is_missing(tmp_path, capsys):
    assert main(["demo-real", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "reference spectra" in error
    assert "--spectra" in error
    assert "EC-Lab" in error


def test_a_missing_folder_is_refused_by_its_name(tmp_path, capsys):
    assert main(["demo-real", str(tmp_path / "nowhere")]) == 1
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_a_reference_without_a_valence_is_refused(tmp_path, capsys):
    assert main(["demo-real", str(tmp_path), "--reference", "NiO.xdi"]) == 1
    assert "is not FILE=VALENCE" in capsys.readouterr().err


def test_a_folder_that_is_no_session_cannot_be_opened(tmp_path, capsys):
    assert main(["open", str(tmp_path)]) == 1
    assert "holds no beamline.toml" in capsys.readouterr().err


def test_an_unknown_beamline_is_refused_with_those_there_are(tmp_path, capsys):
    assert main(["shell", "nowhere", "--output", str(tmp_path)]) == 1
    assert "there are: " in capsys.readouterr().err


def test_a_truncated_cell_file_is_named(tmp_path, capsys):
    (tmp_path / "spectra").mkdir()
    broken = tmp_path / "cell.mpt"
    broken.write_text("EC-Lab ASCII FILE\nNb header lines : 82\n")
    assert main(["operando", str(tmp_path / "spectra"), str(broken), "--picture", str(tmp_path / "p.png")]) == 1
    assert capsys.readouterr().err.startswith("edgewise: ")


def test_measured_files_are_found_below_a_folder(tmp_path):
    (tmp_path / "references").mkdir()
    first = spectrum(tmp_path / "references" / "some_NiO.txt", 8340.2)
    second = spectrum(tmp_path / "references" / "some_LiNiO2.txt", 8341.9)
    (tmp_path / "series").mkdir()
    for number in range(12):
        (tmp_path / "series" / f"{number:03d}.txt").write_text("# a spectrum\n")
    cell = tmp_path / "cell.mpt"
    cell.write_text("")
    found = find_input(tmp_path)
    assert found.references == ((first, 2.0), (second, 3.0))
    assert (found.spectra, found.cell) == (tmp_path / "series", (cell,))


def test_the_energies_follow_the_edges_of_the_references(tmp_path):
    low = spectrum(tmp_path / "a_NiO.txt", 8340.2)
    high = spectrum(tmp_path / "a_LiNiO2.txt", 8341.9)
    settings = settings_for([(low, 2.0), (high, 3.0)])
    near = [energy for energy in settings.energies if 8336 < energy < 8346]
    assert len(near) >= 6  # the edge is covered where these references have it, not where the built-in ones do


def test_references_of_one_valence_are_refused(tmp_path):
    low = spectrum(tmp_path / "NiO.txt", 8340.2)
    with pytest.raises(EdgewiseError, match="two of different valence"):
        settings_for([(low, 2.0)])


def test_an_unsorted_reference_is_named_with_its_line(tmp_path):
    path = tmp_path / "NiO.txt"
    path.write_text("8300 0.1\n8310 0.2\n8305 0.3\n" + "\n".join(f"{8320 + i} 1.0" for i in range(30)))
    with pytest.raises(EdgewiseError, match=r"NiO\.txt.*8305"):
        settings_for([(path, 2.0), (path, 3.0)])


def test_the_measured_nickelate_moves_as_published(measured_data, tmp_path, capsys):
    cell = sorted((measured_data / "operando_lno" / "ec").glob("*.mpt"))
    archive = measured_data / "operando_lno" / "xas_position1.tar.xz"
    picture = tmp_path / "operando.png"
    assert main(["operando", str(archive), *map(str, cell), "--picture", str(picture)]) == 0
    shown = capsys.readouterr().out
    numbers = {line.split("│")[1].strip(): line.split("│")[2].split()[0] for line in shown.splitlines() if "│" in line}
    assert float(numbers["start of the first charge"]) == pytest.approx(8344.8, abs=0.05)
    assert float(numbers["shift over the first charge"]) == pytest.approx(1.40, abs=0.1)
    assert float(numbers["left after the discharge"]) == pytest.approx(0.29, abs=0.1)
    assert float(numbers["correlation with charge, first cycle"]) > 0.95
    assert picture.read_bytes().startswith(b"\x89PNG")
