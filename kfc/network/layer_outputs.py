"""A network that returns the output of each of its layers."""

from __future__ import annotations

from typing import Any

import keras


def with_layer_outputs(network: keras.Model) -> tuple[list[keras.Layer], keras.Model]:
    """Returns the layers of a network and a model of the same layers with all their outputs.

    The layers are shared, so the model has the weights of the network at any time. It does
    not use `layer.output`, which is wrong for a layer that another network has called too.

    Args:
        network: Functional network, or a model that was made as one.

    Returns:
        The layers in the order in which they are called, without inputs; and the model,
        inputs -> one output for each of these layers.
    """
    layers: list[keras.Layer] = []
    outputs: list[keras.KerasTensor] = []

    def call(layer: keras.Layer, *arguments: Any, **options: Any) -> Any:
        output = layer(*arguments, **options)
        layers.append(layer)
        outputs.append(output)
        return output

    copied = keras.models.clone_model(
        keras.Model(network.inputs, network.outputs),
        clone_function=lambda layer: layer,
        call_function=call,
    )
    return layers, keras.Model(copied.inputs, outputs)
