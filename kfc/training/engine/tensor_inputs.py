"""Makes the network that trains: it shares all layers of the network except some kinds.

It ends in the outputs of the network's members, if there are any.

Keras's `Dropout` is replaced by `CounterDropout`, a learned scaling by `TensorScaling` or
`TensorPieces`, and the bins of numbers by `TensorBins`. Keras writes the numbers of these
layers into a compiled step as constants. The replacements take them as inputs of the step, so
that trainings on other rows and with other dropout rates share one compiled step. An
`EinsumDense` is replaced by a product that has the same weights and is faster, see
`kfc.network.factor_product`.
"""

from __future__ import annotations

import functools

import keras

from kfc.network import product_class, without_average
from kfc.preprocessing import (
    TensorBins,
    TensorPieces,
    TensorScaling,
    is_bin_layer,
    is_learned_scaling,
    is_piecewise_layer,
)
from kfc.training.engine.counter_dropout import CounterDropout


def training_network(network: keras.Model, *, own_rows: bool = False) -> keras.Model:
    """Returns a functional model that shares every layer of `network` that is not replaced.

    Args:
        network: Network as `build` returns it. The outputs of one with members are averages,
            and those of the result the members' own, (batch, members, outputs).
        own_rows: Whether each member takes rows of its own, those of the first member first;
            the outputs are then (members * batch, outputs).
    """
    network = without_average(network)
    if not any(map(_is_replaced, network.layers)):
        return network
    return keras.models.clone_model(
        network, clone_function=functools.partial(_replaced, own_rows=own_rows)
    )


def given_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables that a compiled step takes as inputs; none is a weight.

    They belong to layers, and to the loss and the metrics of a compiled `TapeModel`.
    """
    kinds = (CounterDropout, TensorBins, TensorPieces, TensorScaling)
    replaced = [layer for layer in model.layers if isinstance(layer, kinds)]
    owners = [*replaced, *getattr(model, "scaled_measures", ())]
    return [variable for owner in owners for variable in owner.given]


def _replaced(layer: keras.layers.Layer, *, own_rows: bool) -> keras.layers.Layer:
    if _is_dropout(layer):
        return CounterDropout(
            layer.rate, layer.seed, name=layer.name, dtype=layer.dtype_policy
        )
    if is_piecewise_layer(layer):
        return TensorPieces(layer)
    if is_bin_layer(layer):
        return TensorBins(layer)
    if product := product_class(layer, own_rows=own_rows):
        return product(layer)
    return TensorScaling(layer) if is_learned_scaling(layer) else layer


def _is_replaced(layer: keras.layers.Layer) -> bool:
    return (
        _is_dropout(layer)
        or is_learned_scaling(layer)
        or is_piecewise_layer(layer)
        or is_bin_layer(layer)
        or product_class(layer) is not None
    )


def _is_dropout(layer: keras.layers.Layer) -> bool:
    # A layer whose mask has another shape may belong to a plug-in.
    return type(layer) is keras.layers.Dropout and layer.noise_shape is None
