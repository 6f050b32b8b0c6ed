"""Finds a row of sums at the end of a CSV file."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.raw_table import RawTable
from kfc.errors import DataError, Finding

_WORDS = (
    *("total", "totals", "grand total", "subtotal", "sum", "average"),
    *("summe", "gesamt", "gesamtsumme", "insgesamt"),
)
_MOST = 20  # characters of such a cell, with its blanks


def check_last_row(raw: RawTable) -> None:
    """Refuses a last row that is called `Total`, as no other row is.

    Args:
        raw: Table of a CSV file, columns of text.

    Raises:
        DataError: If a cell of the last row says that the row sums up the others.
    """
    last = len(raw) - 1
    for name, column in zip(raw.columns.column_names, raw.columns.columns, strict=True):
        cell = column[last].as_py()
        if not last or cell is None or len(cell) > _MOST:
            continue
        if cell.strip().rstrip(":").lower() not in _WORDS:
            continue
        if pc.index(column, pa.scalar(cell, column.type)).as_py() == last:
            expected, got = "a row of the table", f"{cell!r}, in no other row"
            remedy = "Remove the last row if it sums up the others, else rename this value."
            raise DataError(Finding(raw.place(last, name), expected, got, remedy))
