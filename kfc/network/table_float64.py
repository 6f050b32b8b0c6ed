"""The inputs of the first hidden layer of a network for a table, in NumPy float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kfc.data import Task
    from kfc.preprocessing import Code, TableEncoding


def table_features_float64(x: np.ndarray, task: Task) -> np.ndarray:
    """Returns scaled numbers, flags, signs and one-hot inputs, in float64 as a reference.

    Args:
        x: Encoded rows, (batch, features).
        task: Task with an encoding.

    Returns:
        The inputs of the first hidden layer that no embedding makes, (batch, inputs).
    """
    encoding = table_encoding_of(task)
    first = encoding.num_numbers
    places, slots = one_hot_slots(encoding)
    signs = x[:, sign_places(encoding)]
    categories = np.concatenate(
        [
            x[:, first : first + encoding.num_flags].astype(np.float64),
            (signs == 1).astype(np.float64) - (signs == 2),
            (x[:, places] == np.asarray(slots)).astype(np.float64),
        ],
        axis=1,
    )
    scaling = None if task.table is None else task.table.category_scaling
    if scaling is not None:
        categories = scaling.apply_float64(categories)
    return np.concatenate([task.scaling.apply_float64(x[:, :first]), categories], axis=1)


def embedded_one_hots(x: np.ndarray, task: Task) -> dict[str, np.ndarray]:
    """Returns the one-hot rows that embeddings of categories multiply, by their layers.

    Args:
        x: Encoded rows, (batch, features).
        task: Task of the network.

    Returns:
        (batch, size) each, float64, in the order of the network's inputs.
    """
    if task.encoding is None:
        return {}
    return {
        embedding_name(place): (x[:, place : place + 1] == np.arange(1, code.size + 1)) * 1.0
        for place, code in embedded_codes(task.encoding)
    }


def table_encoding_of(task: Task) -> TableEncoding:
    """Returns the encoding of a task of a table."""
    if task.encoding is None:
        raise TypeError("task.encoding: expected the encoding of a table, got None")
    return task.encoding


def _first_code(encoding: TableEncoding) -> int:
    return encoding.num_numbers + encoding.num_flags


def one_hot_slots(encoding: TableEncoding) -> tuple[list[int], list[int]]:
    """Returns the feature and the code of each one-hot input."""
    places: list[int] = []
    slots: list[int] = []
    for place, code in enumerate(encoding.codes, start=_first_code(encoding)):
        if code.embedding_size is None and not code.sign:
            places += [place] * code.size
            slots += range(1, code.size + 1)
    return places, slots


def sign_places(encoding: TableEncoding) -> list[int]:
    """Returns the feature of each category of two values that is one input."""
    codes = enumerate(encoding.codes, start=_first_code(encoding))
    return [place for place, code in codes if code.sign]


def embedded_codes(encoding: TableEncoding) -> list[tuple[int, Code]]:
    """Returns the feature of each category that has an embedding."""
    codes = enumerate(encoding.codes, start=_first_code(encoding))
    return [(place, code) for place, code in codes if code.embedding_size is not None]


def embedding_name(place: int) -> str:
    """Returns the name of the layer that embeds the category of a feature."""
    return f"embedding_{place}"
