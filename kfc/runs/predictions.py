"""Raw rows -> labels and probabilities, or values."""

from __future__ import annotations

import csv
import io
import math
from typing import Any, NamedTuple

import keras
import numpy as np

from kfc.compat import without_graph_rewriting
from kfc.data import Task, check_inputs, check_scaled_finite
from kfc.data.sources import as_inputs
from kfc.errors import DataError, Finding, NumbersError, one_line
from kfc.system import tensorflow_startup

_BATCH = 1024
_FORMULA = ("=", "+", "-", "@")  # and a tab, which `one_line` makes a blank


class Predictions(NamedTuple):
    """What a network says of some rows.

    Args:
        label: Name of the likeliest class, (rows,); empty for regression.
        probability: Of that class, in [0, 1], (rows,); empty for regression.
        probabilities: Of each class, (rows, classes); empty for regression.
        value: (rows, outputs), in the target's own units; empty for classes.
    """

    label: np.ndarray
    probability: np.ndarray
    probabilities: np.ndarray
    value: np.ndarray


def predict(network: keras.Model, task: Task, x: Any) -> Predictions:
    """Returns what `network` says of raw rows.

    Args:
        network: A trained network that returns logits, or values.
        task: What it was trained for.
        x: Raw inputs, (rows, *input_shape) or flattened, (rows, features).

    Raises:
        DataError: If they are not rows of the kind the network was trained on.
    """
    tensorflow_startup.check_process()
    # A graph that TensorFlow rewrites may turn NaN into 0, and answer it with a class.
    with without_graph_rewriting():
        outputs = network.predict(raw_rows(x, task), batch_size=_BATCH, verbose=0)
    return from_outputs(np.asarray(outputs), task)


def from_outputs(outputs: np.ndarray, task: Task) -> Predictions:
    """Returns what a network's outputs mean.

    Args:
        outputs: Logits, (rows, classes), or one per row for the second of two classes; or
            values, (rows, outputs).
        task: What the network was trained for.

    Raises:
        NumbersError: If one is NaN or infinite.
    """
    _check_finite(outputs)
    none = np.empty(0)
    if not task.classification:
        return Predictions(none, none, none, outputs)
    probabilities = np.asarray(keras.ops.softmax(class_logits(outputs)))
    best = probabilities.argmax(axis=1)
    labels = np.asarray(task.class_names)[best]
    return Predictions(labels, probabilities.max(axis=1), probabilities, none)


def _check_finite(outputs: np.ndarray) -> None:
    if np.isfinite(outputs).all():
        return
    row, column = np.argwhere(~np.isfinite(outputs))[0]
    raise NumbersError(
        Finding(
            f"rows to predict, row {row}",
            "finite outputs",
            f"{outputs[row, column]}",
            "Check that row: its inputs are far from those of the training.",
        )
    )


def class_logits(outputs: np.ndarray) -> np.ndarray:
    """Returns a logit for each class, (rows, classes).

    Args:
        outputs: Those, or one per row: of two classes, where that of the first is 0.
    """
    if outputs.shape[1] > 1:
        return outputs
    return np.hstack([np.zeros_like(outputs), outputs])


def table(predictions: Predictions, task: Task) -> str:
    """Returns predictions as CSV: label, probability and one column per class; or values.

    Labels are other people's text. What a terminal would obey is escaped, and text that a
    spreadsheet would compute, such as `=1+1`, has an apostrophe in front; `--json` has
    labels as they are.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if task.classification:
        writer.writerow(["label", "probability", *map(_cell, task.class_names)])
        for label, best, row in zip(
            predictions.label, predictions.probability, predictions.probabilities, strict=True
        ):
            numbers = (f"{number:.6f}" for number in (best, *row))
            writer.writerow([_cell(label), *numbers])
    else:
        names = ["value"] if task.outputs == 1 else [f"value_{i}" for i in range(task.outputs)]
        writer.writerow(names)
        writer.writerows(predictions.value.tolist())
    return text.getvalue()


def _cell(label: str) -> str:
    """Returns a label that neither steers a terminal nor is a spreadsheet's formula."""
    text = one_line(str(label))
    if not text.lstrip().startswith(_FORMULA):
        return text
    try:
        float(text)  # -1 is a number, and stays one
    except ValueError:
        return f"'{text}"
    return text


def raw_rows(x: Any, task: Task) -> np.ndarray:
    """Returns rows as the network takes them, in its own shape and type.

    Args:
        x: Raw inputs, (rows, *input_shape) or flattened, (rows, features).
        task: What the network was trained for.

    Raises:
        DataError: If they are not rows of the kind it was trained on.
    """
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
                "Give the features this run was trained on, with their axes in that order.",
            )
        )
    columns = task.feature_names if x.ndim == 2 else ()
    check_inputs(x, "rows to predict", columns)
    check_scaled_finite(task.scaling, x, "rows to predict", columns)
    if task.input_dtype == "uint8" and x.dtype != np.uint8:
        # Looked at before they are cast: what does not fit would warn, or wrap around.
        if x.min() < 0 or x.max() > 255 or (x != np.floor(x)).any():
            raise DataError(
                Finding(
                    "rows to predict",
                    "raw pixels, whole numbers from 0 to 255",
                    f"{x.dtype} from {x.min():g} to {x.max():g}",
                    "Leave scaling to the model: it is inside.",
                )
            )
        return x.astype(np.uint8)
    return x.astype(task.input_dtype, copy=False)


def _same_cells(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Returns whether a row of one shape holds its cells in the order of the other shape.

    It does where they differ by axes of size 1 only, where the row is flattened, and where a
    network of flat rows is asked about pictures of height and width, which are flattened in
    one way only. With a third axis there would be several: channels come first or last.
    """
    long, long_wanted = (
        tuple(size for size in sizes if size != 1) for sizes in (shape, wanted)
    )
    is_picture = len(long) == 2 and long_wanted == (math.prod(long),)
    return is_picture or long in (long_wanted, (math.prod(wanted),))
