"""A guard against NaN: an exported network answers a row with NaN or infinity with NaN.

TensorFlow's graph optimizer, which TensorFlow Serving runs too, fuses a matrix product with
the activation that follows it. A NaN then becomes 0, and the row gets a class although it has
a missing value. Other runtimes treat NaN in other ways. So the guard checks the inputs of each
row and the inputs of each activation, and applies the result to the outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kfc.data import Task
from kfc.network import (
    ColumnProduct,
    averaged_network,
    member_networks,
    multiplies_columns,
    num_members,
    product_class,
    takes_joint_rows,
)

_LARGEST = float(np.finfo(np.float32).max)


def _copy_layer(layer: keras.Layer) -> keras.Layer:
    return type(layer).from_config(layer.get_config())


def add_nan_guard(
    network: keras.Model,
    task: Task,
    clone_function: Callable[[keras.Layer], keras.Layer] = _copy_layer,
    products: type[ColumnProduct] = ColumnProduct,
) -> keras.Model:
    """Returns a copy of a network whose outputs for a row are NaN if the row is not finite.

    They are NaN for a row with NaN, with infinity or with a number that float32 cannot hold,
    and for a row that gives an activation a NaN, such as infinity minus infinity. The outputs
    for other rows of the batch are those of the network. Integer inputs are always finite, so
    that their networks are copied without a guard.

    Args:
        network: A functional model, (batch, *input_shape) -> (batch, outputs).
        task: Task of the network.
        clone_function: Function that returns a copy of one layer, or another layer with equal
            weights, as for `keras.models.clone_model`.
        products: Layer that replaces an einsum of columns.
    """
    if networks := member_networks(network):
        options = task, clone_function, products
        copies = [add_nan_guard(each, *options) for each in networks]
        joint = takes_joint_rows(network, networks)
        return averaged_network(copies, task, joint=joint, guarded=True)
    if not np.issubdtype(np.dtype(task.input_dtype), np.floating):
        return _clone(
            network,
            clone_function,
            lambda layer, *args, **kwargs: layer(*args, **kwargs),
            products,
        )
    activations = {
        layer.name: layer.activation
        for layer in network.layers
        if type(layer) is keras.layers.Dense
        and layer.activation is not keras.activations.linear
    }
    preactivations: list[Any] = []  # (batch, units) each, or (members * batch, units)
    members = num_members(network)

    def without_activation(layer: keras.Layer) -> keras.Layer:
        if layer.name not in activations:
            return clone_function(layer)
        return keras.layers.Dense.from_config({**layer.get_config(), "activation": "linear"})

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        if layer.name not in activations:
            return outputs
        preactivations.append(outputs)
        # With the layer's dtype: a new layer would compute in float32 instead of bfloat16.
        activation = keras.layers.Activation(
            activations[layer.name], dtype=layer.dtype_policy, name=f"{layer.name}_guarded"
        )
        return activation(outputs)

    copy = _clone(network, without_activation, call, products)
    finite = rows_within(copy.input, _LARGEST)  # (batch,)
    for tensor in preactivations:
        fits = rows_within(tensor, float("inf"))
        if members > 1:
            fits = keras.ops.all(keras.ops.reshape(fits, (members, -1)), axis=0)
        finite = keras.ops.logical_and(finite, fits)
    outputs = keras.ops.where(finite[:, None], copy.output, float("nan"))
    return keras.Model(copy.input, outputs, name=network.name)


def finite_rows(tensor: Any) -> Any:
    """Returns whether all values of a row are finite numbers, (batch,) of bool."""
    return rows_within(tensor, _LARGEST)


def rows_within(tensor: Any, limit: float) -> Any:
    """Returns whether all values of a row are at most `limit` in size, (batch,) of bool.

    Every runtime has this comparison, which is false for NaN; not all of them have `isnan`.
    """
    ops = keras.ops
    fits = ops.less_equal(ops.absolute(tensor), limit)
    return ops.all(fits, axis=tuple(range(1, len(tensor.shape))))


def _clone(
    network: keras.Model,
    clone_function: Any,
    call_function: Any,
    products: type[ColumnProduct],
) -> keras.Model:
    """Returns a copy with weights of its own, so that the network is not changed.

    The weights of products are shared, which replace their layers.
    """

    def copied(layer: keras.Layer) -> keras.Layer:
        product = products if multiplies_columns(layer) else product_class(layer)
        return clone_function(layer) if product is None else product(layer)

    copy = keras.models.clone_model(
        network, clone_function=copied, call_function=call_function
    )
    # By name: the layers of a copy may come in another order if the network branches.
    for layer in network.layers:
        if layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy
