"""Embeddings of numbers: several inputs of the network for each number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kfc.data import Task
from kfc.errors import Finding, SpecError
from kfc.preprocessing import NumberBins
from kfc.spec import Spec

_NAME = "numeric_embedding"


def embedded_numbers(x: Any, spec: Spec, task: Task, seed_of: Callable[[str], int]) -> Any:
    """Adds the layers from scaled numbers to their embeddings, if the spec has any.

    Args:
        x: Symbolic scaled numbers, (batch, numbers).
        spec: Spec with the embedding.
        task: Task with the bins of the numbers, if the embedding has bins.
        seed_of: Function from the name of a layer to its seed.

    Returns:
        Symbolic inputs of the network, (batch, numbers * embedded_size).

    Raises:
        SpecError: If the embedding needs bins that the task does not have.
    """
    embedding = spec.network.numeric_embedding
    if embedding is None:
        return x
    embed = NUMERIC_EMBEDDINGS[embedding.name]
    return embed(x, seed_of=seed_of, number_bins=task.number_bins, **embedding.options)


def periodic_embedding(
    x: Any,
    *,
    seed_of: Callable[[str], int],
    number_bins: NumberBins | None = None,
    frequencies: int = 16,
    size: int = 3,
    stddev: float = 0.1,
) -> Any:
    """Adds the layers of waves that the network learns, and the numbers themselves.

    For each number x_i, with frequencies w_i, phases b_i and a matrix V_i of its own,

        e_i = (V_i cos(2 pi w_i x_i + b_i) + c_i, x_i).

    First come the products of all numbers, then the numbers themselves. At the start, w is
    normal, b is uniform in +-pi, V and c are uniform in +-1 / sqrt(frequencies).

    This is PBLD of Holzmueller, Grinsztajn and Steinwart, "Better by default: strong
    pre-tuned MLPs and boosted trees on tabular data", 2024, https://arxiv.org/abs/2407.04491.

    Args:
        x: Symbolic scaled numbers, (batch, numbers).
        seed_of: Function from the name of a layer to its seed.
        number_bins: Nothing; waves have no bins.
        frequencies: Number of waves of a number.
        size: Outputs of the linear map; the number itself is one more.
        stddev: Standard deviation of the initial frequencies.

    Returns:
        Symbolic inputs of the network, (batch, numbers * (size + 1)).
    """
    numbers = x.shape[-1]
    bound = 1.0 / math.sqrt(frequencies)
    first, second = f"{_NAME}_waves", f"{_NAME}_linear"
    angles = keras.layers.EinsumDense(
        "bf,fo->bfo",
        output_shape=(numbers, frequencies),
        bias_axes="fo",
        kernel_initializer=keras.initializers.RandomNormal(0.0, stddev, seed=seed_of(first)),
        bias_initializer=_uniform(math.pi, seed_of(f"{first}/bias")),
        name=first,
    )(2.0 * math.pi * x)  # (batch, numbers, frequencies)
    linear = keras.layers.EinsumDense(
        "bfk,fko->bfo",
        output_shape=(numbers, size),
        bias_axes="fo",
        kernel_initializer=_uniform(bound, seed_of(second)),
        bias_initializer=_uniform(bound, seed_of(f"{second}/bias")),
        name=second,
    )(keras.ops.cos(angles))  # (batch, numbers, size)
    flat = keras.layers.Reshape((numbers * size,), name=f"{_NAME}_flat")(linear)
    return keras.layers.Concatenate(name=_NAME)([flat, x])


def piecewise_embedding(
    x: Any,
    *,
    seed_of: Callable[[str], int],
    number_bins: NumberBins | None = None,
    bins: int = 48,
    size: int = 16,
) -> Any:
    """Adds the layers of a function of each number that is linear within each of its bins.

    For each number x_i with the encoding v_i of its bins (see
    `kfc.preprocessing.NumberBins`), and with w_i, c_i and a matrix V_i of its own,

        e_i = x_i w_i + c_i + v_i V_i.

    A constant column has no bin, so its last term is missing. At the start, w and c are
    uniform in +-1 / sqrt(size), and V is 0, so that the functions start as straight lines.

    This is version B of the package rtdl_num_embeddings (https://github.com/yandex-research/
    rtdl-num-embeddings), which Gorishniy, Kotelnikov and Babenko use in "TabM: advancing
    tabular deep learning with parameter-efficient ensembling", 2025,
    https://arxiv.org/abs/2410.24210.

    Args:
        x: Symbolic scaled numbers, (batch, numbers).
        seed_of: Function from the name of a layer to its seed.
        number_bins: Bins of the numbers, learned from training rows.
        bins: Largest number of bins of a number, which `number_bins` has been learned for.
        size: Inputs of the network for each number.

    Returns:
        Symbolic inputs of the network, (batch, numbers * size), one number after the other.

    Raises:
        SpecError: If there are no bins.
    """
    if number_bins is None:
        raise SpecError(
            Finding(
                "network.numeric_embedding",
                "an embedding that needs no rows, since kfc.build has none",
                "piecewise_linear, whose bins are learned from training rows",
                "Train with kfc.fit, or choose periodic_linear.",
            )
        )
    numbers, bound = x.shape[-1], 1.0 / math.sqrt(size)
    linear = f"{_NAME}_linear"
    embedded = keras.layers.EinsumDense(
        "bf,fo->bfo",
        output_shape=(numbers, size),
        bias_axes="fo",
        kernel_initializer=_uniform(bound, seed_of(linear)),
        bias_initializer=_uniform(bound, seed_of(f"{linear}/bias")),
        name=linear,
    )(x)  # (batch, numbers, size)
    if number_bins.num_bins:
        encoded = number_bins.layer(f"{_NAME}_bins")(x)  # (batch, numbers, bins)
        pieces = keras.layers.EinsumDense(
            "bfk,fko->bfo",
            output_shape=(numbers, size),
            kernel_initializer="zeros",
            name=f"{_NAME}_pieces",
        )(encoded)  # (batch, numbers, size)
        embedded = keras.layers.Add(name=f"{_NAME}_sum")([embedded, pieces])
    return keras.layers.Reshape((numbers * size,), name=_NAME)(embedded)


NUMERIC_EMBEDDINGS: dict[str, Callable[..., Any]] = {
    "periodic_linear": periodic_embedding,
    "piecewise_linear": piecewise_embedding,
}
"""The function that adds the layers of an embedding, by its name in a spec."""


def _uniform(bound: float, seed: int) -> keras.initializers.Initializer:
    return keras.initializers.RandomUniform(-bound, bound, seed=seed)


def embedded_size(spec: Spec) -> int:
    """Returns the number of inputs of the network for each number."""
    embedding = spec.network.numeric_embedding
    if embedding is None:
        return 1
    itself = 1 if embedding.name == "periodic_linear" else 0
    return int(embedding.options["size"]) + itself


def embedded_columns(columns: np.ndarray, spec: Spec) -> np.ndarray:
    """Returns the column of each input of the network that comes from a number.

    Args:
        columns: Column of each number, (numbers,).
        spec: Spec with the embedding of the numbers, if they have one.
    """
    embedding = spec.network.numeric_embedding
    if embedding is None:
        return columns
    products = np.repeat(columns, int(embedding.options["size"]))
    itself = embedded_size(spec) > int(embedding.options["size"])
    return np.concatenate([products, columns]) if itself else products


def embedding_terms(spec: Spec, task: Task) -> int:
    """Returns the number of waves or bins of each number; 0 without an embedding.

    Args:
        spec: Spec of the network.
        task: Task of the network. Until its bins are learned, the spec's number counts.
    """
    embedding = spec.network.numeric_embedding
    if embedding is None:
        return 0
    if embedding.name == "periodic_linear":
        return int(embedding.options["frequencies"])
    known = task.number_bins
    return int(embedding.options["bins"]) if known is None else known.num_bins


def embedding_weights(spec: Spec, task: Task) -> int:
    """Returns the number of weights of the embedding of a number.

    Args:
        spec: Spec of the network.
        task: Task of the network, see `embedding_terms`.
    """
    embedding = spec.network.numeric_embedding
    if embedding is None:
        return 0
    terms, size = embedding_terms(spec, task), int(embedding.options["size"])
    if embedding.name == "periodic_linear":
        return 2 * terms + (terms + 1) * size
    return (terms + 2) * size
