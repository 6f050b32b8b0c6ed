"""Gives a network of dense layers other widths and initial weights, without a new build."""

from __future__ import annotations

import keras

from kfc.compat import replace_value
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

    The widths of hidden layers may differ from those of the network, which then has the
    widths of the spec.

    Args:
        network: Network of a spec with as many layers, for which `can_reseed` holds. A layer
            with a parametric activation keeps its width.
        spec: Spec with the seed, the widths and the initializers.
    """
    options = spec.network
    layers = [
        (f"hidden_{number}", layer.units, layer.init, layer.bias_init)
        for number, layer in enumerate(options.layers(), start=1)
    ]
    logits = network.get_layer("logits")
    output_init = options.output_init or options.init
    layers.append(("logits", logits.units, output_init, options.output_bias_init))
    inputs = network.get_layer(layers[0][0]).kernel.shape[0]
    for name, units, init, bias_init in layers:
        layer, seed = network.get_layer(name), layer_seed(spec.seed, name)
        kernel = initializer(init, seed)((inputs, units), dtype="float32")
        replace_value(layer.kernel, kernel)
        if layer.bias is not None:
            bias = bias_initializer(bias_init, seed, inputs)
            replace_value(layer.bias, bias((units,), dtype="float32"))
        layer.units = units
        layer.input_spec = keras.InputSpec(min_ndim=2, axes={-1: inputs})
        inputs = units
