"""The last layer of a finished network, which the network has after its training only.

It divides the logits by a temperature, or limits values to the range of the training targets.
Neither has a part in the loss: a limited value would have no gradient.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kfc.data import Task


def finished(outputs: Any, task: Task) -> Any:
    """Returns outputs divided by the temperature of a task, or limited to its limits.

    The layer of the temperature is `calibrated`. Outputs of a task without a temperature and
    without limits are returned as they are.

    Args:
        outputs: Symbolic logits or values, (batch, outputs).
        task: Task of the network.
    """
    if task.temperature is not None:
        return keras.layers.Rescaling(1 / task.temperature, name="calibrated")(outputs)
    if task.limits is not None:
        smallest, largest = (np.asarray(each, np.float32) for each in task.limits)
        return keras.ops.minimum(keras.ops.maximum(outputs, smallest), largest)
    return outputs


def finished_network(network: keras.Model, task: Task) -> keras.Model:
    """Returns a network that ends as the task says.

    Args:
        network: Network as it was trained; it shares its layers with the result.
        task: Task with a temperature or with limits, or without one for the network itself.
    """
    if task.temperature is None and task.limits is None:
        return network
    outputs = finished(network.outputs[0], task)
    return keras.Model(network.inputs[0], outputs, name=network.name)
