"""Tables of numbers in text files: decoding and parsing with errors that name file, line and value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

__all__ = ["FileFormatError", "TextTable", "decode", "numbers", "read_table", "split_row"]

_SEPARATORS = re.compile(r"[\s,;]+")
_DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+(?:[eE][+-]?\d+)?$")
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


def split_row(line: str) -> list[str]:
    """Split a row at blanks, tabs and semicolons, and at commas unless these are the decimal sign.

    Examples
    --------
    >>> split_row("8333,0\\t1,25e-1")
    ['8333.0', '1.25e-1']
    >>> split_row("8333.0, 0.125")
    ['8333.0', '0.125']
    """
    if "," not in line and ";" not in line:
        return line.split()
    fields = re.split(r"[\s;]+", line.strip())
    if all(_DECIMAL_COMMA.match(field) or _is_number(field) for field in fields):
        return [field.replace(",", ".") for field in fields]
    return [field for field in _SEPARATORS.split(line.strip()) if field]


def numbers(fields: Sequence[str], *, source: str, line: int) -> list[float]:
    """Convert fields to numbers, or say which one is none."""
    try:
        return [float(field) for field in fields]
    except ValueError:
        wrong = next(field for field in fields if not _is_number(field))
        raise FileFormatError(f"{source} line {line}: {wrong!r} is not a number") from None


def read_table(
    raw: bytes | Path | str, *, source: str | None = None, comments: str = "#%;!*", columns: int | None = None
) -> TextTable:
    """Read columns of numbers below any header.

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
    header: list[str] = []
    rows: list[list[float]] = []
    lines: list[int] = []
    doubtful: tuple[int, list[str]] | None = None  # a header line that begins like a row: is it a spoiled one?
    for number, text in enumerate(decode(raw, source=name).splitlines(), start=1):
        line = text.strip()
        if not line:
            continue
        if line[0] in comments:
            header.append(line.lstrip(comments).strip())
            continue
        fields = split_row(line)
        if not rows and not all(_is_number(field) for field in fields):
            header.append(line)
            doubtful = (number, fields) if _is_number(fields[0]) else None
            continue
        if doubtful is not None and len(doubtful[1]) == len(fields):
            numbers(doubtful[1], source=name, line=doubtful[0])
        doubtful = None
        if columns is None:
            columns = len(fields)
        if len(fields) != columns:
            raise FileFormatError(f"{name} line {number}: {len(fields)} of {columns} columns: {line[:60]!r}")
        rows.append(numbers(fields, source=name, line=number))
        lines.append(number)
    if not rows:
        raise FileFormatError(f"{name} holds no row of numbers in {len(header)} lines")
    return TextTable(name, tuple(header), np.array(rows), np.array(lines, dtype=np.int64))


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
