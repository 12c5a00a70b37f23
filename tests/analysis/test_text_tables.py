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
        "energy mu\n8333.0 0.5\n\n8334.0 1.5",
    ],
)
def test_separators_and_decimal_signs_do_not_matter(text):
    table = read_table(text.encode())
    np.testing.assert_array_equal(table.values, [[8333.0, 0.5], [8334.0, 1.5]])


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


def test_a_binary_file_is_not_text():
    with pytest.raises(FileFormatError, match="byte 0 at position 3"):
        decode(b"HDF\0\1\2", source="frames.h5")


def test_an_empty_file_is_refused():
    with pytest.raises(FileFormatError, match=r"scan\.dat is empty"):
        read_table(b"\n", source="scan.dat")


def test_utf16_with_its_mark_is_read():
    assert read_table("1 2\n".encode("utf-16")).values.tolist() == [[1.0, 2.0]]
