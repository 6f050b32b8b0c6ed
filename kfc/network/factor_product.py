"""Multiplication by a factor for each unit, for networks that train or are exported."""

from __future__ import annotations

from typing import Any

import keras


class FactorProduct(keras.layers.Layer):
    """Computes the same as an `EinsumDense` whose kernel is a diagonal, and shares its kernel.

        y_bd = s_d x_bd        ds_d = sum_b x_bd dy_bd

    TensorFlow's einsum transposes the batch and multiplies one small matrix for each unit,
    forward and backward; outside XLA, a step of three hidden layers of 256 units then takes
    twice as long, and LiteRT cannot run what its converter makes of it. A product element by
    element costs almost nothing.

    Args:
        layer: A built `keras.layers.EinsumDense`, see `kfc.network.multiplies_by_factors`.
    """

    def __init__(self, layer: keras.layers.EinsumDense) -> None:
        super().__init__(name=layer.name, dtype=layer.dtype_policy, trainable=layer.trainable)
        self.factors = layer.kernel

    def call(self, x: Any) -> Any:
        """Returns `x`, (batch, ..., units), multiplied by the factors."""
        return x * keras.ops.convert_to_tensor(self.factors)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape, which Keras would trace `call` to find."""
        return input_shape
