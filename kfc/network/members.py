"""Members: networks that share their hidden layers and differ in their first and last weights.

A member scales the inputs by numbers of its own and has an output layer of its own; this is
TabM-mini of Gorishniy, Kotelnikov and Babenko, "TabM: advancing tabular deep learning with
parameter-efficient ensembling", 2025, https://arxiv.org/abs/2410.24210. Each member learns by
its own loss, and the network answers with the average of their answers.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kfc.data import Task
from kfc.network.averaged import SMALLEST
from kfc.network.table_inputs import input_columns
from kfc.spec import Spec

MEMBER_SCALE = "member_scale"
"""Name of the layer that makes the members' inputs."""

_SCALE, _HEADS = "bd,kd->bkd", "bki,kic->bkc"


def with_members(x: Any, members: int) -> Any:
    """Adds the layer that gives each member inputs of its own.

        y_bkd = r_kd x_bd

    `initial_member_scale` returns its first weights; the layer begins with zeros.

    Args:
        x: Symbolic inputs, (batch, inputs).
        members: Number of members.

    Returns:
        Symbolic inputs of the members, (batch, members, inputs).
    """
    return keras.layers.EinsumDense(
        _SCALE,
        output_shape=(members, x.shape[-1]),
        kernel_initializer="zeros",
        name=MEMBER_SCALE,
    )(x)


def member_logits(x: Any, outputs: int) -> Any:
    """Adds the output layers of all members.

        y_bkc = sum_i x_bki w_kic + b_kc

    Args:
        x: Symbolic inputs, (batch, members, inputs).
        outputs: Number of outputs of each member.

    Returns:
        Symbolic outputs of the members, (batch, members, outputs).
    """
    return keras.layers.EinsumDense(
        _HEADS,
        output_shape=(x.shape[1], outputs),
        bias_axes="kc",
        # Keras would count the inputs of all members together: `build` draws member by member.
        kernel_initializer="zeros",
        name="logits",
    )(x)


def initial_member_scale(spec: Spec, task: Task, seed: int) -> np.ndarray:
    """Returns the first weights of `member_scale`, (members, inputs), float32.

    A member has one random number for each column, which all inputs share that come from the
    column: a normal one beside an embedding of numbers, otherwise 1 or -1. Members differ by
    nothing else at the start but their output layers.

    Args:
        spec: Spec of the network.
        task: Task of the network.
        seed: Seed of the numbers.
    """
    columns = input_columns(spec, task)
    generator = np.random.default_rng(seed)
    shape = spec.network.members, int(columns.max()) + 1
    if spec.network.numeric_embedding is not None:
        of_column = generator.normal(size=shape)
    else:
        of_column = generator.choice((-1.0, 1.0), size=shape)
    return of_column[:, columns].astype(np.float32)


def average_of_members(outputs: Any, *, classification: bool) -> Any:
    """Returns the answer of a network with members, (batch, outputs).

    For classes it has the average of the members' probabilities,

        log(mean_k softmax(y_k))    or, of one logit for the second of two classes,
        log(mean_k sigmoid(y_k)) - log(mean_k sigmoid(-y_k))

    For numbers it is the mean of the values.

    Args:
        outputs: Outputs of the members, (batch, members, outputs).
        classification: Whether they are logits.
    """
    ops = keras.ops
    if not classification:
        return ops.mean(outputs, axis=1)
    if outputs.shape[-1] > 1:
        return _log(ops.mean(ops.softmax(outputs), axis=1))
    second, first = (ops.mean(ops.sigmoid(each), axis=1) for each in (outputs, -outputs))
    return _log(second) - _log(first)


def _log(probabilities: Any) -> Any:
    return keras.ops.log(keras.ops.maximum(probabilities, SMALLEST))


def num_members(network: keras.Model) -> int:
    """Returns the number of members of a network, 1 if it has none."""
    for layer in network.layers:
        if layer.name == MEMBER_SCALE:
            return int(layer.weights[0].shape[0])
    return 1


def without_average(network: keras.Model) -> keras.Model:
    """Returns a network whose outputs are those of its members, (batch, members, outputs).

    Args:
        network: Network as `build` returns it; one without members is returned itself.
    """
    if not any(map(is_member_logits, network.layers)):
        return network
    last = [layer.output for layer in network.layers if layer.name in ("logits", "value")]
    return keras.Model(network.inputs[0], last[-1], name=network.name)


def scales_members(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer makes the members' inputs, as `with_members` does."""
    return type(layer) is keras.layers.EinsumDense and layer.equation == _SCALE


def is_member_logits(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer has an output layer for each member."""
    return type(layer) is keras.layers.EinsumDense and layer.equation == _HEADS
