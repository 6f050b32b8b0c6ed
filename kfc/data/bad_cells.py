"""Finds the first bad cell of a table and names its place."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from kfc.errors import Finding
from kfc.spec import shown_value

DECIMAL_COMMA = "Read the file with a decimal comma: pandas.read_csv(file, decimal=',')."
"""Remedy for text such as `0,1`."""
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")


def plain_value(value: Any) -> Any:
    """Returns a NumPy scalar as a Python object, whose text has no `np.float64(...)`."""
    return value.item() if isinstance(value, np.generic) else value


def reads_as_number(value: Any) -> bool:
    """Returns whether a value of any type is a real number, or text of one."""
    if isinstance(value, (complex, np.complexfloating)):
        return False
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def is_finite(value: Any) -> bool:
    """Returns whether a value of any type is a number, and neither NaN nor infinite."""
    return reads_as_number(value) and math.isfinite(float(value))


def has_decimal_comma(value: Any) -> bool:
    """Returns whether a value is text such as `0,1`."""
    return isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value) is not None


def first_bad_cell(
    values: np.ndarray,
    bad: np.ndarray,
    where: str,
    expected: str,
    *,
    first_row: int = 0,
    feature_names: tuple[str, ...] = (),
) -> Finding | None:
    """Returns the finding for the first bad cell, or None where no cell is bad.

    Args:
        values: Values of the cells, (rows, ...).
        bad: Flags of the bad cells, of the same shape.
        where: Name of the rows in messages, such as `data, test rows`.
        expected: Description of a good cell.
        first_row: Number of the first row of `values`.
        feature_names: Names of the columns, where they are known.
    """
    if not bad.any():
        return None
    first = np.unravel_index(int(bad.argmax()), bad.shape)
    place = cell_place(where, first_row, first, feature_names)
    more = int(bad.sum()) - 1
    got = f"{values[first]}" + (f" and {more:,} more" if more else "")
    remedy = "Drop or fill such cells before training."
    evidence = {"row": first_row + int(first[0]), "bad_cells": more + 1}
    return Finding(place, expected, got, remedy, evidence=evidence)


def cell_place(
    where: str, first_row: int, cell: Any, feature_names: tuple[str, ...] = ()
) -> str:
    """Returns the place of a cell, such as `data, row 3, column 'age'`.

    Args:
        where: Name of the rows in messages.
        first_row: Number of the row that `cell` counts from.
        cell: Index of the cell along each axis.
        feature_names: Names of the columns, where they are known.
    """
    row, *rest = (int(index) for index in cell)
    place = f"{where}, row {first_row + row}"
    return f"{place}, {column_place(rest, feature_names)}" if rest else place


def column_place(cell: Sequence[int], feature_names: tuple[str, ...] = ()) -> str:
    """Returns the place of a cell within its row, such as `column 'age'`.

    Args:
        cell: Index of the cell along each axis of a row.
        feature_names: Names of the columns, where they are known.
    """
    place = tuple(int(index) for index in cell)
    if len(place) > 1:
        return f"column {place}"
    known = place[0] < len(feature_names)
    return f"column {shown_value(feature_names[place[0]]) if known else place[0]}"
