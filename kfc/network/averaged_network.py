"""A network that averages the answers of several networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kfc.data import Task

SMALLEST = 1e-37
"""A probability below this counts as this, so that its logarithm is finite."""


def averaged_network(networks: Sequence[keras.Model], tasks: Sequence[Task]) -> keras.Model:
    """Returns a plain network whose outputs stand for the average of several networks.

    For classes the probabilities are averaged, and the outputs are their logarithms, of which
    the softmax is the average:

        outputs = log(mean over members of softmax(logits of the member))

    For numbers the values are averaged. Networks of arrays get the same row; networks of a
    table get their own part of the joint row, see `kfc.preprocessing.JointEncoding`.

    Args:
        networks: Trained networks, of the same columns and classes; they share their weights
            with the result.
        tasks: Task of each network.

    Returns:
        A functional model, (batch, features) -> (batch, outputs), whose layers are `member_1`
        to `member_n`.
    """
    first, ops = tasks[0], keras.ops
    (batch,) = networks[0].inputs
    if first.encoding is None:
        x = keras.Input(first.input_shape, dtype=first.input_dtype, name=batch.name)
        rows = [x] * len(networks)
    else:
        sizes = [task.input_shape[0] for task in tasks]
        x = keras.Input((sum(sizes),), dtype=first.input_dtype, name=batch.name)
        ends = np.cumsum(sizes).tolist()
        rows = [x[:, end - size : end] for end, size in zip(ends, sizes, strict=True)]
    outputs = [
        keras.Model(network.inputs, network.outputs[0], name=f"member_{number}")(row)
        for number, (network, row) in enumerate(zip(networks, rows, strict=True), 1)
    ]
    if first.classification:
        probabilities = [ops.softmax(_class_logits(each)) for each in outputs]
        average = ops.mean(ops.stack(probabilities), axis=0)
        y = ops.log(ops.maximum(average, SMALLEST))
    else:
        y = ops.mean(ops.stack(outputs), axis=0)
    return keras.Model(x, y, name="network")


def member_networks(network: keras.Model) -> list[keras.Model]:
    """Returns the members of an averaged network; none for another network."""
    members = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    return sorted(members, key=lambda member: int(member.name.rpartition("_")[2]))


def _class_logits(logits: Any) -> Any:
    """Returns a logit for each class, where one logit may stand for the second of two."""
    if logits.shape[1] > 1:
        return logits
    return keras.ops.concatenate([keras.ops.zeros_like(logits), logits], axis=1)
