"""Recognises the delimiter and the names of the columns of a CSV file."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from kfc.errors import DataError, Finding
from kfc.spec import shown_value

_CANDIDATES = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}
_RECORDS = 200
_SAMPLE_BYTES = 1 << 20
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True)
class Dialect:
    """The form of a CSV file.

    Args:
        delimiter: Character between two cells.
        names: Cells of the first record.
        header_bytes: Number of bytes up to the end of the first record.
        all_quoted: Whether all cells of the first records are quoted, so that quotes do not
            tell a text from a missing cell.
    """

    delimiter: str
    names: tuple[str, ...]
    header_bytes: int
    all_quoted: bool


def recognise(path: Path, content: pa.Buffer, delimiter: str | None) -> Dialect:
    """Returns the delimiter of a file and the cells of its first record.

    Args:
        path: File of the bytes, for messages.
        content: Its bytes in UTF-8.
        delimiter: Delimiter that the spec says; by default the one of comma, semicolon, tab
            and `|` that divides the first 200 records into the same number of cells.

    Raises:
        DataError: If no delimiter or several ones do, or if the first record is one cell.
    """
    head, whole = memoryview(content)[:_SAMPLE_BYTES], len(content) <= _SAMPLE_BYTES
    # The sample may end within a character.
    text = codecs.getincrementaldecoder("utf-8")().decode(bytes(head), final=whole)
    if not text.strip():
        expected, got = "a line of names and rows", "blank lines only"
        raise DataError(Finding(str(path), expected, got, "Check the source."))
    if text[:4].lower() == "sep=":  # Excel reads such a line, and writes none
        got, remedy = shown_value(text[:5]), "Remove this line."
        raise DataError(Finding(f"{path}, line 1", "names of columns", got, remedy))
    if delimiter is None:
        delimiter = _recognised_delimiter(path, text, whole)
    else:
        _check_delimiter(delimiter)
    names, lines = _first_record(path, text, delimiter)
    if len(names) < 2:
        got = f"one cell, {shown_value(names[0])}"
        raise _no_delimiter(path, f"a first line with the delimiter {delimiter!r}", got)
    rest = _QUOTED.sub("", text if whole else text[: text.rfind("\n") + 1])
    all_quoted = not rest.strip(f"{delimiter}\r\n")
    return Dialect(delimiter, names, len(lines.encode("utf-8")), all_quoted)


def _check_delimiter(delimiter: str) -> None:
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        expected, remedy = (
            "one ASCII character that is no quote",
            "Use ',', ';', '|' or a tab.",
        )
        raise DataError(
            Finding("data.csv.delimiter", expected, shown_value(delimiter), remedy)
        )


def _recognised_delimiter(path: Path, text: str, whole: bool) -> str:
    counts = {candidate: _cell_counts(text, candidate, whole) for candidate in _CANDIDATES}
    several = {key: cells for key, cells in counts.items() if cells and cells[0] > 1}
    fitting = [key for key, cells in several.items() if len({*cells}) == 1]
    if not fitting and len(several) == 1:
        fitting = [*several]  # the reader names the row that has another number of cells
    if len(fitting) == 1:
        return fitting[0]
    expected = "a comma, a semicolon, a tab or '|' between the cells of each row"
    first = text.lstrip("\r\n").splitlines()[0]
    if fitting:
        also = " and ".join(_CANDIDATES[key] for key in fitting)
        raise _no_delimiter(path, expected, f"rows that {also} divide alike")
    raise _no_delimiter(path, expected, f"none that fits; the first line is {first[:60]!r}")


def _no_delimiter(path: Path, expected: str, got: str) -> DataError:
    remedy = "Name it with data.csv.delimiter; a table has at least two columns."
    return DataError(Finding(str(path), expected, got, remedy))


def _cell_counts(text: str, delimiter: str, whole: bool) -> list[int]:
    """Returns the number of cells of each of the first records."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    counts = []
    try:
        for record in reader:
            if record:  # no blank line
                counts.append(len(record))
            if len(counts) == _RECORDS:
                return counts
    # A cell of more than 128 KiB, real or between two stray quotes.
    except csv.Error:
        return counts
    return counts if whole else counts[:-1]  # the last one may be cut


def _first_record(path: Path, text: str, delimiter: str) -> tuple[tuple[str, ...], str]:
    """Returns the cells of the first record, and all lines up to its end."""
    used: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            used.append(line)
            yield line

    try:
        for record in csv.reader(lines(), delimiter=delimiter):
            if record:
                return tuple(record), "".join(used)
    except csv.Error as error:
        expected, remedy = "a first line with names", "Check the quotes of the first line."
        raise DataError(Finding(str(path), expected, str(error), remedy)) from error
    raise AssertionError("a text that is not blank has a record")
