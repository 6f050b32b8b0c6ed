"""The encoding of numbers by bins, as Keras operations and as a layer."""

from __future__ import annotations

import weakref
from typing import Any

import keras

from kfc.preprocessing.number_bins import BinNumbers
from kfc.preprocessing.scaling_layers import given_numbers


def encoded_by_bins(x: Any, numbers: BinNumbers) -> Any:
    """Returns the encoding of scaled numbers, (batch, features, bins), float32.

    Args:
        x: Scaled numbers, (batch, features), float32.
        numbers: NumPy arrays or tensors, (features, bins) each.
    """
    ops = keras.ops
    passed = (ops.expand_dims(x, 2) - numbers.start) / numbers.width
    return ops.minimum(ops.maximum(passed, numbers.least), numbers.most)


_NUMBERS: weakref.WeakKeyDictionary[Any, BinNumbers]
_NUMBERS = weakref.WeakKeyDictionary()  # of each layer that `bin_layer` made


def bin_layer(numbers: BinNumbers, name: str) -> keras.Model:
    """Returns a network of standard operations without weights, (batch, features, bins).

    Args:
        numbers: NumPy arrays, which become constants of the saved network.
        name: Name of the layer.
    """
    x = keras.Input((len(numbers.start),), dtype="float32", name="numbers")
    layer = keras.Model(x, encoded_by_bins(x, numbers), name=name)
    _NUMBERS[layer] = numbers
    return layer


def is_bin_layer(layer: Any) -> bool:
    """Returns whether `bin_layer` made a layer."""
    return layer in _NUMBERS


class TensorBins(keras.layers.Layer):
    """Computes the same as a layer of `bin_layer`, from inputs of a compiled step.

    Args:
        layer: Layer that `bin_layer` made.
    """

    def __init__(self, layer: keras.Model) -> None:
        super().__init__(name=layer.name, dtype="float32")
        self._given = given_numbers(*_NUMBERS[layer])

    @property
    def given(self) -> tuple[keras.Variable, ...]:
        """The numbers of the bins, which a compiled step takes as inputs."""
        return self._given()

    def call(self, x: Any, mask: Any = None) -> Any:
        """Returns the encoding of `x`, (batch, features, bins).

        Args:
            x: Scaled numbers, (batch, features).
            mask: Nothing; a cloned model gives it, since it gave it to the layer's model.
        """
        numbers = BinNumbers(*(keras.ops.convert_to_tensor(each) for each in self.given))
        return encoded_by_bins(keras.ops.cast(x, "float32"), numbers)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the encoding, which Keras would trace `call` to find."""
        return (*input_shape, self.given[0].shape[1])
