"""Data handed to `kfc.fit(spec, data=...)` -> a `Source`."""

from __future__ import annotations

from typing import Any

import numpy as np

from kfc.data.rows import Rows, Source
from kfc.errors import DataError, Fault

TARGETS = ("target", "label")
"""Names a DataFrame's target column may have."""


def from_memory(data: Any) -> Source:
    """Returns the rows of what a caller passed as `data=`.

    Args:
        data: `(x, y)`; `((x, y), (x_test, y_test))`; a DataFrame with a column `target` or
            `label`; or a `tf.data.Dataset` of `(x, y)`, of rows or of batches. Wherever x
            stands, a DataFrame of numbers will do.

    Raises:
        DataError: If it is none of these.
    """
    if isinstance(data, Source):
        return data
    if hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator"):
        return Source(_from_dataset(data))
    if hasattr(data, "columns"):
        return Source(_from_frame(data))
    if isinstance(data, (tuple, list)) and len(data) == 2:
        if all(isinstance(part, (tuple, list)) and len(part) == 2 for part in data) and all(
            hasattr(part[0], "shape") or hasattr(part[0], "columns") for part in data
        ):
            (x, y), (x_test, y_test) = data
            return Source(
                Rows(_array(x, "x"), _array(y, "y")),
                Rows(_array(x_test, "x_test"), _array(y_test, "y_test")),
            )
        return Source(Rows(_array(data[0], "x"), _array(data[1], "y")))
    raise _refused(f"{type(data).__name__}")


def _from_frame(frame: Any) -> Rows:
    found = [name for name in frame.columns if name in TARGETS]
    if len(found) != 1:
        columns = ", ".join(map(str, frame.columns))
        raise DataError(
            Fault(
                "data",
                f"a DataFrame with one column named {' or '.join(TARGETS)}",
                f"the columns {columns}",
                "Rename the target's column, or pass data=(frame of inputs, targets).",
            )
        )
    inputs = frame[[name for name in frame.columns if name != found[0]]]
    return Rows(_array(inputs, "x"), _array(frame[found[0]], "y"))


def _from_dataset(dataset: Any) -> Rows:
    if not isinstance(dataset.element_spec, tuple) or len(dataset.element_spec) != 2:
        raise _refused(f"a tf.data.Dataset of {dataset.element_spec}")
    if int(dataset.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        raise DataError(
            Fault(
                "data", "a data set that ends", "one that repeats for ever", "Drop repeat()."
            )
        )
    pairs = list(dataset.as_numpy_iterator())
    if not pairs:
        raise DataError(
            Fault("data", "at least one row", "an empty tf.data.Dataset", "Fill it.")
        )
    join = np.stack if dataset.element_spec[1].shape.rank == 0 else np.concatenate
    return Rows(join([x for x, _ in pairs]), join([y for _, y in pairs]))


def _array(values: Any, name: str) -> np.ndarray:
    if hasattr(values, "columns"):
        for column in values.columns:
            if values[column].dtype.kind not in "biuf":
                raise DataError(
                    Fault(
                        f"data, column {column!r}",
                        "numbers",
                        f"values such as {values[column].iloc[0]!r}",
                        "Drop the column, or turn it into numbers.",
                    )
                )
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:  # ragged lists
        raise DataError(
            Fault(f"data, {name}", "rows of the same shape", str(error), "Pass an array.")
        ) from error


def _refused(got: str) -> DataError:
    return DataError(
        Fault(
            "data",
            "(x, y), ((x, y), (x_test, y_test)), a DataFrame or a tf.data.Dataset of (x, y)",
            got,
            "Pass for example data=(x, y) with two NumPy arrays.",
        )
    )
