"""Makes the network that trains: it shares all layers of the network except some kinds.

Keras's `Dropout` is replaced by `CounterDropout`, a learned scaling by `TensorScaling` or
`TensorPieces`, and the bins of numbers by `TensorBins`. Keras writes the numbers of these
layers into a compiled step as constants. The replacements take them as inputs of the step, so
that trainings on other rows and with other dropout rates share one compiled step. An einsum is
replaced by a faster product with the same weights, `FactorProduct` or `ColumnProduct`.
"""

from __future__ import annotations

import keras

from kfc.network import (
    ColumnProduct,
    FactorProduct,
    multiplies_by_factors,
    multiplies_columns,
)
from kfc.preprocessing import (
    TensorBins,
    TensorPieces,
    TensorScaling,
    is_bin_layer,
    is_learned_scaling,
    is_piecewise_layer,
)
from kfc.training.engine.counter_dropout import CounterDropout


def training_network(network: keras.Model) -> keras.Model:
    """Returns a functional model that shares every layer of `network` that is not replaced."""
    if not any(map(_is_replaced, network.layers)):
        return network
    return keras.models.clone_model(network, clone_function=_replaced)


def given_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables that a compiled step takes as inputs; none is a weight."""
    kinds = (CounterDropout, TensorBins, TensorPieces, TensorScaling)
    replaced = [layer for layer in model.layers if isinstance(layer, kinds)]
    return [variable for layer in replaced for variable in layer.given]


def _replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
    if _is_dropout(layer):
        return CounterDropout(
            layer.rate, layer.seed, name=layer.name, dtype=layer.dtype_policy
        )
    if is_piecewise_layer(layer):
        return TensorPieces(layer)
    if is_bin_layer(layer):
        return TensorBins(layer)
    if multiplies_by_factors(layer):
        return FactorProduct(layer)
    if multiplies_columns(layer):
        return ColumnProduct(layer)
    return TensorScaling(layer) if is_learned_scaling(layer) else layer


def _is_replaced(layer: keras.layers.Layer) -> bool:
    return (
        _is_dropout(layer)
        or is_learned_scaling(layer)
        or is_piecewise_layer(layer)
        or is_bin_layer(layer)
        or multiplies_by_factors(layer)
        or multiplies_columns(layer)
    )


def _is_dropout(layer: keras.layers.Layer) -> bool:
    # A layer whose mask has another shape may belong to a plug-in.
    return type(layer) is keras.layers.Dropout and layer.noise_shape is None
