"""Embeddings of numbers: several inputs of the network for each number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kfc.spec import NumericEmbeddingSpec

_NAME = "numeric_embedding"


def embedded_numbers(
    x: Any, embedding: NumericEmbeddingSpec, seed_of: Callable[[str], int]
) -> Any:
    """Adds the layers from scaled numbers to their embeddings.

    For each number x_i, with frequencies w_i, phases b_i and a matrix V_i of its own,

        e_i = (V_i cos(2 pi w_i x_i + b_i) + c_i, x_i).

    First come the products of all numbers, then the numbers themselves. At the start, w is
    normal, b is uniform in +-pi, V and c are uniform in +-1 / sqrt(frequencies).

    This is PBLD of Holzmueller, Grinsztajn and Steinwart, "Better by default: strong
    pre-tuned MLPs and boosted trees on tabular data", 2024, https://arxiv.org/abs/2407.04491.

    Args:
        x: Symbolic scaled numbers, (batch, numbers).
        embedding: Options of the embedding.
        seed_of: Function from the name of a layer to its seed.

    Returns:
        Symbolic inputs of the network, (batch, numbers * (size + 1)).
    """
    numbers, waves, size = x.shape[-1], embedding.frequencies, embedding.size
    bound = 1.0 / math.sqrt(waves)
    first, second = f"{_NAME}_waves", f"{_NAME}_linear"
    angles = keras.layers.EinsumDense(
        "bf,fk->bfk",
        output_shape=(numbers, waves),
        bias_axes="fk",
        kernel_initializer=keras.initializers.RandomNormal(
            0.0, embedding.stddev, seed=seed_of(first)
        ),
        bias_initializer=keras.initializers.RandomUniform(
            -math.pi, math.pi, seed=seed_of(f"{first}/bias")
        ),
        name=first,
    )(2.0 * math.pi * x)  # (batch, numbers, waves)
    linear = keras.layers.EinsumDense(
        "bfk,fko->bfo",
        output_shape=(numbers, size),
        bias_axes="fo",
        kernel_initializer=keras.initializers.RandomUniform(
            -bound, bound, seed=seed_of(second)
        ),
        bias_initializer=keras.initializers.RandomUniform(
            -bound, bound, seed=seed_of(f"{second}/bias")
        ),
        name=second,
    )(keras.ops.cos(angles))  # (batch, numbers, size)
    flat = keras.layers.Reshape((numbers * size,), name=f"{_NAME}_flat")(linear)
    return keras.layers.Concatenate(name=_NAME)([flat, x])


def embedded_size(embedding: NumericEmbeddingSpec | None) -> int:
    """Returns the number of inputs of the network for each number."""
    return 1 if embedding is None else embedding.size + 1


def embedded_columns(
    columns: np.ndarray, embedding: NumericEmbeddingSpec | None
) -> np.ndarray:
    """Returns the column of each input of the network that comes from a number.

    Args:
        columns: Column of each number, (numbers,).
        embedding: Embedding of the numbers; None if they are inputs as they are.
    """
    if embedding is None:
        return columns
    products = np.repeat(columns, embedding.size)
    numbers_follow = embedded_size(embedding) > embedding.size
    return np.concatenate([products, columns]) if numbers_follow else products


def embedding_weights(embedding: NumericEmbeddingSpec | None) -> int:
    """Returns the number of weights of the embedding of a number."""
    if embedding is None:
        return 0
    waves, size = embedding.frequencies, embedding.size
    return 2 * waves + (waves + 1) * size
