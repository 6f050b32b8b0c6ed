"""Initial weights that are computed from training rows, one layer after the other.

`unit_variance` divides each column of a normal kernel, so that the outputs before the bias
have variance 1 over the rows. `he_plus_5` chooses each bias so that the unit is at 0 somewhere
among the rows. Both are from Holzmueller, Grinsztajn and Steinwart, "Better by default: strong
pre-tuned MLPs and boosted trees on tabular data", 2024, https://arxiv.org/abs/2407.04491; the
second one follows Steinwart, "A sober look at neural network initializations", 2019,
https://arxiv.org/abs/1903.11482.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kfc.data import Rows
from kfc.network.row_statistics import he_plus_5, unit_variance
from kfc.network.seeds import layer_seed
from kfc.spec import BiasInitializerSpec, InitializerSpec, Spec

ACTIVATION_BYTES = 2**28
"""Largest size of a layer's inputs and outputs over all rows, in float32."""

_CHUNK = 4096  # rows that pass through the earlier layers at once


class _Initialized(NamedTuple):
    """Initializers of one layer; None for zeros."""

    layer: str
    kernel_key: str
    kernel: InitializerSpec | None
    bias_key: str
    bias: BiasInitializerSpec | None


def keys_of_rows(spec: Spec) -> list[str]:
    """Returns the keys whose initializers compute weights from rows, in the spec's order."""
    keys = []
    for entry in _initialized(spec):
        keys += [entry.kernel_key] if _needs_rows(entry.kernel) else []
        keys += [entry.bias_key] if _needs_rows(entry.bias) else []
    return list(dict.fromkeys(keys))


def initialize_from_rows(network: keras.Model, spec: Spec, rows: Rows) -> None:
    """Computes the initial weights that need rows, where the spec has such initializers.

    The rows are drawn by the spec's seed, as many as fit `ACTIVATION_BYTES`, or all; sample
    weights do not count. They pass through the layers before each layer, without dropout, and
    through these layers' initial weights. The same spec and rows give the same weights.

    Args:
        network: Network as `build` returns it, whose weights are changed.
        spec: Spec of the network.
        rows: Training rows, encoded.
    """
    if not keys_of_rows(spec):
        return
    x = _chosen(network, spec, rows)
    known = {layer.name for layer in network.layers}
    for entry in _initialized(spec):
        of_rows = _needs_rows(entry.kernel), _needs_rows(entry.bias)
        if not any(of_rows) or entry.layer not in known:
            continue
        layer = network.get_layer(entry.layer)
        inputs = _inputs(network, layer, x)  # (rows, ..., inputs)
        if of_rows[0]:
            kernel = layer.kernel.numpy()
            layer.kernel.assign(unit_variance(kernel, products(inputs, kernel)))
        if of_rows[1] and layer.bias is not None:
            seed = layer_seed(layer_seed(spec.seed, entry.layer), "bias")
            z = products(inputs, layer.kernel.numpy())
            bias = he_plus_5(z, np.random.default_rng(seed))
            layer.bias.assign(bias.reshape(layer.bias.shape))


def products(inputs: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Returns the outputs of a layer before its bias, one row for each row of its inputs.

    Args:
        inputs: Inputs, (rows, ..., inputs).
        kernel: Kernel, (inputs, units): all axes but the last are rows. With
            (members, inputs, units), the inputs are (rows, members, inputs).

    Returns:
        Outputs, (rows, units) or (rows, members * units), float32.
    """
    if kernel.ndim == 2:
        return tf.matmul(inputs.reshape(-1, len(kernel)), kernel).numpy()
    by_member = tf.einsum("bki,kic->bkc", inputs, kernel).numpy()
    return by_member.reshape(len(inputs), -1)


def _initialized(spec: Spec) -> Iterator[_Initialized]:
    """Yields the initializers of each layer, in the order of the forward pass."""
    network = spec.network
    for number, hidden in enumerate(network.layers()):
        own, name = network.hidden[number], f"hidden_{number + 1}"
        keys = [
            f"network.hidden[{number}].{key}" if getattr(own, key) else f"network.{key}"
            for key in ("init", "bias_init")
        ]
        yield _Initialized(f"{name}_projection", keys[0], hidden.init, "", None)
        yield _Initialized(name, keys[0], hidden.init, keys[1], hidden.bias_init)
    key = "network.output_init" if network.output_init else "network.init"
    init, bias = network.output_init or network.init, network.output_bias_init
    yield _Initialized("logits", key, init, "network.output_bias_init", bias)


def _needs_rows(init: InitializerSpec | None) -> bool:
    return init is not None and init.needs_rows


def _chosen(network: keras.Model, spec: Spec, rows: Rows) -> np.ndarray:
    """Returns the rows that pass through the network, (rows, *input_shape)."""
    widest = max(
        _numbers(layer.input.shape) + _numbers(layer.output.shape)
        for entry in _initialized(spec)
        for layer in network.layers
        if layer.name == entry.layer
    )
    fits = max(1, ACTIVATION_BYTES // (4 * widest))
    if len(rows) <= fits:
        return np.asarray(rows.x[:])
    seed = layer_seed(spec.seed, "rows of initializers")
    drawn = np.random.default_rng(seed).choice(len(rows), fits, replace=False)
    return np.asarray(rows.take(np.sort(drawn)).x[:])


def _numbers(shape: tuple[int | None, ...]) -> int:
    return math.prod(size for size in shape[1:] if size is not None)


def _inputs(network: keras.Model, layer: keras.layers.Layer, x: np.ndarray) -> np.ndarray:
    """Returns the inputs of a layer, (rows, ..., inputs), float32."""
    before: Any = keras.Model(network.inputs[0], layer.input)
    pieces = [
        tf.cast(before(x[first : first + _CHUNK], training=False), tf.float32).numpy()
        for first in range(0, len(x), _CHUNK)
    ]
    return np.concatenate(pieces)
