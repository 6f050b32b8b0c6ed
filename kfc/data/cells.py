"""The cells of somebody's table -> which of them are numbers, and where a bad one is."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from kfc.errors import Fault
from kfc.spec.plain import shown

DECIMAL_COMMA = "Read decimal commas as such, as pandas.read_csv(file, decimal=',') does."
"""What to do about `0,1`."""
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")


def plain_value(value: Any) -> Any:
    """Returns one of NumPy's values as Python's, which is how people write it."""
    return value.item() if isinstance(value, np.generic) else value


def reads_as_number(value: Any) -> bool:
    """Returns whether a value of any kind, text too, is a real number."""
    if isinstance(value, (complex, np.complexfloating)):
        return False
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def is_finite(value: Any) -> bool:
    """Returns whether a value of any kind is a number, and neither NaN nor infinite."""
    return reads_as_number(value) and math.isfinite(float(value))


def has_decimal_comma(value: Any) -> bool:
    """Returns whether a value is text such as `0,1`."""
    return isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value) is not None


def first_cell(
    values: np.ndarray,
    bad: np.ndarray,
    where: str,
    wanted: str,
    *,
    first_row: int = 0,
    columns: tuple[str, ...] = (),
) -> Fault | None:
    """Returns the fault of the first bad cell, or None where there is none.

    Args:
        values: Of the cells.
        bad: Whether each of them is.
        where: What to call the rows.
        wanted: What they should be.
        first_row: Number of the first row of `values`.
        columns: What the columns are called, where that is known.
    """
    if not bad.any():
        return None
    first = np.unravel_index(int(bad.argmax()), bad.shape)
    place = place_of(where, first_row, first, columns)
    more = int(bad.sum()) - 1
    got = f"{values[first]}" + (f" and {more:,} more" if more else "")
    return Fault(place, wanted, got, "Drop or fill such cells before training.")


def place_of(where: str, first_row: int, cell: Any, columns: tuple[str, ...] = ()) -> str:
    """Returns the place of a cell, such as `data, row 3, column 'age'`."""
    row, *rest = (int(index) for index in cell)
    place = f"{where}, row {first_row + row}"
    if not rest:
        return place
    if len(rest) == 1 and rest[0] < len(columns):
        return f"{place}, column {shown(columns[rest[0]])}"
    return f"{place}, column {rest[0] if len(rest) == 1 else tuple(rest)}"
