"""Products with weights of each column, for networks that train or are exported."""

from __future__ import annotations

from typing import Any

import keras

_OUTER, _MATRICES = "bf,fo->bfo", "bfk,fko->bfo"


class ColumnProduct(keras.layers.Layer):
    """Computes the same as an `EinsumDense` of the columns, and shares its variables.

        y_bfo = x_bf w_fo + c_fo        or        y_bfo = sum_k x_bfk w_fko + c_fo

    TensorFlow's einsum moves the columns to the last axis, multiplies, and moves them back,
    forward and backward. Outside XLA, a step of a numeric embedding then takes longer than
    with one product for each column, and LiteRT cannot run what its converter makes of it.
    With XLA neither of them is always faster.

    Args:
        layer: A built `keras.layers.EinsumDense`, see `multiplies_columns`.
    """

    def __init__(self, layer: keras.layers.EinsumDense) -> None:
        super().__init__(name=layer.name, dtype=layer.dtype_policy, trainable=layer.trainable)
        self.kernel, self.bias = layer.kernel, layer.bias
        self._outer = layer.equation == _OUTER

    def call(self, x: Any) -> Any:
        """Returns the products with `x`, (batch, columns, outputs).

        Args:
            x: Inputs, (batch, columns) or (batch, columns, inputs).
        """
        ops = keras.ops
        kernel = ops.convert_to_tensor(self.kernel)
        y = ops.expand_dims(x, 2) * kernel if self._outer else self._products(x, kernel)
        return y if self.bias is None else y + ops.convert_to_tensor(self.bias)

    def _products(self, x: Any, kernel: Any) -> Any:
        """Returns the products of rows with matrices, (batch, columns, outputs)."""
        by_column = keras.ops.matmul(keras.ops.transpose(x, (1, 0, 2)), kernel)
        return keras.ops.transpose(by_column, (1, 0, 2))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the products, which Keras would trace `call` to find."""
        return (*input_shape[:2], self.kernel.shape[-1])


class ColumnSums(ColumnProduct):
    """Computes the same by products of numbers and by sums, one output after the other.

    LiteRT refuses a batch without rows where a model multiplies a batch of matrices.
    """

    def _products(self, x: Any, kernel: Any) -> Any:
        sums = [
            keras.ops.sum(x * kernel[:, :, output], axis=2)  # (batch, columns)
            for output in range(self.kernel.shape[-1])
        ]
        return keras.ops.stack(sums, axis=2)


def multiplies_columns(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer multiplies each column by weights of its own, and adds some."""
    return (
        type(layer) is keras.layers.EinsumDense
        and layer.equation in (_OUTER, _MATRICES)
        and layer.activation is keras.activations.linear
    )
