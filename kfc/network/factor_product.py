"""Products in place of `EinsumDense`, for networks that train or are exported.

They compute the same with the same weights, faster outside XLA, and in LiteRT at all. The rows
of the members of a network are then rows of one batch, those of the first member first: hidden
layers see (members * batch, units), so that each is one product.
"""

from __future__ import annotations

from typing import Any

import keras

from kfc.network.column_product import ColumnProduct, multiplies_columns
from kfc.network.learned_factors import multiplies_by_factors
from kfc.network.members import is_member_logits, scales_members


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


class MemberProduct(keras.layers.Layer):
    """Computes the same as the `member_scale` of a network, for the rows of each member.

        y_(k,b),d = r_kd x_bd        or, if each member has rows of its own,    r_kd x_(k,b),d

    Args:
        layer: A built `keras.layers.EinsumDense`, see `kfc.network.members.with_members`.
    """

    own_rows = False

    def __init__(self, layer: keras.layers.EinsumDense) -> None:
        super().__init__(name=layer.name, dtype=layer.dtype_policy, trainable=layer.trainable)
        self.factors = layer.kernel

    def call(self, x: Any) -> Any:
        """Returns (members * batch, inputs) for `x`, (batch, inputs) or as many rows."""
        ops = keras.ops
        factors = ops.convert_to_tensor(self.factors)
        members, inputs = factors.shape
        if self.own_rows:
            x = ops.reshape(x, (members, -1, inputs))
        products = ops.expand_dims(factors, 1) * x  # (members, batch, inputs)
        return ops.reshape(products, (-1, inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape, with any number of rows."""
        return (None, *input_shape[1:])


class MemberLogits(keras.layers.Layer):
    """Computes the same as the `logits` of a network with members, from the rows of each.

        y_bkc = sum_i x_(k,b),i w_kic + b_kc

    Members with rows of their own answer as many rows as there are, y_(k,b),c.

    Args:
        layer: A built `keras.layers.EinsumDense`, see `kfc.network.members.member_logits`.
    """

    own_rows = False

    def __init__(self, layer: keras.layers.EinsumDense) -> None:
        super().__init__(name=layer.name, dtype=layer.dtype_policy, trainable=layer.trainable)
        self.kernel, self.bias = layer.kernel, layer.bias
        self._members, _, self._outputs = layer.kernel.shape

    def call(self, x: Any) -> Any:
        """Returns the outputs for `x`, (members * batch, inputs)."""
        ops = keras.ops
        rows = ops.split(x, self._members)  # (batch, inputs) each
        kernels = ops.unstack(ops.convert_to_tensor(self.kernel), num=self._members)
        logits = ops.stack([ops.matmul(x, w) for x, w in zip(rows, kernels, strict=True)])
        bias = ops.convert_to_tensor(self.bias)
        if self.own_rows:
            return ops.reshape(logits + ops.expand_dims(bias, 1), (-1, self._outputs))
        return ops.transpose(logits, (1, 0, 2)) + bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the outputs of all members."""
        if self.own_rows:
            return (None, self._outputs)
        return (None, self._members, self._outputs)


class OwnMemberProduct(MemberProduct):
    """A `MemberProduct` of members that have rows of their own."""

    own_rows = True


class OwnMemberLogits(MemberLogits):
    """The `MemberLogits` of members that have rows of their own."""

    own_rows = True


def product_class(
    layer: keras.layers.Layer, *, own_rows: bool = False
) -> type[keras.layers.Layer] | None:
    """Returns the class of product that computes what a layer does; None if there is none.

    It is called with the layer, which must be built, and shares its weights.

    Args:
        layer: Layer of a network.
        own_rows: Whether each member of the network takes rows of its own, those of the first
            member first.
    """
    if multiplies_by_factors(layer):
        return FactorProduct
    if multiplies_columns(layer):
        return ColumnProduct
    if scales_members(layer):
        return OwnMemberProduct if own_rows else MemberProduct
    if is_member_logits(layer):
        return OwnMemberLogits if own_rows else MemberLogits
    return None
