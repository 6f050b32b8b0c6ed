"""A network -> the same network, which answers NaN for a row that holds NaN or infinity.

TensorFlow's remapper, which TensorFlow Serving runs too, fuses a product with the activation
that follows it, so that a NaN becomes 0 and a class is returned for a row without a value.
Other runtimes have their own ways to treat NaN in an activation. So each row is judged by its
inputs and by what each activation is given, and the verdict is applied to the outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kfc.data import Task

_LARGEST = float(np.finfo(np.float32).max)


def _as_it_is(layer: keras.Layer) -> keras.Layer:
    return type(layer).from_config(layer.get_config())


def guarded(
    network: keras.Model,
    task: Task,
    copied: Callable[[keras.Layer], keras.Layer] = _as_it_is,
) -> keras.Model:
    """Returns a copy of a network whose outputs for a row are all NaN where they must be.

    They are NaN for a row with NaN, with infinity or with a number that float32 cannot hold,
    and for a row of which an activation is given NaN, as infinity minus infinity gives one.
    Other rows of the batch are answered as the network itself answers them. Inputs of whole
    numbers hold none of these, so their networks are copied without a guard.

    Args:
        network: A functional model, (batch, *input_shape) -> (batch, outputs).
        task: What it was trained for.
        copied: A function that copies one layer, or makes another with equal weights.
    """
    if not np.issubdtype(np.dtype(task.input_dtype), np.floating):
        return _clone(network, copied, lambda layer, *args, **kwargs: layer(*args, **kwargs))
    activations = {
        layer.name: layer.activation
        for layer in network.layers
        if type(layer) is keras.layers.Dense
        and layer.activation is not keras.activations.linear
    }
    seen: list[Any] = []

    def without_activation(layer: keras.Layer) -> keras.Layer:
        if layer.name not in activations:
            return copied(layer)
        return keras.layers.Dense.from_config({**layer.get_config(), "activation": "linear"})

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        if layer.name not in activations:
            return outputs
        seen.append(outputs)
        # Its type too: a new layer would compute in float32 what was bfloat16.
        activation = keras.layers.Activation(
            activations[layer.name], dtype=layer.dtype_policy, name=f"{layer.name}_guarded"
        )
        return activation(outputs)

    same = _clone(network, without_activation, call)
    good = rows_within(same.input, _LARGEST)
    for tensor in seen:
        good = keras.ops.logical_and(good, rows_within(tensor, float("inf")))
    outputs = keras.ops.where(good[:, None], same.output, float("nan"))
    return keras.Model(same.input, outputs, name=network.name)


def finite_rows(tensor: Any) -> Any:
    """Returns whether all of a row are finite numbers, (batch,) of bool."""
    return rows_within(tensor, _LARGEST)


def rows_within(tensor: Any, limit: float) -> Any:
    """Returns whether all of a row are numbers of at most this size, (batch,) of bool.

    Every runtime has this comparison, which is false for NaN; not all of them have `isnan`.
    """
    ops = keras.ops
    fits = ops.less_equal(ops.absolute(tensor), limit)
    return ops.all(fits, axis=tuple(range(1, len(tensor.shape))))


def _clone(network: keras.Model, copied: Any, call: Any) -> keras.Model:
    """Returns a copy with weights of its own, so that the network stays as it is."""
    same = keras.models.clone_model(network, clone_function=copied, call_function=call)
    # By name: where layers branch, those of a copy may come in another order.
    for layer in network.layers:
        if layer.weights:
            same.get_layer(layer.name).set_weights(layer.get_weights())
    return same
