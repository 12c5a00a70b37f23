"""EC-Lab exports of any language, technique and order of columns are read alike; damage is named."""

from datetime import datetime

import numpy as np
import pytest

from analysis.clocks import parse_clock
from analysis.eclab import read_eclab_file
from analysis.text_tables import FileFormatError

COLUMNS = ("mode", "Ns", "time/s", "<I>/mA", "Ewe/V", "(Q-Qo)/mA.h")
ROWS = [(3, 0, 0.0, 0.0, 3.5, 0.0), (1, 1, 3600.0, 0.5, 3.9, 0.5), (1, 1, 7200.0, 0.5, 4.2, 1.0)]


def export(
    path, *, columns=COLUMNS, rows=ROWS, comma=True, started="07/26/2022 22:38:30.190", mass="7,000 mg", end="\r\n"
):
    """Write an .mpt file as EC-Lab does."""
    header = ["EC-Lab ASCII FILE", "Nb header lines : 8", "", "Galvanostatic Cycling", ""]
    header += [f"Acquisition started on : {started}", f"Mass of active material : {mass}"]
    body = ["\t".join(value if isinstance(value, str) else f"{value:.15E}" for value in row) for row in rows]
    text = "\r\n".join([*header, "\t".join(columns), *body]) + end
    path.write_bytes(
        (text.replace(".", ",") if comma else text).replace(started.replace(".", ","), started).encode("latin-1")
    )
    return path


def test_decimal_commas_and_points_give_the_same(tmp_path):
    comma = read_eclab_file(export(tmp_path / "fr.mpt"))
    point = read_eclab_file(export(tmp_path / "en.mpt", comma=False))
    np.testing.assert_array_equal(comma.potential, point.potential)
    assert comma.started == datetime(2022, 7, 26, 22, 38, 30, 190000)
    assert comma.mass_mg == 7.0
    assert comma.technique == "Galvanostatic Cycling"


def test_columns_in_another_order_with_others_between(tmp_path):
    order = (5, 2, 0, 4, 3, 1)
    columns = [COLUMNS[i] for i in order]
    rows = [[row[i] for i in order] for row in ROWS]
    read = read_eclab_file(export(tmp_path / "a.mpt", columns=columns, rows=rows))
    np.testing.assert_array_equal(read.charge, [0, 0.5, 1.0])
    np.testing.assert_array_equal(read.sequence, [0, 1, 1])


def test_charge_follows_from_the_current_when_no_column_has_it(tmp_path):
    rows = [row[:5] for row in ROWS]
    read = read_eclab_file(export(tmp_path / "a.mpt", columns=COLUMNS[:5], rows=rows))
    np.testing.assert_allclose(read.charge, [0, 0.5, 1.0])


def test_a_charge_that_is_counted_anew_in_each_loop_goes_on(tmp_path):
    """A loop of linked techniques sets the counter back; at rest, or against the current, nothing else can."""
    hours = 0.1 * np.arange(30)
    counted = np.tile([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.45, 0.4, 0.35], 3)  # ends a loop at 0.35, begins at 0
    current = np.tile([0, 1, 1, 1, 1, 1, 0, -0.5, -0.5, -0.5], 3)
    rows = [(1, 0, 3600 * h, i, 3.7, q) for h, i, q in zip(hours, current, counted, strict=True)]
    read = read_eclab_file(export(tmp_path / "a.mpt", rows=rows, comma=False))
    np.testing.assert_allclose(read.charge[[9, 10, 19, 20, 29]], [0.35, 0.35, 0.7, 0.7, 1.05])
    assert "charge counted anew 2 times, first at row 11" in read.notes[0]


def test_a_charge_that_falls_by_its_current_is_not_counted_anew(tmp_path):
    rows = [(1, 0, 3600.0 * k, i, 3.7, q) for k, (i, q) in enumerate([(0, 0), (1, 1), (-0.9, 0.1), (-0.9, -0.8)])]
    read = read_eclab_file(export(tmp_path / "a.mpt", rows=rows, comma=False))
    np.testing.assert_allclose(read.charge, [0, 1, 0.1, -0.8])
    assert read.notes == ()


def test_averaged_potentials_empty_fields_and_tabs_at_the_end_are_understood(tmp_path):
    columns, rows = ("time/s", "<Ewe/V>", "<I>/mA", "cycle number\t"), [(0.0, 3.5, 0.0, ""), (9.0, 3.6, 0.1, "\t")]
    read = read_eclab_file(export(tmp_path / "a.mpt", columns=columns, rows=rows))
    np.testing.assert_allclose(read.potential, [3.5, 3.6])


def test_rows_with_dates_tell_the_start_that_the_header_does_not(tmp_path):
    path = tmp_path / "a.mpt"
    path.write_text("\ntime/s\tEwe/V\n07/26/2022 22:38:31.5\t3.5\n07/26/2022 22:38:41.5\t3.6\n")
    read = read_eclab_file(path)
    assert read.started == datetime(2022, 7, 26, 22, 38, 31, 500000)
    np.testing.assert_allclose(read.elapsed, [0, 10])


def test_open_circuit_has_no_current_and_says_so(tmp_path):
    columns, rows = ("mode", "time/s", "Ewe/V"), [(3, 0.0, 3.5), (3, 10.0, 3.49)]
    read = read_eclab_file(export(tmp_path / "ocv.mpt", columns=columns, rows=rows))
    assert not read.current.any()
    assert "open circuit" in read.notes[0]


def test_units_are_converted(tmp_path):
    columns = ("time/s", "I/A", "Ecell/V", "(Q-Qo)/C")
    rows = [(0.0, 0.0, 3.5, 0.0), (3600.0, 5e-4, 3.9, 1.8)]
    read = read_eclab_file(export(tmp_path / "a.mpt", columns=columns, rows=rows))
    np.testing.assert_allclose([read.current[1], read.charge[1]], [0.5, 0.5])


def test_absolute_times_become_elapsed(tmp_path):
    rows = [(3, 0, "07/26/2022 22:38:31.190", 0.0, 3.5, 0.0), (1, 1, "07/26/2022 22:39:30.190", 0.5, 3.9, 0.5)]
    read = read_eclab_file(export(tmp_path / "a.mpt", rows=rows, comma=False))
    np.testing.assert_allclose(read.elapsed, [1.0, 60.0])


@pytest.mark.parametrize("end", ["\r\n1,0\t1,0\t9000,0", "\r\n1,0\t1,0\t9E3\t0,5\t4,3\t1,2E+0"])
def test_half_a_last_line_is_refused_or_dropped(tmp_path, end):
    path = export(tmp_path / "a.mpt", end=end)
    with pytest.raises(FileFormatError, match=r"a\.mpt line 12: .*incomplete_last_line='drop'"):
        read_eclab_file(path)
    kept = read_eclab_file(path, incomplete_last_line="drop")
    assert kept.elapsed.size == 3
    assert "left out" in kept.notes[0]


def test_a_word_among_numbers_is_named(tmp_path):
    rows = [ROWS[0], (1, 1, 3600.0, "XXX", 3.9, 0.5), ROWS[2]]
    with pytest.raises(FileFormatError, match=r"a\.mpt line 10: 'XXX' is not a number"):
        read_eclab_file(export(tmp_path / "a.mpt", rows=rows))


def test_a_value_that_is_not_finite_is_named(tmp_path):
    rows = [ROWS[0], (1, 1, 3600.0, 0.5, "nan", 0.5), ROWS[2]]
    with pytest.raises(FileFormatError, match=r"a\.mpt line 10: Ewe/V nan is not finite"):
        read_eclab_file(export(tmp_path / "a.mpt", rows=rows))


def test_time_that_goes_back_is_named(tmp_path):
    with pytest.raises(FileFormatError, match=r"line 11: time goes back from 7200\.000 to 3600\.000 s"):
        read_eclab_file(export(tmp_path / "a.mpt", rows=[ROWS[0], ROWS[2], ROWS[1]]))


def test_a_file_that_ends_in_its_header_is_refused(tmp_path):
    path = export(tmp_path / "a.mpt")
    path.write_bytes(b"\r\n".join(path.read_bytes().splitlines()[:6]))
    with pytest.raises(FileFormatError, match="ends at line 6, within its header of 8 lines"):
        read_eclab_file(path)


def test_a_binary_file_of_eclab_is_told(tmp_path):
    (tmp_path / "a.mpr").write_bytes(b"BIO-LOGIC MODULAR FILE\x1a\0\0")
    with pytest.raises(FileFormatError, match=r"binary file of EC-Lab \(\.mpr\): export it there as text"):
        read_eclab_file(tmp_path / "a.mpr")


def test_another_file_is_not_taken_for_eclab(tmp_path):
    (tmp_path / "a.mpt").write_text("energy mu\n1 2\n")
    with pytest.raises(FileFormatError, match="line 1: neither an EC-Lab header nor its columns"):
        read_eclab_file(tmp_path / "a.mpt")


@pytest.mark.parametrize(
    ("text", "day_first", "expected"),
    [
        ("03/04/2022 05:06:07", False, datetime(2022, 3, 4, 5, 6, 7)),
        ("03/04/2022 05:06:07", True, datetime(2022, 4, 3, 5, 6, 7)),
        ("26.07.2022 05:06:07.5", False, datetime(2022, 7, 26, 5, 6, 7, 500000)),
        ("2022-07-26 05:06:07", False, datetime(2022, 7, 26, 5, 6, 7)),
        ("yesterday", False, None),
    ],
)
def test_clocks(text, day_first, expected):
    assert parse_clock(text, day_first=day_first) == expected
