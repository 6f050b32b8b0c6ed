"""Encodes labelled rows for a trained network, which is then measured on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kfc.data import (
    Rows,
    Source,
    Task,
    check_rows,
    decode_text,
    no_label_per_row,
    reads_as_number,
)
from kfc.data.sources import from_memory
from kfc.errors import DataError, Finding
from kfc.runs.predictions import Predictions, raw_rows
from kfc.runs.table_rows import encode_labelled_table


@dataclass(frozen=True)
class RowsWithPredictions:
    """Rows with their targets and with a network's predictions.

    A confusion matrix is `sklearn.metrics.confusion_matrix(rows.y, rows.predictions.label)`.

    Args:
        x: Raw inputs, (rows, *input_shape); of a table the encoded rows, as `Run.encode`
            returns them, with the columns of `Task.feature_names`.
        y: Class names, (rows,), or target values, (rows, outputs), for a regression.
        predictions: Predictions of the network for these rows.
    """

    x: np.ndarray
    y: np.ndarray
    predictions: Predictions

    def __len__(self) -> int:
        return len(self.y)


def encode_labelled(data: Any, task: Task) -> Rows:
    """Returns labelled rows with inputs and targets as a trained network takes them.

    Args:
        data: `(x, y)`, a DataFrame with a column `target` or `label`, a `tf.data.Dataset` of
            `(x, y)`, or a `kfc.data.Source`, whose test rows are taken if it has any.
        task: Task that the network was trained for.

    Returns:
        Raw inputs, (rows, *input_shape), and targets: class numbers, (rows,), or float32,
        (rows, outputs).

    Raises:
        DataError: If the rows do not have the shape and the targets of the training rows.
    """
    if task.table is not None:
        rows = encode_labelled_table(data, task)
        _check_unweighted(rows, "rows to evaluate")
        if task.classification:
            return Rows(rows.x, _class_numbers(rows.y, task, "rows to evaluate"))
        return Rows(rows.x, _values(rows.y, task))
    source = data if isinstance(data, Source) else from_memory(data)
    several = source.test is not None or source.validation is not None
    if several and not isinstance(data, Source):
        raise DataError(
            Finding(
                "data",
                "labelled rows to measure, (x, y)",
                "training rows beside test or validation rows",
                "Pass one of the parts.",
            )
        )
    rows, where = source.test or source.train, "rows to evaluate"
    for place, got, wanted in (
        (where, source.feature_names, task.feature_names),
        (f"{where}, targets", source.targets, task.targets),
    ):
        if got and wanted and got != wanted:
            raise DataError(
                Finding(
                    place,
                    f"the columns {', '.join(wanted)}, in this order",
                    ", ".join(got),
                    "Use frame[columns] with the columns of the training.",
                )
            )
    _check_unweighted(rows, where)
    check_rows(rows, where)
    y = _class_numbers(rows.y, task, where) if task.classification else _values(rows.y, task)
    return Rows(raw_rows(rows.x[:], task), y)


def _check_unweighted(rows: Rows, where: str) -> None:
    """Refuses rows with weights."""
    if rows.sample_weight is not None:
        expected = "rows without weights: all of them count the same in an evaluation"
        raise DataError(Finding(where, expected, "weights", "Pass (x, y)."))


def decode_targets(y: np.ndarray, task: Task) -> np.ndarray:
    """Returns class names for class numbers, and the targets of a regression unchanged."""
    return np.asarray(task.class_names)[y] if task.classification else y


def _class_numbers(y: np.ndarray, task: Task, where: str) -> np.ndarray:
    """Returns the class number of each row, (rows,), from the name of its class.

    If no class name is a number, as in Fashion-MNIST, integers are taken as class numbers.
    """
    y = decode_text(y.reshape(len(y)) if y.size == len(y) else y)
    if y.ndim != 1:
        raise DataError(no_label_per_row(y, where))
    numbers = {name: number for number, name in enumerate(task.class_names)}
    names, places = np.unique(y, return_inverse=True)
    found = [_number(name, numbers) for name in names.tolist()]
    if None in found:
        unknown = names.tolist()[found.index(None)]
        row = int(np.flatnonzero(y == unknown)[0])
        known = ", ".join(task.class_names[:10]) + (
            ", ..." if len(task.class_names) > 10 else ""
        )
        raise DataError(
            Finding(
                f"{where}, row {row}",
                f"one of the {len(task.class_names)} classes {known}",
                str(unknown),
                "Drop rows of classes that are not in the training rows.",
            )
        )
    return np.asarray(found, np.int32)[places]


def _number(name: Any, numbers: dict[str, int]) -> int | None:
    if str(name) in numbers:
        return numbers[str(name)]
    if isinstance(name, float) and name.is_integer():
        name = int(name)
        if str(name) in numbers:
            return numbers[str(name)]
    elif isinstance(name, int) and not isinstance(name, bool) and f"{name}.0" in numbers:
        return numbers[f"{name}.0"]
    has_names = not any(reads_as_number(label) for label in numbers)
    is_integer = isinstance(name, int) and not isinstance(name, bool)
    return name if has_names and is_integer and 0 <= name < len(numbers) else None


def _values(y: np.ndarray, task: Task) -> np.ndarray:
    if y.dtype.kind not in "biuf" or y.size != len(y) * task.outputs:
        raise DataError(
            Finding(
                "rows to evaluate, targets",
                f"numbers, {task.outputs} for each row",
                f"{y.dtype} of shape {y.shape}",
                "Pass the targets this run was trained on.",
            )
        )
    return y.astype(np.float32).reshape(len(y), task.outputs)
