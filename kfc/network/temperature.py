"""The layer of a calibrated network, which divides its logits by a temperature."""

from __future__ import annotations

from typing import Any

import keras

from kfc.data import Task


def with_temperature(outputs: Any, task: Task) -> Any:
    """Returns outputs divided by the temperature of a task, by the layer `calibrated`.

    Outputs of a task without a temperature are returned as they are.

    Args:
        outputs: Symbolic logits, (batch, outputs).
        task: Task of the network.
    """
    if task.temperature is None:
        return outputs
    return keras.layers.Rescaling(1 / task.temperature, name="calibrated")(outputs)


def calibrated_network(network: keras.Model, task: Task) -> keras.Model:
    """Returns a network that divides its logits by the temperature of a task.

    Args:
        network: Network that does not; it shares its layers with the result.
        task: Task with a temperature, or without one for the network itself.
    """
    if task.temperature is None:
        return network
    outputs = with_temperature(network.outputs[0], task)
    return keras.Model(network.inputs[0], outputs, name=network.name)
