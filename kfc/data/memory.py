"""Data handed to `kfc.fit(spec, data=...)` -> a `Source`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kfc.data.datasets import from_dataset, refused_data
from kfc.data.frames import check_frame, listed
from kfc.data.mapped import Mapped
from kfc.data.rows import Rows, Source
from kfc.errors import DataError, Fault

TARGETS = ("target", "label")
"""Names a DataFrame's target column may have."""


def from_memory(data: Any) -> Source:
    """Returns the rows of what a caller passed as `data=`.

    Args:
        data: `(x, y)` or `(x, y, sample_weight)`; one of these and test rows, as in `((x, y),
            (x_test, y_test))`; a DataFrame with a column `target` or `label`; or a
            `tf.data.Dataset` of `(x, y)` or `(x, y, sample_weight)`, of rows or of batches.
            Wherever x stands, a DataFrame of numbers will do.

    Raises:
        DataError: If it is none of these.
    """
    if isinstance(data, Source):
        return data
    if hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator"):
        return Source(from_dataset(data))
    if hasattr(data, "columns"):
        return _from_frame(data)
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise refused_data(type(data).__name__)
    if not all(_is_rows(part) for part in data):
        return Source(_rows(data), columns=_columns(data[0]))
    if len(data) == 3:
        raise refused_data("three parts with inputs of their own")
    train, test = data
    _check_columns(train[0], test[0])
    return Source(_rows(train), _rows(test, "_test"), columns=_columns(train[0]))


def as_inputs(x: Any, columns: tuple[str, ...]) -> np.ndarray:
    """Returns rows to predict as an array.

    Args:
        x: An array, nested lists, or a DataFrame.
        columns: Names of the training inputs; empty where they had none.

    Raises:
        DataError: If it is none of these, or a DataFrame of other columns.
    """
    if isinstance(x, (str, bytes)) or x is None or hasattr(x, "element_spec"):
        raise DataError(
            Fault(
                "rows to predict",
                "an array or a DataFrame of inputs",
                type(x).__name__,
                "Pass for example run.predict(x) with a NumPy array.",
            )
        )
    if hasattr(x, "columns") and columns and tuple(map(str, x.columns)) != columns:
        raise DataError(
            Fault(
                "rows to predict",
                f"the columns {listed(columns)}, in this order",
                listed(x.columns),
                "Use frame[columns] with the columns of the training.",
            )
        )
    return _array(x, "rows to predict")


def _is_rows(part: Any) -> bool:
    """Whether `part` is itself (x, y) or (x, y, sample_weight), rather than an array."""
    return (
        isinstance(part, (tuple, list))
        and len(part) in (2, 3)
        and len(getattr(part[0], "shape", ())) > 0
    )


def _rows(parts: Sequence[Any], suffix: str = "") -> Rows:
    """Returns the rows of (x, y) or (x, y, sample_weight)."""
    names = ("x", "y", "sample_weight")
    return Rows(
        *(_array(part, name + suffix) for part, name in zip(parts, names, strict=False))
    )


def _columns(x: Any) -> tuple[str, ...]:
    return tuple(map(str, x.columns)) if hasattr(x, "columns") else ()


def _from_frame(frame: Any) -> Source:
    found = [name for name in frame.columns if name in TARGETS]
    if len(found) != 1:
        raise DataError(
            Fault(
                "data",
                f"a DataFrame with one column named {' or '.join(TARGETS)}",
                f"the columns {listed(frame.columns)}",
                "Rename the target's column, or pass data=(frame of inputs, targets).",
            )
        )
    inputs = frame[[name for name in frame.columns if name != found[0]]]
    rows = Rows(_array(inputs, "x"), _array(frame[found[0]], "y"))
    return Source(rows, columns=_columns(inputs))


def _array(values: Any, name: str) -> Any:
    if isinstance(values, np.memmap) and name == "x":
        return Mapped(values)
    if hasattr(values, "columns"):
        check_frame(values, name)
    try:
        if hasattr(values, "columns") or _is_nullable(values):
            return _numbers(values)
        if isinstance(values, np.ma.MaskedArray):
            return values  # with its mask, which the checks refuse
        return np.asarray(values)
    except (ValueError, TypeError) as error:  # ragged lists
        raise DataError(
            Fault(f"data, {name}", "rows of the same shape", str(error), "Pass an array.")
        ) from error


def _check_columns(x: Any, x_test: Any) -> None:
    if not (hasattr(x, "columns") and hasattr(x_test, "columns")):
        return
    wanted, got = list(x.columns), list(x_test.columns)
    if wanted != got:
        raise DataError(
            Fault(
                "data, test rows",
                f"the columns {listed(wanted)}, in this order",
                listed(got),
                "Select them with x_test[x.columns].",
            )
        )


def _is_nullable(values: Any) -> bool:
    """Whether `values` is a pandas column of numbers with missing ones marked aside."""
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    return hasattr(values, "to_numpy") and kind in "biuf" and bool(values.isna().any())


def _numbers(values: Any) -> np.ndarray:
    """Returns a pandas object of numbers as an array; what is missing becomes NaN."""
    array = values.to_numpy()
    if array.dtype.kind == "O":
        array = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(array)
