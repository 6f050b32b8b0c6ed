"""Layers that learn a factor for each unit: an input scale and parametric activations.

The factors are the diagonal of a matrix. Keras's `EinsumDense` holds them and multiplies by
them, so that a saved network loads in plain Keras.
"""

from __future__ import annotations

from typing import Any

import keras

INPUT_SCALE = "input_scale"
"""Name of the layer that scales the inputs of the first hidden layer."""

_EQUATIONS = {2: "bd,d->bd", 3: "bkd,d->bkd"}
"""Number of dimensions of a tensor -> the product with a factor for each unit."""


def with_factors(tensor: Any, name: str) -> Any:
    """Adds a layer that multiplies each unit by a factor that the network learns.

        y_bd = s_d x_bd    with s_d = 1 at the start

    Args:
        tensor: Symbolic input, (batch, units) or (batch, members, units).
        name: Name of the layer.

    Returns:
        Symbolic output, of the same shape.
    """
    return keras.layers.EinsumDense(
        _EQUATIONS[len(tensor.shape)],
        output_shape=tuple(tensor.shape[1:]),
        kernel_initializer="ones",
        name=name,
    )(tensor)


def parametric(z: Any, activation: Any, *, name: str) -> Any:
    """Adds the layers of an activation with a factor for each unit that the network learns.

        f(z) = z + a (activation(z) - z)    with a = 1 at the start

    At a = 0 the unit is linear, at a = 1 it has the ordinary activation. Holzmueller,
    Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on
    tabular data", 2024, https://arxiv.org/abs/2407.04491.

    Args:
        z: Symbolic values before the activation, (batch, units) or (batch, members, units).
        activation: Keras's name of an activation, a layer or a function.
        name: Prefix of the names of the layers; the factors belong to `name_slope`.

    Returns:
        Symbolic output, of the same shape.
    """
    activated = keras.layers.Activation(activation, name=f"{name}_activation")(z)
    bent = keras.layers.Subtract(name=f"{name}_difference")([activated, z])
    return keras.layers.Add(name=f"{name}_parametric")(
        [z, with_factors(bent, f"{name}_slope")]
    )


def multiplies_by_factors(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer multiplies each unit by a factor, and does nothing else."""
    return (
        type(layer) is keras.layers.EinsumDense
        and layer.equation in _EQUATIONS.values()
        and layer.bias is None
        and layer.activation is keras.activations.linear
    )
