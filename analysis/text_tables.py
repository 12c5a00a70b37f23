"""Tables of numbers in text files: decoding and parsing with errors that name file, line and value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

__all__ = ["FileFormatError", "TextTable", "decode", "numbers", "read_table", "split_row"]

_SEPARATORS = re.compile(r"[\s,;]+")
_DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+(?:[eEdD][+-]?\d+)?$")
_RUN = 3  # rows on end that are no header
_FORTRAN = re.compile(r"^([+-]?[\d.]*\d[\d.]*)[dD]([+-]?\d+)$")  # exponents of double precision, 1.5D+03
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class FileFormatError(ValueError):
    """A file is not what its reader was promised; the message names the file, the line and the value."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A text file of numbers.

    Attributes
    ----------
    source : str
        Name of the file, for messages.
    header : tuple of str
        Lines before the numbers and comment lines, without their comment character.
    values : ndarray, shape (rows, columns)
        The numbers.
    lines : ndarray of int, shape (rows,)
        Line of the file, from 1, that each row stands on.
    """

    source: str
    header: tuple[str, ...]
    values: Array
    lines: NDArray[np.int64]


def decode(raw: bytes, *, source: str) -> str:
    """Text of a file in UTF-8, UTF-16 with its mark, or Latin-1 (what instruments on Windows write).

    Raises
    ------
    FileFormatError
        When the file is empty or is not text.
    """
    if not raw.strip():
        raise FileFormatError(f"{source} is empty")
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if raw.startswith(mark)), None)
    if encoding is None and b"\0" in raw:
        raise FileFormatError(f"{source} is not a text file: byte 0 at position {raw.index(0)}")
    try:
        return raw.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise FileFormatError(f"{source} is not valid {encoding} at byte {error.start}") from error
        return raw.decode("cp1252", errors="replace")


def split_row(line: str, *, decimal_comma: bool = True) -> list[str]:
    """Split a row at blanks, tabs and semicolons, and at commas unless these may be and are the decimal sign.

    Examples
    --------
    >>> split_row("8333,0\\t1,25e-1")
    ['8333.0', '1.25e-1']
    >>> split_row("8333.0, 0.125")
    ['8333.0', '0.125']
    """
    if "," not in line and ";" not in line:
        return line.split()
    fields = [field for field in re.split(r"[\s;]+", line) if field]
    if decimal_comma and all(_DECIMAL_COMMA.match(field) or _is_number(field) for field in fields):
        return [field.replace(",", ".") for field in fields]
    return [field for field in _SEPARATORS.split(line.strip()) if field]


def numbers(fields: Sequence[str], *, source: str, line: int) -> list[float]:
    """Convert fields to numbers, or say which one is none."""
    try:
        return [float(field) for field in fields]
    except ValueError:
        plain = [_FORTRAN.sub(r"\1e\2", field) for field in fields]
    wrong = next((given for given, field in zip(fields, plain, strict=True) if not _is_number(field)), None)
    if wrong is not None:
        raise FileFormatError(f"{source} line {line}: {wrong!r} is not a number")
    return [float(field) for field in plain]


def read_table(
    raw: bytes | Path | str, *, source: str | None = None, comments: str = "#%;!*", columns: int | None = None
) -> TextTable:
    """Read columns of numbers below any header.

    The table begins where most rows on end have equally many numbers, for headers hold numbers, too. Words below it are
    passed over as a footer.

    Parameters
    ----------
    raw : bytes, Path or str
        The content, or the path of the file.
    source : str, optional
        Name used in messages; the path when not given.
    comments : str
        Characters that open a comment line.
    columns : int, optional
        How many columns a row must have; as many as the first row when not given.

    Raises
    ------
    FileFormatError
        When there are no numbers, a row is short or long (a file cut in mid-line), or a field is not a
        number.
    """
    if not isinstance(raw, bytes):
        source = source or str(raw)
        raw = Path(raw).read_bytes()
    name = source or "table"
    numbered = [(i, text.strip()) for i, text in enumerate(decode(raw, source=name).splitlines(), start=1)]
    remarks = [(i, line.lstrip(comments).strip()) for i, line in numbered if line and line[0] in comments]
    others = [(i, line) for i, line in numbered if line and line[0] not in comments]
    # A file that has points and commas in one row has points as decimal signs in all: 8333,1 is two numbers there.
    comma = not any("," in line and "." in line for _, line in others if line[0] in "+-.0123456789")
    rows = [_Row.of(i, line, split_row(line, decimal_comma=comma)) for i, line in others]
    first = _first_row(rows)
    if first is None:
        last = f"; the last begins with {rows[-1].text[:40]!r}" if rows else ""
        raise FileFormatError(f"{name} holds no row of numbers in {len(rows) + len(remarks)} lines{last}")
    stop = _end_of_rows(rows)
    width = columns or len(rows[first].fields)
    _refuse_rows_above(rows[:first], width, name)
    for row in rows[first:stop]:
        if len(row.fields) != width:
            raise FileFormatError(f"{name} line {row.line}: {len(row.fields)} of {width} columns: {row.text[:60]!r}")
    values = [row.values or numbers(row.fields, source=name, line=row.line) for row in rows[first:stop]]
    beside = [(row.line, row.text) for row in (*rows[:first], *rows[stop:])]
    header = tuple(text for _, text in sorted(remarks + beside))
    lines = np.array([row.line for row in rows[first:stop]], dtype=np.int64)
    return TextTable(name, header, np.array(values), lines)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line that is not a comment; its numbers, if all its fields are."""

    line: int
    text: str
    fields: list[str]
    values: list[float] | None

    @classmethod
    def of(cls, line: int, text: str, fields: list[str]) -> Self:
        try:
            return cls(line, text, fields, [float(field) for field in fields])
        except ValueError:
            whole = all(_is_number(field) for field in fields)
            return cls(line, text, fields, numbers(fields, source="", line=line) if whole else None)


def _first_row(rows: Sequence[_Row]) -> int | None:
    """Index where most rows on end have equally many numbers, the first of several; None without numbers."""
    longest, first, start = 0, None, 0
    for i, row in enumerate(rows):
        if row.values is None or len(row.values) != len(rows[start].values or ()):
            start = i
        if row.values is not None and i + 1 - start > longest:
            longest, first = i + 1 - start, start
    return first


def _end_of_rows(rows: Sequence[_Row]) -> int:
    """Index behind the last row that holds a number: what follows is a footer."""
    stop = len(rows)
    while not any(_is_number(field) for field in rows[stop - 1].fields):
        stop -= 1
    return stop


def _refuse_rows_above(header: Sequence[_Row], width: int, source: str) -> None:
    """Refuse rows above the table that belong to it: a run of rows like its own, or one right above that is spoiled."""
    same = [row.values is not None and len(row.fields) == width for row in header]
    runs = [i for i in range(_RUN, len(same)) if all(same[i - _RUN : i]) and not same[i]]
    above = next((i for i in range(len(header) - 1, -1, -1) if not _is_number(header[i].fields[0])), -1)
    for i in range(len(header) - 1, above, -1):
        if len(header[i].fields) == width:
            numbers(header[i].fields, source=source, line=header[i].line)
            runs.append(i + 1)
            break
    if runs:
        below = header[min(runs)]
        raise FileFormatError(f"{source} line {below.line}: {below.text[:60]!r} between rows of {width} numbers")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return _FORTRAN.match(field) is not None
    return True
