"""The first layers of a network for a table: they scale its numbers and expand its categories.

The rows are encoded: numbers come first, then flags, then one code for each category. A code
of 0 is a category that has no place of its own, and all its inputs to the network are 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kfc.data import Task
from kfc.network.numeric_embeddings import (
    embedded_columns,
    embedded_numbers,
    embedded_size,
)
from kfc.network.table_float64 import (
    embedded_codes,
    embedding_name,
    one_hot_slots,
    sign_places,
    table_encoding_of,
)
from kfc.preprocessing import TableEncoding
from kfc.spec import Spec


def table_features(
    x: Any,
    spec: Spec,
    task: Task,
    *,
    seed_of: Callable[[str], int],
    scaled: bool = True,
) -> Any:
    """Adds the layers from encoded rows to the inputs of the first hidden layer.

    A category is a one-hot vector, or its product with a matrix that the network learns,
    which is an embedding: the row of the matrix that belongs to the category.

    Args:
        x: Symbolic encoded rows, (batch, features), float32.
        spec: Spec with the embedding of the numbers, if they have one.
        task: Task with the encoding of a table.
        seed_of: Function from the name of a layer to its seed.
        scaled: Whether the numbers are scaled.

    Returns:
        Symbolic inputs of the first hidden layer, (batch, inputs).
    """
    encoding = table_encoding_of(task)
    ops, first = keras.ops, encoding.num_numbers
    parts = []
    if first:
        numbers = x[:, :first]
        numbers = task.scaling.graph(numbers) if scaled else numbers
        parts.append(embedded_numbers(numbers, spec, task, seed_of))
    parts += _category_inputs(x, encoding)
    scaling = None if task.table is None else task.table.category_scaling
    if scaling is not None and scaled:
        numbers, categories = parts[: bool(first)], parts[bool(first) :]
        joined = categories[0] if len(categories) == 1 else ops.concatenate(categories, 1)
        parts = [*numbers, scaling.graph(joined, scaling.layer("category_scaling"))]
    for place, code in embedded_codes(encoding):
        numbers_of_slots = np.arange(1, code.size + 1, dtype=np.float32)
        one_hot = ops.cast(ops.equal(x[:, place : place + 1], numbers_of_slots), "float32")
        name = embedding_name(place)
        initializer = keras.initializers.RandomNormal(0.0, 1.0, seed=seed_of(name))
        parts.append(
            keras.layers.Dense(
                code.embedding_size,
                use_bias=False,
                kernel_initializer=initializer,
                name=name,
            )(one_hot)
        )
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name="inputs")(parts)


def _category_inputs(x: Any, encoding: TableEncoding) -> list[Any]:
    """Returns the flags, the signs and the one-hot inputs, as far as there are any."""
    ops, first, parts = keras.ops, encoding.num_numbers, []
    if encoding.num_flags:
        parts.append(x[:, first : first + encoding.num_flags])
    if signs := sign_places(encoding):
        codes = ops.take(x, np.asarray(signs, np.int32), axis=1)  # (batch, signs)
        first_value, second_value = (
            ops.cast(ops.equal(codes, np.float32(code)), "float32") for code in (1, 2)
        )
        parts.append(first_value - second_value)
    places, slots = one_hot_slots(encoding)
    if slots:
        # The code of a category, once for each of its slots, is compared with all of them.
        codes = ops.take(x, np.asarray(places, np.int32), axis=1)  # (batch, slots)
        parts.append(ops.cast(ops.equal(codes, np.asarray(slots, np.float32)), "float32"))
    return parts


def num_inputs(spec: Spec, task: Task) -> int:
    """Returns the number of inputs of the first hidden layer."""
    size = embedded_size(spec)
    if task.encoding is None:
        return size * math.prod(task.input_shape)
    encoding = task.encoding
    slots = sum(code.num_inputs for code in encoding.codes)
    return size * encoding.num_numbers + encoding.num_flags + slots


def input_columns(spec: Spec, task: Task) -> np.ndarray:
    """Returns the column from which each input of the first hidden layer comes, (inputs,).

    Columns of a table are counted in its order; each feature of an array is a column.

    Args:
        spec: Spec of the network.
        task: Task of the network.
    """
    if task.encoding is None:
        return embedded_columns(np.arange(math.prod(task.input_shape)), spec)
    encoding = task.encoding
    columns = np.empty(encoding.num_features, np.int64)
    for number, places in enumerate(encoding.places.values()):
        columns[places] = number
    first = encoding.num_numbers
    one_hot, _ = one_hot_slots(encoding)
    embedded = [
        place for place, code in embedded_codes(encoding) for _ in range(code.num_inputs)
    ]
    places = [*range(first, first + encoding.num_flags), *sign_places(encoding)]
    of_numbers = embedded_columns(columns[:first], spec)
    return np.concatenate([of_numbers, columns[[*places, *one_hot, *embedded]]])


def raw_model(network: keras.Model, task: Task) -> keras.Model:
    """Returns the model that takes the raw columns of a table by name.

    Args:
        network: Network that takes encoded rows; the model shares its weights.
        task: Task of the network.

    Returns:
        A model that loads in plain Keras; `network` itself if its inputs are arrays.
    """
    if task.encoding is None:
        return network
    reserved = (network.name,)  # the name of the one layer that is not an input
    inputs = task.encoding.inputs(reserved)
    features = task.encoding.features(inputs, reserved)
    return keras.Model(inputs, network(features), name="model")
