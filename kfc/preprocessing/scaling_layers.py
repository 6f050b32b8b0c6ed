"""Keras layers that scale, for networks that train and for networks that are converted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


class TensorScaling(keras.layers.Layer):
    """Computes the same as a Keras scaling layer, with numbers that are inputs of a step.

        Normalization:  (x - mean) / max(sqrt(variance), epsilon)
        Rescaling:      x * scale + offset

    Keras writes the numbers of its own layers into a compiled step as constants; a step with
    this layer serves other training rows too.

    Args:
        layer: A built `keras.layers.Normalization` or `Rescaling`.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(name=layer.name, dtype=layer.dtype_policy)
        self._is_normalization = isinstance(layer, keras.layers.Normalization)
        self._given = given_numbers(*self._numbers_of(layer))

    def _numbers_of(self, layer: keras.layers.Layer) -> tuple[np.ndarray, ...]:
        numbers = (
            (layer.mean, layer.variance)
            if self._is_normalization
            else (layer.scale, layer.offset)
        )
        return tuple(np.asarray(values, np.float32) for values in numbers)

    def take_numbers(self, layer: keras.layers.Layer) -> None:
        """Takes the numbers of another layer of the same kind, which other rows gave it."""
        for variable, values in zip(self.given, self._numbers_of(layer), strict=True):
            variable.assign(values)

    @property
    def given(self) -> tuple[keras.Variable, ...]:
        """The layer's two numbers per feature, which a compiled step takes as inputs."""
        return self._given()

    def call(self, x: Any) -> Any:
        """Returns `x`, (batch, features), scaled."""
        first, second = (keras.ops.convert_to_tensor(number) for number in self.given)
        x = keras.ops.cast(x, self.compute_dtype)
        if self._is_normalization:
            divisor = keras.ops.maximum(keras.ops.sqrt(second), keras.config.epsilon())
            return (x - first) / divisor
        return x * first + second

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape, which Keras would trace `call` to find."""
        return input_shape


class ConstantScaling(keras.layers.Layer):
    """Computes `(x - shift) / divisor` with numbers that are constants of the graph.

    Args:
        shift: One float32 number per feature, (features,).
        divisor: One float32 number per feature, (features,).
        name: Name of the layer.
    """

    def __init__(self, shift: np.ndarray, divisor: np.ndarray, name: str) -> None:
        super().__init__(name=name, trainable=False)
        self._shift, self._divisor = shift, divisor

    def call(self, x: Any) -> Any:
        """Returns `x`, (batch, features), scaled."""
        return (keras.ops.cast(x, "float32") - self._shift) / self._divisor


def constant_scaling(layer: keras.layers.Normalization) -> ConstantScaling:
    """Returns the layer that replaces a Keras layer in a network that is converted to ONNX."""
    shift, variance = np.asarray(layer.mean), np.asarray(layer.variance)
    return ConstantScaling(shift, np.sqrt(variance), layer.name)


def is_learned_scaling(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer scales by numbers that other training rows would change."""
    if isinstance(layer, keras.layers.Rescaling):
        return bool(np.ndim(layer.scale)) or layer.name == "value"
    return isinstance(layer, keras.layers.Normalization)


def given_numbers(*numbers: Any) -> Callable[[], tuple[keras.Variable, ...]]:
    """Returns a function that returns variables of a layer which are none of its weights.

    Keras counts every variable that it finds in an attribute, but not behind a function. These
    are not trained, saved or hashed, but given to a compiled step as inputs.

    Args:
        *numbers: NumPy scalars or arrays, each the value of one variable.
    """
    variables = tuple(
        # Named, since TensorFlow makes a kernel for each new name of a variable.
        keras.Variable(number, dtype=str(number.dtype), trainable=False, name="given")
        for number in numbers
    )
    return lambda: variables
