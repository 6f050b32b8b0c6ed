"""A network -> its twin that trains: the same layers and weights, but for two kinds.

Keras's `Dropout` is replaced by one that hashes, and a learned scaling by one that does the
same. Keras writes their numbers into a compiled step as constants; the twins' are given to it
as inputs, so that other rows of the same kind and other rates of dropout share their steps.
"""

from __future__ import annotations

import keras

from kfc.preprocessing import TensorScaling, is_learned_scaling
from kfc.training.engine.counter_dropout import CounterDropout


def training_network(network: keras.Model) -> keras.Model:
    """Returns a functional model that shares every layer of `network` but those replaced."""
    if not any(_is_dropout(layer) or is_learned_scaling(layer) for layer in network.layers):
        return network
    return keras.models.clone_model(network, clone_function=_replaced)


def given_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns what the layers of a twin give to a compiled step; none is a weight."""
    twins = [x for x in model.layers if isinstance(x, (CounterDropout, TensorScaling))]
    return [variable for layer in twins for variable in layer.given]


def _replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
    if _is_dropout(layer):
        return CounterDropout(
            layer.rate, layer.seed, name=layer.name, dtype=layer.dtype_policy
        )
    return TensorScaling(layer) if is_learned_scaling(layer) else layer


def _is_dropout(layer: keras.layers.Layer) -> bool:
    # One whose mask has another shape may be a plug-in's.
    return type(layer) is keras.layers.Dropout and layer.noise_shape is None
