"""A network and its task -> functions with names that a person chose, for a SavedModel."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kfc.data import Task
from kfc.exporting.nan_guard import finite_rows

DEFAULT, ROWS = "serving_default", "rows"
NO_LABEL = ""
"""The label of a row that holds NaN, infinity or a number beyond float32."""
_NAN = float("nan")

Endpoint = tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]
"""A function of tensors that returns tensors by name, and what it takes."""


def endpoints(network: keras.Model, task: Task) -> dict[str, Endpoint]:
    """Returns signature -> (function, its inputs): preprocessing and class names inside.

    `serving_default` takes a batch as the network does, `image` (batch, height, ...) or
    `features` (batch, features); `rows` takes one input per column, (batch,), where columns
    have names. For classes both return `label` (batch,), `probability` (batch,),
    `probabilities` and `logits` (batch, classes); for a regression `value`, (batch,), or
    (batch, outputs) where it has several.
    """

    def answer(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return _answer(network(x, training=False), task)

    def answer_columns(*columns: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(tf.stack(columns, axis=1))

    (batch,) = network.inputs
    whole = tf.TensorSpec((None, *task.input_shape), task.input_dtype, name=batch.name)
    found: dict[str, Endpoint] = {DEFAULT: (answer, [whole])}
    if task.feature_names:
        found[ROWS] = (
            answer_columns,
            [
                tf.TensorSpec((None,), task.input_dtype, name=name)
                for name in column_names(task.feature_names)
            ],
        )
    return found


def column_names(columns: Sequence[str]) -> list[str]:
    """Returns a name for each column that every runtime takes: letters, digits and `_`.

    `sepal length (cm)` becomes `sepal_length_cm`; where two become equal they get a number,
    and what starts like one, or is a word of Python, begins with `column_`.
    """
    names: list[str] = []
    for column in columns:
        base = re.sub(r"\W+", "_", column, flags=re.ASCII).strip("_")
        # A signature is a Python function to TensorFlow, and a method.
        if not base or base[0].isdigit() or keyword.iskeyword(base) or base == "self":
            base = f"column_{base}".rstrip("_")
        name, number = base, 2
        while name.lower() in (taken.lower() for taken in names):
            name, number = f"{base}_{number}", number + 1
        names.append(name)
    return names


def outputs_by_name(outputs: Any, task: Task) -> dict[str, Any]:
    """Returns `logits` and `probabilities`, or `value`, from what the network returns.

    For a row with an output that is NaN or infinite, all of them are NaN.

    Args:
        outputs: Tensors, or Keras's symbolic ones, (batch, outputs).
        task: What the network was trained for.
    """
    ops = keras.ops
    finite = finite_rows(outputs)[:, None]  # (batch, 1)
    outputs = ops.where(finite, outputs, _NAN)
    if not task.classification:
        return {"value": ops.reshape(outputs, (-1,)) if task.outputs == 1 else outputs}
    if outputs.shape[1] == 1:  # one logit, that of the second of two classes
        zero = ops.where(finite, ops.zeros_like(outputs), _NAN)
        outputs = ops.concatenate([zero, outputs], axis=1)
    # Some runtimes' softmax passes NaN on; this does not depend on it.
    return {
        "logits": outputs,
        "probabilities": ops.where(finite, ops.softmax(outputs), _NAN),
    }


def output_shapes(task: Task, rows: int, *, serves: bool) -> dict[str, tuple[int, ...]]:
    """Returns the outputs by name of so many rows, and the shape of each.

    Args:
        task: What the network was trained for.
        rows: Their number.
        serves: Whether functions have signatures, which give labels too.
    """
    if not task.classification:
        return {"value": (rows,) if task.outputs == 1 else (rows, task.outputs)}
    shapes = dict.fromkeys(("logits", "probabilities"), (rows, len(task.class_names)))
    return {**shapes, **(dict.fromkeys(("label", "probability"), (rows,)) if serves else {})}


def _answer(outputs: tf.Tensor, task: Task) -> dict[str, tf.Tensor]:
    answer = outputs_by_name(outputs, task)
    if task.classification:
        finite = finite_rows(answer["logits"])
        best = tf.argmax(answer["probabilities"], axis=1)
        label = tf.gather(tf.constant(task.class_names), best)
        answer["label"] = tf.where(finite, label, NO_LABEL)
        highest = tf.reduce_max(answer["probabilities"], axis=1)
        answer["probability"] = tf.where(finite, highest, _NAN)
    return answer
