"""Piecewise-linear functions, one per feature, as Keras operations and as a layer."""

from __future__ import annotations

import weakref
from typing import Any

import keras
import numpy as np

from kfc.preprocessing.quantile_scaling import Pieces
from kfc.preprocessing.scaling_layers import given_numbers


def piecewise_linear(x: Any, pieces: Pieces, shape: tuple[int, int]) -> Any:
    """Returns the functions of the features, (batch, features), float32.

    A binary search finds the piece of each value, so that memory grows with the number of
    values alone: 784 features of 1,000 rows take 3 MB, while a comparison with all starts
    would make 400 MB. NaN stays NaN.

    Args:
        x: Inputs, (batch, features), float32.
        pieces: NumPy arrays or tensors.
        shape: Number of features, and number of pieces of each, a power of two.
    """
    ops = keras.ops
    features, num_pieces = shape
    first = np.arange(features, dtype=np.int32) * np.int32(num_pieces)  # piece of a feature
    step = num_pieces // 2
    piece = ops.where(ops.greater_equal(x, pieces.middle), first + np.int32(step), first)
    while step > 1:
        step //= 2
        later = ops.add(piece, np.int32(step))  # (batch, features)
        reached = ops.greater_equal(x, ops.take(pieces.starts, later, axis=0))
        piece = ops.where(reached, later, piece)
    found = ops.take(pieces.numbers, piece, axis=0)  # (batch, features, 4)
    start, width, value, rise = (found[:, :, number] for number in range(4))
    return value + rise * ops.clip((x - start) / width, 0.0, 1.0)


_PIECES: weakref.WeakKeyDictionary[Any, tuple[Pieces, tuple[int, int]]]
_PIECES = weakref.WeakKeyDictionary()  # of each layer that `piecewise_layer` made


def piecewise_layer(pieces: Pieces, shape: tuple[int, int], name: str) -> keras.Model:
    """Returns a network of standard operations without weights, (batch, features).

    Args:
        pieces: NumPy arrays, which become constants of the saved network.
        shape: Number of features, and number of pieces of each.
        name: Name of the layer.
    """
    x = keras.Input((shape[0],), dtype="float32", name="numbers")
    layer = keras.Model(x, piecewise_linear(x, pieces, shape), name=name)
    _PIECES[layer] = pieces, shape
    return layer


def is_piecewise_layer(layer: Any) -> bool:
    """Returns whether `piecewise_layer` made a layer."""
    return layer in _PIECES


class TensorPieces(keras.layers.Layer):
    """Computes the same as a layer of `piecewise_layer`, from inputs of a compiled step.

    Args:
        layer: Layer that `piecewise_layer` made.
    """

    def __init__(self, layer: keras.Model) -> None:
        super().__init__(name=layer.name, dtype="float32")
        pieces, self._shape = _PIECES[layer]
        self._given = given_numbers(*pieces)

    @property
    def given(self) -> tuple[keras.Variable, ...]:
        """The layer's numbers, which a compiled step takes as inputs."""
        return self._given()

    def call(self, x: Any, mask: Any = None) -> Any:
        """Returns the functions of `x`, (batch, features).

        Args:
            x: Inputs, (batch, features).
            mask: Nothing; a cloned model gives it, since it gave it to the layer's model.
        """
        pieces = Pieces(*(keras.ops.convert_to_tensor(number) for number in self.given))
        return piecewise_linear(keras.ops.cast(x, "float32"), pieces, self._shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape, which Keras would trace `call` to find."""
        return input_shape
