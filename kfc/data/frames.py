"""A DataFrame whose columns are the inputs -> refused, unless all of them are numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kfc.data.cells import DECIMAL_COMMA, has_decimal_comma, plain_value, reads_as_number
from kfc.errors import DataError, Fault
from kfc.spec.plain import shown

_SHOWN = 30  # names of columns


def check_frame(frame: Any, name: str) -> None:
    """Checks that each column is there once and holds numbers.

    Args:
        frame: A DataFrame.
        name: What it is, such as `x_test`.

    Raises:
        DataError: With the first column that does not, and the first cell that is none.
    """
    seen = set()
    for index, column in enumerate(frame.columns):
        if column in seen:
            remedy = "Rename or drop one of them."
            raise DataError(Fault("data", "each column once", f"{column!r} twice", remedy))
        seen.add(column)
        if frame.dtypes.iloc[index].kind not in "biuf":
            raise DataError(_no_number(frame.iloc[:, index], column, name))


def listed(columns: Iterable[Any]) -> str:
    """Returns the names of columns, of very many the first ones."""
    names = [name if len(name) <= 80 else f"{name[:80]}..." for name in map(str, columns)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _no_number(values: Any, column: Any, name: str) -> Fault:
    """Returns the fault of the first cell of a column that is no number."""
    rows = (row for row, value in enumerate(values) if not reads_as_number(value))
    row = next(rows, None)
    place = f", row {row}" if row is not None else ""
    where = f"{name if ' ' in name else f'data, {name}'}{place}, column {shown(column)}"
    if row is None:  # or no rows at all
        first = f" such as {shown(plain_value(values.iloc[0]))}" if len(values) else ""
        got = f"a column of type {values.dtype}{first}"
        return Fault(where, "numbers", got, "Use frame.astype(float).")
    value = values.iloc[row]
    remedy = "Drop the column, or turn it into numbers."
    if has_decimal_comma(value):
        remedy = DECIMAL_COMMA
    return Fault(where, "numbers", f"values such as {shown(value)}", remedy)
