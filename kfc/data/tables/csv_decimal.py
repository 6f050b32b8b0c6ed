"""Recognises the decimal mark of the numbers in columns of text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.errors import DataError, Finding

_SAMPLE = 1000  # cells of a column that show whether it holds numbers
_BLANK = r"^\s*[+-]?"
_END = r"([eE][+-]?\d+)?\s*$"
_THOUSANDS = _BLANK + r"[1-9]\d{0,2}(,\d{3})+\s*$"
_THOUSANDS_POINT = _BLANK + r"[1-9]\d{0,2}(\.\d{3})+\s*$"
_COMMA = _BLANK + r"(\d*,\d+|\d+,|\d{1,3}(\.\d{3})+,\d+)" + _END
_POINT = _BLANK + r"(\d*\.\d+|\d+\.|\d{1,3}(,\d{3})+\.\d+)" + _END
_NUMBER = _BLANK + r"[\d.,]*\d[.,]?" + _END


def recognised_decimal(
    columns: Iterable[tuple[str, pa.ChunkedArray]], path: Path, delimiter: str
) -> str:
    """Returns the decimal mark of a table, `.` or `,`.

    Args:
        columns: Name and texts of each column.
        path: File of the table, for messages.
        delimiter: Character between two cells. Where it is a comma, a decimal comma is
            refused unless the spec says it.

    Raises:
        DataError: If numbers have both marks, or if their marks may as well separate
            thousands.
    """
    commas: dict[str, str] = {}  # a clear decimal comma of each column that has one
    points: dict[str, str] = {}
    unclear: dict[str, str] = {}
    grouped: dict[str, str] = {}  # 1.200, which may be a decimal point or thousands
    for name, column in columns:
        if not _is_numeric(column):
            continue
        has_comma, has_point = _has_byte(column, ","), _has_byte(column, ".")
        if has_point:
            # Programs that write semicolons often write thousands with points.
            but = _THOUSANDS_POINT if delimiter == ";" else None
            _note(points, name, _first(column, _POINT, but=but))
            if name not in points:
                _note(grouped, name, _first(column, _THOUSANDS_POINT))
        if has_comma:
            _note(commas, name, _first(column, _COMMA, but=_THOUSANDS))
        if has_comma and name not in commas:
            _note(unclear, name, _first(column, _THOUSANDS))
    if commas and points:
        raise _both(path, commas, points)
    if not commas:
        _check_clear(path, unclear | ({} if points else grouped))
    if commas and delimiter == ",":
        name, cell = next(iter(commas.items()))
        raise _refusal(path, "numbers with a decimal point", f"{cell!r} in column {name!r}")
    return "," if commas else "."


def _note(found: dict[str, str], name: str, cell: str | None) -> None:
    if cell is not None:
        found[name] = cell


def _check_clear(path: Path, unclear: dict[str, str]) -> None:
    """Refuses the first number whose mark is a decimal one or separates thousands."""
    for name, cell in unclear.items():
        mark = "comma" if "," in cell else "point"
        got = f"{cell!r} in column {name!r}, which may be a decimal {mark} or thousands"
        raise _refusal(path, "a clear decimal mark", got)


def _both(path: Path, commas: dict[str, str], points: dict[str, str]) -> DataError:
    """Returns the refusal of a table whose numbers have decimal commas and points."""
    (one, comma), (other, point) = next(iter(commas.items())), next(iter(points.items()))
    got = f"{comma!r} in column {one!r} and {point!r} in column {other!r}"
    return _refusal(path, "one decimal mark in all numbers", got)


def _refusal(path: Path, expected: str, got: str) -> DataError:
    remedy = "Use data.csv.decimal: ',' for a decimal comma, or '.' for a decimal point."
    return DataError(Finding(str(path), expected, got, remedy))


def _has_byte(column: pa.ChunkedArray, character: str) -> bool:
    """Returns whether a character is in some cell, without a look at each cell."""
    for chunk in column.chunks:
        _, offsets, content = chunk.buffers()
        if content is None or not len(chunk):
            continue
        ends = np.frombuffer(offsets, np.int32)[[chunk.offset, chunk.offset + len(chunk)]]
        view = np.frombuffer(content, np.uint8)[ends[0] : ends[1]]
        if character.encode() in view.tobytes():  # several times as fast as a comparison
            return True
    return False


def _is_numeric(column: pa.ChunkedArray) -> bool:
    """Returns whether at least half of the cells of a sample are numbers in some form."""
    rows = np.linspace(0, len(column) - 1, min(_SAMPLE, len(column))).astype(np.int64)
    if column.null_count:
        present = np.flatnonzero(column.is_valid().to_numpy())
        if not len(present):
            return False
        places = np.linspace(0, len(present) - 1, min(_SAMPLE, len(present)))
        rows = present[places.astype(np.int64)]
    sample = _cells(column, rows)
    numbers = pc.sum(pc.match_substring_regex(sample, _NUMBER)).as_py()
    return bool(2 * (numbers or 0) >= len(sample))


def _cells(column: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    """Returns some cells, without a copy of the column as `take` makes one.

    Args:
        column: Column of one chunk or more.
        rows: Numbers of the rows, rising.
    """
    ends = np.cumsum([len(chunk) for chunk in column.chunks])
    firsts = np.append(0, ends[:-1])
    parts = np.split(rows, np.searchsorted(rows, ends[:-1]))
    return pa.chunked_array(
        [
            chunk.take(pa.array(part - first))
            for chunk, part, first in zip(column.chunks, parts, firsts, strict=True)
        ],
        column.type,
    )


def _first(column: pa.ChunkedArray, pattern: str, but: str | None = None) -> str | None:
    """Returns the first cell that a pattern matches and another one does not."""
    for chunk in column.chunks:
        matches = pc.match_substring_regex(chunk, pattern)
        if but is not None:
            matches = pc.and_not(matches, pc.match_substring_regex(chunk, but))
        if (row := pc.index(matches, True).as_py()) >= 0:
            return str(chunk[row])
    return None
