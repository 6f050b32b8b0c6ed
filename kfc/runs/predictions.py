"""Predicts class names and probabilities, or values, for raw rows."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kfc.data import Task
from kfc.data.sources import as_inputs
from kfc.errors import DataError, Finding, NumbersError, one_line
from kfc.findings import run_checks
from kfc.runs.scores import compute_outputs
from kfc.runs.table_rows import encoded_rows, typed_rows
from kfc.system import tensorflow_startup
from kfc.training import class_logits

_FIXED_BATCH = 256
_NONE = np.empty(0)
_FORMULA = ("=", "+", "-", "@")  # a tab starts one too, but `one_line` replaces it


class Predictions(NamedTuple):
    """Predictions of a network for some rows.

    Examples:
        >>> run = kfc.fit("digits", overrides={"training.epochs": 1}, verbose=False)
        >>> predictions = run.predict([[0.0] * 64] * 3)
        >>> predictions.label.shape, predictions.probabilities.shape
        ((3,), (3, 10))

    Args:
        label: Name of the most likely class, (rows,); empty for regression.
        probability: Probability of that class, in [0, 1], (rows,); empty for regression.
        probabilities: Probability of each class, (rows, classes); empty for regression.
        value: Predicted targets in their own units, (rows, outputs); empty for classes.
        lower: Lower bounds of the intervals of a regression, (rows, outputs); empty without
            `training.interval_coverage`.
        upper: Upper bounds, (rows, outputs).
    """

    label: np.ndarray
    probability: np.ndarray
    probabilities: np.ndarray
    value: np.ndarray
    lower: np.ndarray = _NONE
    upper: np.ndarray = _NONE


def predict(network: keras.Model, task: Task, x: Any) -> Predictions:
    """Returns the predictions of a network for raw rows.

    Args:
        network: Trained network that returns logits, or values.
        task: Task that the network was trained for.
        x: Raw inputs, (rows, *input_shape) or flattened, (rows, features).

    Raises:
        DataError: If the rows do not have the shape of the training rows, or hold NaN.
        NumbersError: If an output is NaN or infinite.
    """
    tensorflow_startup.check_process()
    # Eager calls: Keras's `predict` builds a pipeline for each call, 50 ms for a single row,
    # and the rewriting of its graph may turn NaN into 0, which would then get a class.
    return from_outputs(compute_outputs(network, raw_rows(x, task)), task)


def padded_outputs(network: keras.Model, x: np.ndarray) -> np.ndarray:
    """Returns the outputs of a network for encoded rows, (rows, outputs), float32.

    Every call of the network has the same number of rows, filled up with copies of the last
    one, so that the outputs of a row are the same bits whatever the other rows are: a product
    of other sizes adds in another order.

    Args:
        network: Trained network.
        x: Rows as the network takes them, (rows, ...), at least one.

    Raises:
        NumbersError: If an output is NaN or infinite.
    """
    tensorflow_startup.check_process()
    missing = -len(x) % _FIXED_BATCH
    padded = np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) if missing else x
    batches = (
        padded[first : first + _FIXED_BATCH] for first in range(0, len(x), _FIXED_BATCH)
    )
    outputs = [np.asarray(network(tf.constant(batch), training=False)) for batch in batches]
    found: np.ndarray = np.concatenate(outputs)[: len(x)]
    _check_finite(found)
    return found


def from_outputs(outputs: np.ndarray, task: Task) -> Predictions:
    """Returns the predictions for a network's outputs.

    Args:
        outputs: Logits, (rows, classes), or (rows, 1) for the second of two classes; or
            values, (rows, outputs).
        task: Task that the network was trained for.

    Raises:
        NumbersError: If an output is NaN or infinite.
    """
    _check_finite(outputs)
    if not task.classification:
        bounds = (_NONE, _NONE)
        if task.intervals is not None:
            half_widths = np.asarray(task.intervals.half_widths, outputs.dtype)
            bounds = outputs - half_widths, outputs + half_widths
        return Predictions(_NONE, _NONE, _NONE, outputs, *bounds)
    probabilities = np.asarray(keras.ops.softmax(class_logits(outputs)))
    best = probabilities.argmax(axis=1)
    labels = np.asarray(task.class_names)[best]
    return Predictions(labels, probabilities.max(axis=1), probabilities, _NONE)


def _check_finite(outputs: np.ndarray) -> None:
    if np.isfinite(outputs).all():
        return
    row, column = np.argwhere(~np.isfinite(outputs))[0]
    raise NumbersError(
        Finding(
            f"rows to predict, row {row}",
            "finite outputs",
            f"{outputs[row, column]}",
            "Check that row: its inputs may be far from the training rows.",
        )
    )


def table(
    predictions: Predictions, task: Task, kept: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Returns predictions as CSV: label, probability and one column per class; or values.

    The values come with the bounds of their intervals, if they have any.

    Class names come from the data and are not trusted. Characters that steer a terminal are
    escaped, and a text that a spreadsheet would compute, such as `=1+1`, gets an apostrophe
    in front. `--json` prints class names unchanged.

    Args:
        predictions: Predictions of a network.
        task: Task that the network was trained for.
        kept: Columns of the table to print first, by name.
    """
    if task.classification:
        names = ["label", "probability", *map(_cell, task.class_names)]
        rows = [
            [_cell(label), *(f"{number:.6f}" for number in (best, *row))]
            for label, best, row in zip(
                predictions.label,
                predictions.probability,
                predictions.probabilities,
                strict=True,
            )
        ]
    else:
        kinds = ["value"] if task.intervals is None else ["value", "lower", "upper"]
        ends = [""] if task.outputs == 1 else [f"_{i}" for i in range(task.outputs)]
        names = [f"{kind}{end}" for kind in kinds for end in ends]
        rows = np.hstack([getattr(predictions, kind) for kind in kinds]).tolist()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    first = kept or {}
    writer.writerow([*map(_cell, first), *names])
    for number, row in enumerate(rows):
        writer.writerow([*(_cell(values[number]) for values in first.values()), *row])
    return text.getvalue()


def _cell(label: str) -> str:
    """Returns a class name that is safe in a terminal and in a spreadsheet."""
    text = one_line(str(label))
    if not text.lstrip().startswith(_FORMULA):
        return text
    try:
        float(text)  # a class named -1 is a number, not a formula
    except ValueError:
        return f"'{text}"
    return text


def raw_rows(x: Any, task: Task) -> np.ndarray:
    """Returns rows in the shape and type that the network takes.

    Args:
        x: Raw inputs, (rows, *input_shape) or flattened, (rows, features); or a table.
        task: Task that the network was trained for.

    Raises:
        DataError: If the rows do not have the shape of the training rows, or hold NaN; or if
            a table does not have the columns of the training.
    """
    if task.table is not None:
        return encoded_rows(typed_rows(x, task), task)
    x = as_inputs(x, task.feature_names)
    if x.ndim >= 2 and _same_cells(x.shape[1:], task.input_shape):
        x = x.reshape(-1, *task.input_shape)
    elif x.shape == task.input_shape:
        raise DataError(
            Finding(
                "rows to predict",
                f"rows of shape {task.input_shape}",
                "a single one",
                "Use x[None] for one row.",
            )
        )
    elif x.ndim >= 2:
        raise DataError(
            Finding(
                "rows to predict",
                f"rows of shape {task.input_shape}, or flattened in that order",
                f"rows of shape {x.shape[1:]}",
                "Pass the features this run was trained on, with their axes in that order.",
            )
        )
    columns = task.feature_names if x.ndim == 2 else ()
    run_checks("inputs", x, "rows to predict", columns)
    run_checks("scaled", task.scaling, x, "rows to predict", columns)
    if task.input_dtype == "uint8" and x.dtype != np.uint8:
        # A cast of other numbers would warn or wrap around, so they are checked before it.
        if x.min() < 0 or x.max() > 255 or (x != np.floor(x)).any():
            raise DataError(
                Finding(
                    "rows to predict",
                    "raw pixels, whole numbers from 0 to 255",
                    f"{x.dtype} from {x.min():g} to {x.max():g}",
                    "Do not scale the rows: the model scales them.",
                )
            )
        return x.astype(np.uint8)
    return x.astype(task.input_dtype, copy=False)


def _same_cells(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Returns whether rows of one shape can be reshaped to the other without ambiguity.

    They can if the shapes differ only by axes of size 1, or if the rows are flattened. They
    also can if the network takes flat rows and the rows are pictures of (height, width).
    Pictures with a third axis are ambiguous: channels may come first or last.
    """
    long, long_wanted = (
        tuple(size for size in sizes if size != 1) for sizes in (shape, wanted)
    )
    is_picture = len(long) == 2 and long_wanted == (math.prod(long),)
    return is_picture or long in (long_wanted, (math.prod(wanted),))
