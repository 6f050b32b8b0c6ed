"""The cells of somebody's table -> which of them are numbers, and where a bad one is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from kfc.errors import Finding
from kfc.spec import shown_value

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
    feature_names: tuple[str, ...] = (),
) -> Finding | None:
    """Returns the finding of the first bad cell, or None where there is none.

    Args:
        values: Of the cells.
        bad: Whether each of them is.
        where: What to call the rows.
        wanted: What they should be.
        first_row: Number of the first row of `values`.
        feature_names: What the columns are called, where that is known.
    """
    if not bad.any():
        return None
    first = np.unravel_index(int(bad.argmax()), bad.shape)
    place = place_of(where, first_row, first, feature_names)
    more = int(bad.sum()) - 1
    got = f"{values[first]}" + (f" and {more:,} more" if more else "")
    return Finding(place, wanted, got, "Drop or fill such cells before training.")


def place_of(
    where: str, first_row: int, cell: Any, feature_names: tuple[str, ...] = ()
) -> str:
    """Returns the place of a cell, such as `data, row 3, column 'age'`."""
    row, *rest = (int(index) for index in cell)
    place = f"{where}, row {first_row + row}"
    return f"{place}, {column_of(rest, feature_names)}" if rest else place


def column_of(cell: Sequence[int], feature_names: tuple[str, ...] = ()) -> str:
    """Returns the place of a cell within its row, such as `column 'age'`.

    Args:
        cell: Its number along each axis of a row.
        feature_names: Names of the columns, where they are known.
    """
    place = tuple(int(index) for index in cell)
    if len(place) > 1:
        return f"column {place}"
    known = place[0] < len(feature_names)
    return f"column {shown_value(feature_names[place[0]]) if known else place[0]}"
