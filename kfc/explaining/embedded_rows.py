"""Embeddings of numbers and the factors of a member, with their first weights, in NumPy."""

from __future__ import annotations

import math

import numpy as np

from kfc import reference_inputs
from kfc.explaining import philox
from kfc.network import layer_seed
from kfc.spec import Spec

Array = np.ndarray

_NAME = "numeric_embedding"  # of the layers that `kfc.network` adds


def embedded_sample(spec: Spec, numbers: Array) -> tuple[Array, int]:
    """Returns the embeddings of scaled numbers at the start, and the number of their weights.

    The weights are the numbers that a training draws. Those of the bins of
    `piecewise_linear` are 0 at the start, so its bins need not be known.

    Args:
        spec: Spec of the network.
        numbers: Scaled numbers, (rows, numbers).
    """
    embedding = spec.network.numeric_embedding
    if embedding is None:
        return numbers, 0
    count, size = numbers.shape[1], int(embedding.options["size"])

    def drawn(name: str, shape: tuple[int, ...], bound: float) -> Array:
        width = np.float32(2 * bound)
        uniform = philox.uniform(math.prod(shape), layer_seed(spec.seed, name))
        return (uniform * width - np.float32(bound)).reshape(shape).astype(np.float64)

    linear = f"{_NAME}_linear"
    if embedding.name == "periodic_linear":
        waves = int(embedding.options["frequencies"])
        normal = philox.normal(count * waves, layer_seed(spec.seed, f"{_NAME}_waves"))
        w = normal.reshape(count, waves) * float(embedding.options["stddev"])
        b = drawn(f"{_NAME}_waves/bias", (count, waves), math.pi)
        bound = 1 / math.sqrt(waves)
        v = drawn(linear, (count, waves, size), bound)
        c = drawn(f"{linear}/bias", (count, size), bound)
        return reference_inputs.waves(numbers, w, b, v, c), w.size + b.size + v.size + c.size
    bound = 1 / math.sqrt(size)
    w = drawn(linear, (count, size), bound)
    c = drawn(f"{linear}/bias", (count, size), bound)
    none = np.zeros((len(numbers), count, 0)), np.zeros((count, 0, size))
    bins = count * int(embedding.options["bins"]) * size
    return reference_inputs.pieces(numbers, w, c, *none), w.size + c.size + bins


def member_sample(spec: Spec, x: Array) -> Array:
    """Returns the inputs of one member of a network, (rows, inputs).

    A member multiplies its inputs by numbers of its own: 1 or -1, or normal ones beside an
    embedding of numbers. They are drawn here for each input alone, not for each column.

    Args:
        spec: Spec of the network.
        x: Inputs that the members share, (rows, inputs).
    """
    if spec.network.members == 1:
        return x
    generator = np.random.default_rng(layer_seed(spec.seed, "member_scale"))
    if spec.network.numeric_embedding is not None:
        return x * generator.normal(size=x.shape[1])
    return x * generator.choice((-1.0, 1.0), size=x.shape[1])
