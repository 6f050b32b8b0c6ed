"""Checks that the first line of a CSV file names its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.arrow_files import ArrowFiles, of_columns
from kfc.errors import DataError, Finding

_NUMBER = re.compile(r"\s*[+-]?(\d[\d.,:/ -]*|[.,]\d+)([eE][+-]?\d+)?\s*")
_ADD_NAMES = "Add a first line with a name for each column."


def check_header(names: Sequence[str], where: str) -> None:
    """Refuses a first line with a number or a date, which is hardly the name of a column.

    Args:
        names: Cells of the first line.
        where: Name of the file in messages.

    Raises:
        DataError: If a cell is a number or a date.
    """
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    if numbers:
        got = _some(numbers)
        remedy = f"{_ADD_NAMES} If these are names, put a letter before them."
        raise DataError(Finding(f"{where}, line 1", "names of columns", got, remedy))


def check_header_is_no_row(
    table: pa.Table, where: str, files: ArrowFiles | None = None
) -> None:
    """Refuses names that are values of their own columns, as in a file without a header.

    Args:
        table: Columns of texts with their names.
        where: Name of the file in messages.
        files: Files that hold the columns; None for the memory.

    Raises:
        DataError: If at least half of the names are cells of their columns.
    """
    names = table.column_names
    half = len(names) // 2 + 1
    found = of_columns(_is_cell, table.select(names[:half]), files)
    if any(found):  # otherwise the other columns need no search
        found += of_columns(_is_cell, table.select(names[half:]), files)
    if 2 * found.count(False) > len(names):
        return
    again = [name for name, is_cell in zip(names, found, strict=True) if is_cell]
    got = f"{_some(again)}, which are values of the same columns too"
    raise DataError(Finding(f"{where}, line 1", "names of columns", got, _ADD_NAMES))


def _is_cell(name: str, column: pa.ChunkedArray) -> bool:
    return bool(pc.index(column, pa.scalar(name, column.type)).as_py() >= 0)


def _some(cells: Sequence[str]) -> str:
    shown = ", ".join(repr(cell[:40]) for cell in cells[:5])
    return f"{shown} and {len(cells) - 5} more" if len(cells) > 5 else shown
