"""Signatures of a SavedModel: functions with named inputs and named outputs."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kfc.data import Task
from kfc.exporting.nan_guard import finite_rows
from kfc.preprocessing import TableEncoding

DEFAULT, ROWS = "serving_default", "rows"
NO_LABEL = ""
"""The label of a row that holds NaN, infinity or a number beyond float32."""
_NAN = float("nan")

Endpoint = tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]
"""A function from tensors to outputs by name, and the specs of its inputs."""


def endpoints(network: keras.Model, task: Task) -> dict[str, Endpoint]:
    """Returns signature -> (function, its inputs), with preprocessing and class names inside.

    `serving_default` takes a batch like the network, `image` (batch, height, ...) or
    `features` (batch, features). If the features have names, `rows` takes one input for each,
    (batch,). For classes both return `label` (batch,), `probability` (batch,),
    `probabilities` and `logits` (batch, classes); for a regression `value`, (batch,) for one
    output, else (batch, outputs), and with intervals `lower` and `upper` of the same shape.
    """

    def predict(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return _predict(network(x, training=False), task)

    def predict_features(*features: tf.Tensor) -> dict[str, tf.Tensor]:
        return predict(tf.stack(features, axis=1))

    (batch,) = network.inputs
    spec = tf.TensorSpec((None, *task.input_shape), task.input_dtype, name=batch.name)
    found: dict[str, Endpoint] = {DEFAULT: (predict, [spec])}
    if task.feature_names:
        found[ROWS] = (
            predict_features,
            [
                tf.TensorSpec((None,), task.input_dtype, name=name)
                for name in input_names(task.feature_names)
            ],
        )
    return found


def table_endpoint(model: keras.Model, network: keras.Model, task: Task) -> Endpoint:
    """Returns the function of `serving_default` for a table, and its inputs.

    It takes one input for each raw column, (batch,), and returns the outputs of `endpoints`.

    Args:
        model: Model that takes raw columns by name.
        network: Network in it, which takes encoded rows.
        task: Task of the network.
    """
    inputs = encoding_of(task).input_names((network.name,))
    names = column_names(network, task)
    dtypes = {each.name: each.dtype for each in model.inputs}

    def predict(*columns: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = dict(zip(inputs.values(), columns, strict=True))
        return _predict(model(raw, training=False), task)

    specs = [
        tf.TensorSpec((None,), dtypes[inputs[column]], name=name)
        for column, name in names.items()
    ]
    return predict, specs


def column_names(network: keras.Model, task: Task) -> dict[str, str]:
    """Returns the name of each column of a table in the signature.

    Args:
        network: Network that takes encoded rows.
        task: Task of the network.
    """
    return encoding_of(task).signature_names((network.name,))


def encoding_of(task: Task) -> TableEncoding:
    """Returns the encoding of a network's table."""
    if task.encoding is None:
        raise TypeError("task.encoding: expected the encoding of a table, got None")
    return task.encoding


def input_names(feature_names: Sequence[str]) -> list[str]:
    """Returns for each feature an input name with letters, digits and `_`, as runtimes need.

    `sepal length (cm)` becomes `sepal_length_cm`. A name that exists already gets a number; a
    name that begins with a digit, or is a word of Python, gets the prefix `column_`.
    """
    names: list[str] = []
    for feature_name in feature_names:
        base = re.sub(r"\W+", "_", feature_name, flags=re.ASCII).strip("_")
        # TensorFlow turns a signature into a Python method with these arguments.
        if not base or base[0].isdigit() or keyword.iskeyword(base) or base == "self":
            base = f"column_{base}".rstrip("_")
        name, number = base, 2
        while name.lower() in (taken.lower() for taken in names):
            name, number = f"{base}_{number}", number + 1
        names.append(name)
    return names


def outputs_by_name(outputs: Any, task: Task) -> dict[str, Any]:
    """Returns `logits` and `probabilities`, or `value`, for the outputs of a network.

    Beside `value` are the bounds `lower` and `upper` where the task has intervals.

    For a row with an output that is NaN or infinite, all of them are NaN.

    Args:
        outputs: Tensors or symbolic Keras tensors, (batch, outputs).
        task: Task of the network.
    """
    ops = keras.ops
    finite = finite_rows(outputs)[:, None]  # (batch, 1)
    outputs = ops.where(finite, outputs, _NAN)
    if not task.classification:
        by_name = {"value": outputs}
        if task.intervals is not None:
            half_widths = np.asarray(task.intervals.half_widths, np.float32)
            by_name |= {"lower": outputs - half_widths, "upper": outputs + half_widths}
        if task.outputs > 1:
            return by_name
        return {name: ops.reshape(each, (-1,)) for name, each in by_name.items()}
    if outputs.shape[1] == 1:  # one logit, of the second of two classes
        zero = ops.where(finite, ops.zeros_like(outputs), _NAN)
        outputs = ops.concatenate([zero, outputs], axis=1)
    # The softmax of some runtimes answers NaN with numbers.
    return {
        "logits": outputs,
        "probabilities": ops.where(finite, ops.softmax(outputs), _NAN),
    }


def output_shapes(task: Task, rows: int, *, serves: bool) -> dict[str, tuple[int, ...]]:
    """Returns output name -> its shape.

    Args:
        task: Task of the network.
        rows: Number of rows.
        serves: Whether the format has signatures, which return labels too.
    """
    if not task.classification:
        names = ("value",) if task.intervals is None else ("value", "lower", "upper")
        return dict.fromkeys(names, (rows,) if task.outputs == 1 else (rows, task.outputs))
    shapes = dict.fromkeys(("logits", "probabilities"), (rows, len(task.class_names)))
    return {**shapes, **(dict.fromkeys(("label", "probability"), (rows,)) if serves else {})}


def _predict(outputs: tf.Tensor, task: Task) -> dict[str, tf.Tensor]:
    by_name = outputs_by_name(outputs, task)
    if task.classification:
        finite = finite_rows(by_name["logits"])
        best = tf.argmax(by_name["probabilities"], axis=1)
        label = tf.gather(tf.constant(task.class_names), best)
        by_name["label"] = tf.where(finite, label, NO_LABEL)
        highest = tf.reduce_max(by_name["probabilities"], axis=1)
        by_name["probability"] = tf.where(finite, highest, _NAN)
    return by_name
