"""Tables of numbers come out whole, or the error names file, line and value."""

import numpy as np
import pytest

from analysis.text_tables import FileFormatError, decode, read_table


@pytest.mark.parametrize(
    "text",
    [
        "8333.0 0.5\n8334.0 1.5\n",
        "8333,0\t0,5\n8334,0\t1,5\n",
        "8333.0, 0.5\n8334.0, 1.5\n",
        "8333,0;0,5\r\n8334,0;1,5\r\n",
        "8333,0;0,5;\n8334,0;1,5;\n",
        "0.8333D+04 5.D-01\n0.8334D+04 0.15D1\n",
        "energy mu\n8333.0 0.5\n\n8334.0 1.5",
    ],
)
def test_separators_and_decimal_signs_do_not_matter(text):
    table = read_table(text.encode())
    np.testing.assert_array_equal(table.values, [[8333.0, 0.5], [8334.0, 1.5]])


def test_a_whole_number_between_commas_is_a_column_like_the_others():
    table = read_table(b"energy,mu\n8333.5,0\n8334,1\n8335,0.5\n")
    np.testing.assert_array_equal(table.values, [[8333.5, 0], [8334, 1], [8335, 0.5]])


def test_rows_know_their_line():
    table = read_table(b"# one\n\n1 2\n# between\n3 4\n")
    assert table.lines.tolist() == [3, 5]
    assert table.header == ("one", "between")


def test_half_a_last_line_is_named():
    with pytest.raises(FileFormatError, match=r"scan\.dat line 3: 1 of 2 columns: '833'"):
        read_table(b"8333 1\n8334 2\n833", source="scan.dat")


def test_a_word_among_numbers_is_named():
    with pytest.raises(FileFormatError, match=r"scan\.dat line 2: 'beam' is not a number"):
        read_table(b"8333 1\n8334 beam\n", source="scan.dat")


def test_numbers_in_the_header_are_no_rows():
    header = b"9809 KEK\nBlock 1 2\n1 12049 12150\n2 12150 12320\nOrtec 0 NDCH = 3\n871\n"
    table = read_table(header + b"8333 1\n8334 2\n8335 3\nEND OF DATA\n")
    np.testing.assert_array_equal(table.values, [[8333, 1], [8334, 2], [8335, 3]])
    assert table.lines.tolist() == [7, 8, 9]
    assert "END OF DATA" in table.header


def test_a_damaged_row_near_the_top_does_not_hide_the_rows_above_it():
    with pytest.raises(FileFormatError, match="line 3: '8334' between rows of 2 numbers"):
        read_table(b"8332 0\n8333 1\n8334\n8335 3\n8336 4\n8337 5\n")
    with pytest.raises(FileFormatError, match="line 1: 'x' is not a number"):
        read_table(b"8333 x\n8334 2\n8335 3\n8336 4\n")


def test_a_table_of_regions_in_the_header_is_not_the_table():
    regions = "".join(f"{k} {12000 + k} 1.0 17\n" for k in range(5))
    rows = "".join(f"{k} 0.5\n" for k in range(8333, 8343))
    table = read_table(f"Block Init Step Num\n{regions}Ortec(-1) NDCH = 3\n{rows}".encode())
    assert table.values.shape == (10, 2)


def test_words_between_rows_are_named():
    rows = "".join(f"{k} 0.5\n" for k in range(8333, 8343))
    with pytest.raises(FileFormatError, match="line 4: 'beam lost' between rows of 2 numbers"):
        read_table(f"8330 1\n8331 1\n8332 1\nbeam lost\n{rows}".encode())
    with pytest.raises(FileFormatError, match="line 4: 2 of 3 columns: 'beam lost'"):
        read_table(b"8333 1 0\n8334 2 0\n8335 3 0\nbeam lost\n8336 4 0\n")


def test_a_file_without_numbers_shows_what_it_holds():
    with pytest.raises(FileFormatError, match=r"no row of numbers in 2 lines; the last begins with '04/07/12 6919\.9'"):
        read_table(b"Data Energia\n04/07/12 6919.9\n")


def test_a_binary_file_is_not_text():
    with pytest.raises(FileFormatError, match="byte 0 at position 3"):
        decode(b"HDF\0\1\2", source="frames.h5")


def test_an_empty_file_is_refused():
    with pytest.raises(FileFormatError, match=r"scan\.dat is empty"):
        read_table(b"\n", source="scan.dat")


def test_utf16_with_its_mark_is_read():
    assert read_table("1 2\n".encode("utf-16")).values.tolist() == [[1.0, 2.0]]
