"""A network -> its twin that trains: the same layers and weights, but for two kinds.

Keras's `Dropout` is replaced by one that hashes, and a learned scaling by one that does the
same. Keras writes their numbers into a compiled step as constants; the twins' are given to it
as inputs, so that other rows of the same kind and other rates of dropout share their steps.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kfc.training.engine.counter_dropout import CounterDropout, given_numbers


class LearnedScaling(keras.layers.Layer):
    """Does what a Keras layer does whose numbers were learned from rows.

        Normalization:  (x - mean) / max(sqrt(variance), epsilon)
        Rescaling:      x * scale + offset

    Args:
        layer: A built `keras.layers.Normalization` or `Rescaling`.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(name=layer.name, dtype=layer.dtype_policy)
        self._normalizes = isinstance(layer, keras.layers.Normalization)
        numbers = (
            (layer.mean, layer.variance) if self._normalizes else (layer.scale, layer.offset)
        )
        self._given = given_numbers(*(np.asarray(values, np.float32) for values in numbers))

    @property
    def given(self) -> tuple[keras.Variable, ...]:
        """What was learned, which a compiled step takes as an input."""
        return self._given()

    def call(self, x: Any) -> Any:
        """Returns `x`, (batch, features), scaled."""
        first, second = (keras.ops.convert_to_tensor(number) for number in self.given)
        x = keras.ops.cast(x, self.compute_dtype)
        if self._normalizes:
            divisor = keras.ops.maximum(keras.ops.sqrt(second), keras.config.epsilon())
            return (x - first) / divisor
        return x * first + second

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape, which Keras would trace `call` to find."""
        return input_shape


def training_network(network: keras.Model) -> keras.Model:
    """Returns a functional model that shares every layer of `network` but those replaced."""
    if not any(_is_dropout(layer) or is_learned(layer) for layer in network.layers):
        return network
    return keras.models.clone_model(network, clone_function=_replaced)


def given_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns what the layers of a twin give to a compiled step; none is a weight."""
    twins = [x for x in model.layers if isinstance(x, (CounterDropout, LearnedScaling))]
    return [variable for layer in twins for variable in layer.given]


def is_learned(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer scales by numbers that other rows would change."""
    if isinstance(layer, keras.layers.Rescaling):
        return bool(np.ndim(layer.scale)) or layer.name == "value"
    return isinstance(layer, keras.layers.Normalization)


def _replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
    if _is_dropout(layer):
        return CounterDropout(
            layer.rate, layer.seed, name=layer.name, dtype=layer.dtype_policy
        )
    return LearnedScaling(layer) if is_learned(layer) else layer


def _is_dropout(layer: keras.layers.Layer) -> bool:
    # One whose mask has another shape may be a plug-in's.
    return type(layer) is keras.layers.Dropout and layer.noise_shape is None
