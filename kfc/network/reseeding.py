"""Gives a network of dense layers the initial weights of another seed, without a new build."""

from __future__ import annotations

import keras

from kfc.data import Task
from kfc.network.building import bias_initializer, initializer
from kfc.network.row_initializers import keys_of_rows
from kfc.network.seeds import layer_seed
from kfc.spec import Spec


def can_reseed(spec: Spec, task: Task) -> bool:
    """Returns whether the seed of a spec decides nothing but kernels and biases.

    Args:
        spec: Resolved spec.
        task: Task of the network.
    """
    network = spec.network
    return (
        task.table is None
        and network.block.name == "dense"
        and network.members == 1
        and network.numeric_embedding is None
        and spec.training.precision == "float32"
        and not any(layer.dropout for layer in network.layers())
        and all(layer.normalization == "none" for layer in network.layers())
        and not keys_of_rows(spec)
    )


def reseed(network: keras.Model, spec: Spec) -> None:
    """Assigns the initial kernels and biases of a spec, bit by bit as `build` gives them.

    Args:
        network: Network of the same spec with another seed, for which `can_reseed` holds.
        spec: Spec with the seed.
    """
    options = spec.network
    layers = [
        (f"hidden_{number}", layer.init, layer.bias_init)
        for number, layer in enumerate(options.layers(), start=1)
    ]
    layers.append(("logits", options.output_init or options.init, options.output_bias_init))
    for name, init, bias_init in layers:
        layer, seed = network.get_layer(name), layer_seed(spec.seed, name)
        inputs, units = layer.kernel.shape
        layer.kernel.assign(initializer(init, seed)((inputs, units), dtype="float32"))
        if layer.bias is not None:
            bias = bias_initializer(bias_init, seed, inputs)
            layer.bias.assign(bias((units,), dtype="float32"))
