"""Checks of inputs, to train on, to measure or to predict: the stage `inputs`.

Keras trains on most of the inputs that these checks refuse, and reports success.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kfc.data.bad_cells import (
    DECIMAL_COMMA,
    cell_place,
    first_bad_cell,
    has_decimal_comma,
    plain_value,
    reads_as_number,
)
from kfc.errors import Finding
from kfc.spec import shown_value
from kfc.system import DiskArray, chunks

FLOAT32_MAX = float(np.finfo(np.float32).max)
_MOST_FIELDS = 10  # names of fields in a message

Inputs = np.ndarray | DiskArray


def not_array(values: np.ndarray | DiskArray, noun: str, where: str) -> Finding | None:
    """Returns the finding for values that are no array, or an array with masked cells.

    Args:
        values: Inputs, targets or weights.
        noun: Their name in a message, such as `inputs`.
        where: Name of the rows in messages.
    """
    # No axis: NumPy's form of a single number, of None and of other objects.
    if not isinstance(values, DiskArray) and values.ndim == 0:
        value = values.item() if values.dtype.kind != "V" else "one record"
        got = "None" if value is None else shown_value(value)
        remedy = "Pass (x, y) or (x, y, sample_weight), each an array."
        if hasattr(value, "toarray"):
            remedy = "Use x.toarray() for a sparse matrix."
        return Finding(where, f"an array of {noun}", got, remedy)
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        masked = int(np.ma.getmaskarray(values).sum())
        return Finding(
            where,
            "values without a mask",
            f"{masked:,} masked {noun}",
            "Drop or fill such cells.",
            evidence={"masked_cells": masked},
        )
    return None


def input_not_array(x: Inputs, where: str, names: tuple[str, ...] = ()) -> Finding | None:
    """Finds inputs that are no array, or an array with masked cells."""
    return not_array(x, "inputs", where)


def input_empty(x: Inputs, where: str, names: tuple[str, ...] = ()) -> Finding | None:
    """Finds inputs without a row or without a feature."""
    if x.size:
        return None
    return Finding(
        where,
        "at least one row with at least one value",
        f"inputs of shape {x.shape}",
        "Check the source.",
    )


def input_shape(x: Inputs, where: str, names: tuple[str, ...] = ()) -> Finding | None:
    """Finds inputs that lack the axis of the features."""
    if x.ndim >= 2:
        return None
    got = f"inputs of shape {x.shape}"
    remedy = "Use x[:, None] for one feature."
    if x.dtype.names:
        got = f"records with the fields {', '.join(x.dtype.names[:_MOST_FIELDS])}"
        remedy = "Use numpy.lib.recfunctions.structured_to_unstructured(x)."
    return Finding(where, "inputs (rows, features)", got, remedy)


def input_type(x: Inputs, where: str, names: tuple[str, ...] = ()) -> Finding | None:
    """Finds inputs of another type than booleans, integers and floats."""
    if x.dtype.kind in "biuf":
        return None
    row, part = next(chunks(x))
    cell = next(
        (cell for cell in np.ndindex(part.shape) if not reads_as_number(part[cell])), None
    )
    remedy = "Fix or drop such cells, then use x.astype(float)."
    if cell is None:  # numbers in another type, such as text
        cell, remedy = (0,) * part.ndim, "Use x.astype(float)."
    elif has_decimal_comma(part[cell]):
        remedy = DECIMAL_COMMA
    got = f"{shown_value(plain_value(part[cell]))}, of type {x.dtype}"
    return Finding(
        cell_place(where, row, cell, names), "inputs that are real numbers", got, remedy
    )


def input_not_finite(x: Inputs, where: str, names: tuple[str, ...] = ()) -> Finding | None:
    """Finds the first input that is NaN or infinite."""
    if x.dtype.kind != "f":
        return None
    return _first_bad(x, lambda part: ~np.isfinite(part), where, "finite inputs", names)


def input_overflow(x: Inputs, where: str, names: tuple[str, ...] = ()) -> Finding | None:
    """Finds the first input beyond the range of float32, in which networks train."""
    if x.dtype.kind != "f" or x.dtype.itemsize <= 4:
        return None
    expected = "inputs that fit in float32"
    return _first_bad(x, lambda part: np.abs(part) > FLOAT32_MAX, where, expected, names)


def _first_bad(
    x: Inputs,
    is_bad: Callable[[np.ndarray], np.ndarray],
    where: str,
    expected: str,
    names: tuple[str, ...],
) -> Finding | None:
    for row, part in chunks(x):
        if finding := first_bad_cell(
            part, is_bad(part), where, expected, first_row=row, feature_names=names
        ):
            return finding
    return None
