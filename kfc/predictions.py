"""Raw rows -> labels and probabilities, or values."""

from __future__ import annotations

import csv
import io
from typing import Any, NamedTuple

import keras
import numpy as np

from kfc.data import Task
from kfc.data.checks import check_inputs
from kfc.data.memory import as_inputs
from kfc.errors import DataError, Fault

_BATCH = 1024


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
    outputs = network.predict(raw_rows(x, task), batch_size=_BATCH, verbose=0)
    return from_outputs(np.asarray(outputs), task)


def from_outputs(outputs: np.ndarray, task: Task) -> Predictions:
    """Returns what a network's outputs mean.

    Args:
        outputs: Logits, (rows, classes), or one per row for the second of two classes; or
            values, (rows, outputs).
        task: What the network was trained for.
    """
    none = np.empty(0)
    if not task.classification:
        return Predictions(none, none, none, outputs)
    probabilities = np.asarray(keras.ops.softmax(class_logits(outputs)))
    best = probabilities.argmax(axis=1)
    labels = np.asarray(task.labels)[best]
    return Predictions(labels, probabilities.max(axis=1), probabilities, none)


def class_logits(outputs: np.ndarray) -> np.ndarray:
    """Returns a logit for each class, (rows, classes).

    Args:
        outputs: Those, or one per row: of two classes, where that of the first is 0.
    """
    if outputs.shape[1] > 1:
        return outputs
    return np.hstack([np.zeros_like(outputs), outputs])


def table(predictions: Predictions, task: Task) -> str:
    """Returns predictions as CSV: label, probability and one column per class; or values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if task.classification:
        writer.writerow(["label", "probability", *task.labels])
        for label, best, row in zip(
            predictions.label, predictions.probability, predictions.probabilities, strict=True
        ):
            writer.writerow([label, f"{best:.6f}", *(f"{p:.6f}" for p in row)])
    else:
        names = ["value"] if task.outputs == 1 else [f"value_{i}" for i in range(task.outputs)]
        writer.writerow(names)
        writer.writerows(predictions.value.tolist())
    return text.getvalue()


def raw_rows(x: Any, task: Task) -> np.ndarray:
    """Returns rows as the network takes them, in its own shape and type.

    Args:
        x: Raw inputs, (rows, *input_shape) or flattened, (rows, features).
        task: What the network was trained for.

    Raises:
        DataError: If they are not rows of the kind it was trained on.
    """
    x = as_inputs(x, task.columns)
    if x.shape == task.input_shape:
        raise DataError(
            Fault(
                "rows to predict",
                f"rows of shape {task.input_shape}",
                "a single one",
                "Use x[None] for one row.",
            )
        )
    if x.shape[1:] != task.input_shape and x.ndim >= 2:
        if np.prod(x.shape[1:]) != np.prod(task.input_shape):
            raise DataError(
                Fault(
                    "rows to predict",
                    f"rows of shape {task.input_shape}",
                    f"{x.shape[1:]}",
                    "Give the features this run was trained on.",
                )
            )
        x = x.reshape(-1, *task.input_shape)
    check_inputs(x, "rows to predict")
    if task.input_dtype == "uint8" and x.dtype != np.uint8:
        whole = x.astype(np.uint8)
        if not np.array_equal(whole, x):
            raise DataError(
                Fault(
                    "rows to predict",
                    "raw pixels, whole numbers from 0 to 255",
                    f"{x.dtype} from {x.min():g} to {x.max():g}",
                    "Leave scaling to the model: it is inside.",
                )
            )
        return whole
    return x.astype(task.input_dtype, copy=False)
