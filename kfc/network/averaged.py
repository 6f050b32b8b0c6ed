"""A network that averages the answers of several networks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kfc.data import Task
from kfc.network.finishing import finished

SMALLEST = 1e-37
"""A probability below this counts as this, so that its logarithm is finite."""
_MEMBER = re.compile(r"member_\d+")
_LARGEST = float(np.finfo(np.float32).max)


def averaged_network(
    networks: Sequence[keras.Model], task: Task, *, joint: bool, guarded: bool = False
) -> keras.Model:
    """Returns a plain network whose outputs stand for the average of several networks.

    For classes the probabilities are averaged, and the outputs are their logarithms, of which
    the softmax is the average:

        outputs = log(mean over members of softmax(logits of the member))

    A member that is calibrated has its own temperature in its logits. If the task has a
    temperature too, it is that of the average, by which these outputs are divided.

    For numbers the values are averaged.

    Args:
        networks: Trained networks, of the same columns and classes; they share their weights
            with the result.
        task: Task of the average.
        joint: Whether each network gets its own part of a joint row, the encoded row of a
            table, see `kfc.preprocessing.JointEncoding`; otherwise all get the same row.
        guarded: Whether the outputs for a row are NaN if those of any network are, also in a
            runtime whose softmax of NaN is a number.

    Returns:
        A functional model, (batch, features) -> (batch, outputs), whose layers are `member_1`
        to `member_n`.
    """
    ops, batches = keras.ops, [network.inputs[0] for network in networks]
    shape = tuple(batches[0].shape[1:])
    sizes = [each.shape[1] for each in batches]
    x = keras.Input(
        (sum(sizes),) if joint else shape, dtype=batches[0].dtype, name=batches[0].name
    )
    ends = np.cumsum(sizes).tolist()
    rows = [
        x[:, end - size : end] if joint else x for end, size in zip(ends, sizes, strict=True)
    ]
    outputs = [
        keras.Model(network.inputs[0], network.outputs[0], name=f"member_{number}")(row)
        for number, (network, row) in enumerate(zip(networks, rows, strict=True), 1)
    ]
    if task.classification:
        probabilities = [ops.softmax(_class_logits(each)) for each in outputs]
        average = ops.mean(ops.stack(probabilities), axis=0)
        y = finished(ops.log(ops.maximum(average, SMALLEST)), task)
    else:
        y = ops.mean(ops.stack(outputs), axis=0)
    if guarded:
        fits = [ops.all(ops.abs(each) <= _LARGEST, axis=1) for each in outputs]
        y = ops.where(ops.all(ops.stack(fits), axis=0)[:, None], y, float("nan"))
    return keras.Model(x, y, name="network")


def takes_joint_rows(network: keras.Model, members: Sequence[keras.Model]) -> bool:
    """Returns whether an averaged network gives each member a part of its row."""
    return tuple(network.inputs[0].shape) != tuple(members[0].inputs[0].shape)


def member_networks(network: keras.Model) -> list[keras.Model]:
    """Returns the members of an averaged network; none for another network."""
    # A scaling may be a model too, but has another name.
    members = [layer for layer in network.layers if _MEMBER.fullmatch(layer.name)]
    return sorted(members, key=lambda member: int(member.name.rpartition("_")[2]))


def _class_logits(logits: Any) -> Any:
    """Returns a logit for each class, where one logit may stand for the second of two."""
    if logits.shape[1] > 1:
        return logits
    return keras.ops.concatenate([keras.ops.zeros_like(logits), logits], axis=1)
