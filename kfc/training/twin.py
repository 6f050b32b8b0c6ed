"""A network -> its twin that trains: the same layers and weights, but for two kinds.

Keras's `Dropout` is replaced by one that hashes. A learned scaling, whose numbers Keras
writes into a compiled step as constants, is replaced by one that gives them to it as inputs:
so trainings on other rows of the same kind, such as folds or seeds, share their steps.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kfc.training.dropout import CounterDropout


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
        # A tuple in a lambda, because Keras counts every variable that it finds among the
        # weights, and these are none: they are not trained, saved or hashed.
        variables = tuple(
            keras.Variable(np.asarray(values, np.float32), trainable=False)
            for values in numbers
        )
        self._numbers = lambda: variables

    @property
    def numbers(self) -> tuple[keras.Variable, keras.Variable]:
        """What was learned, which a compiled step takes as an input."""
        return self._numbers()

    def call(self, x: Any) -> Any:
        """Returns `x`, (batch, features), scaled."""
        first, second = (keras.ops.convert_to_tensor(number) for number in self.numbers)
        x = keras.ops.cast(x, self.compute_dtype)
        if self._normalizes:
            divisor = keras.ops.maximum(keras.ops.sqrt(second), keras.config.epsilon())
            return (x - first) / divisor
        return x * first + second


def training_twin(network: keras.Model) -> keras.Model:
    """Returns a functional model that shares every layer of `network` but those replaced."""
    if not any(_replaced(layer) is not layer for layer in network.layers):
        return network
    return keras.models.clone_model(network, clone_function=_replaced)


def learned_numbers(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables of every learned scaling of a twin; none is a weight."""
    scalings = [layer for layer in model.layers if isinstance(layer, LearnedScaling)]
    return [number for scaling in scalings for number in scaling.numbers]


def is_learned(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer scales by numbers that other rows would change."""
    if isinstance(layer, keras.layers.Rescaling):
        return bool(np.ndim(layer.scale)) or layer.name == "value"
    return isinstance(layer, keras.layers.Normalization)


def _replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
    # Dropout with a mask of another shape may be a plug-in's.
    if type(layer) is keras.layers.Dropout and layer.noise_shape is None:
        return CounterDropout(
            layer.rate, layer.seed, name=layer.name, dtype=layer.dtype_policy
        )
    return LearnedScaling(layer) if is_learned(layer) else layer
