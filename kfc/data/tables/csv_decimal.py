"""Recognises the decimal mark of the numbers in columns of text."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.arrow_files import ArrowFiles, of_columns
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
    table: pa.Table, path: Path, delimiter: str, files: ArrowFiles | None = None
) -> str:
    """Returns the decimal mark of a table, `.` or `,`.

    Args:
        table: Columns of texts with their names.
        path: File of the table, for messages.
        delimiter: Character between two cells. Where it is a comma, a decimal comma is
            refused unless the spec says it.
        files: Files that hold the columns; None for the memory.

    Raises:
        DataError: If numbers have both marks, or if their marks may as well separate
            thousands.
    """
    marks = of_columns(functools.partial(_marks, delimiter), table, files)
    # A cell of each column that has one, by the column's name.
    commas, points, unclear, grouped = (
        {
            name: cell
            for name, cell in zip(table.column_names, cells, strict=True)
            if cell is not None
        }
        for cells in zip(*marks, strict=True)
    )
    if commas and points:
        raise _both(path, commas, points)
    if not commas:
        _check_clear(path, unclear | ({} if points else grouped))
    if commas and delimiter == ",":
        name, cell = next(iter(commas.items()))
        raise _refusal(path, "numbers with a decimal point", f"{cell!r} in column {name!r}")
    return "," if commas else "."


def _marks(delimiter: str, name: str, column: pa.ChunkedArray) -> tuple[str | None, ...]:
    """Returns cells of a column of numbers: None where it has no such cell.

    Returns:
        A clear decimal comma, a clear decimal point, an unclear comma and an unclear point
        (1.200), which may as well separate thousands.
    """
    comma = point = unclear = grouped = None
    marks = _bytes_among(column, (b",", b".")) if _is_numeric(column) else ()
    if b"." in marks:
        # Programs that write semicolons often write thousands with points.
        but = _THOUSANDS_POINT if delimiter == ";" else None
        point = _first(column, _POINT, but=but)
        grouped = _first(column, _THOUSANDS_POINT) if point is None else None
    if b"," in marks:
        comma = _first(column, _COMMA, but=_THOUSANDS)
        unclear = _first(column, _THOUSANDS) if comma is None else None
    return comma, point, unclear, grouped


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


def _bytes_among(column: pa.ChunkedArray, wanted: tuple[bytes, ...]) -> set[bytes]:
    """Returns which bytes are in some cell, without a look at each cell."""
    found: set[bytes] = set()
    for chunk in column.chunks:
        _, offsets, content = chunk.buffers()
        if content is None or not len(chunk):
            continue
        ends = np.frombuffer(offsets, np.int32)[[chunk.offset, chunk.offset + len(chunk)]]
        view = np.frombuffer(content, np.uint8)[ends[0] : ends[1]]
        cells = view.tobytes()  # several times as fast as a comparison
        found.update(byte for byte in wanted if byte in cells)
    return found


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


def _cells(column: pa.ChunkedArray, rows: np.ndarray) -> pa.Array:
    """Returns some cells as one array, for each of which Arrow compiles a pattern anew.

    `take` would copy the whole column.

    Args:
        column: Column of one chunk or more.
        rows: Numbers of the rows, rising.
    """
    firsts = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])
    bounds = np.searchsorted(rows, firsts)
    places = pa.array(rows - np.repeat(firsts[:-1], np.diff(bounds)))
    return pa.concat_arrays(
        chunk.take(places.slice(start, end - start))
        for chunk, start, end in zip(column.chunks, bounds[:-1], bounds[1:], strict=True)
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
