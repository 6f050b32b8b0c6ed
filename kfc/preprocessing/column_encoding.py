"""The form that the encodings of all types of columns have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import keras

Place = Callable[[int, str], str]
"""Returns the name of a cell in a message, from its row and its column."""


class Code(NamedTuple):
    """A feature that is the number of a category: 1 to `size`, or 0 for no category.

    Args:
        name: Name of the column.
        size: Number of slots, each of which the training rows have trained.
        embedding_size: Length of the vector that the network learns for each slot, or None
            for one-hot.
        sign: Whether the two slots of a one-hot encoding are one input, 1 or -1.
    """

    name: str
    size: int
    embedding_size: int | None
    sign: bool = False

    @property
    def num_inputs(self) -> int:
        """Number of inputs of the network."""
        if self.embedding_size is not None:
            return self.embedding_size
        return 1 if self.sign else self.size


class Block(NamedTuple):
    """Features of columns of one type in a Keras graph.

    Args:
        keys: (column, number of the feature within its column) of each feature.
        values: The features, (batch, len(keys)), float32.
    """

    keys: list[tuple[str, int]]
    values: keras.KerasTensor


@dataclass(frozen=True)
class ColumnEncoding(ABC):
    """Encodes one column of a table as float32 features without NaN.

    The features of a column are its numbers, then its flags, then its codes.

    Args:
        name: Name of the column.
        gaps: Whether the training rows had missing values.
    """

    name: str
    gaps: bool

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Returns the encoding whose `get_config` is given."""
        return cls(**config)

    @abstractmethod
    def get_config(self) -> dict[str, Any]:
        """Returns the learned values as plain ones, for JSON."""

    @property
    def number_names(self) -> tuple[str, ...]:
        """Names of the features that the network's scaling layer scales."""
        return ()

    @property
    def flag_names(self) -> tuple[str, ...]:
        """Names of the features that are -1, 0 or 1."""
        return (f"{self.name} is missing",) if self.gaps else ()

    @property
    def codes(self) -> tuple[Code, ...]:
        """The features that are the number of a category."""
        return ()

    @property
    def num_features(self) -> int:
        """Number of features of all kinds."""
        return len(self.number_names) + len(self.flag_names) + len(self.codes)

    def apply(self, values: pa.ChunkedArray, place: Place | None = None) -> np.ndarray:
        """Returns the column's features, (rows, features), float32.

        Args:
            values: The column, of the type that the encoding was fitted to.
            place: Function that names a cell in an error.

        Raises:
            DataError: If a value cannot be encoded.
        """
        features = np.empty((len(values), self.num_features), np.float32)
        self.write(values, list(features.T), place or row_place)
        return features

    @abstractmethod
    def write(
        self, values: pa.ChunkedArray, features: Sequence[np.ndarray], place: Place
    ) -> None:
        """Writes the column's features into arrays, (rows,), float32, one for each.

        Raises:
            DataError: If a value cannot be encoded.
        """

    # --- in a graph ----------------------------------------------------------------------

    @property
    @abstractmethod
    def input_dtype(self) -> str:
        """Type of the raw column as the input of a Keras model."""

    @abstractmethod
    def raw_input(self, values: pa.ChunkedArray, place: Place) -> Any:
        """Returns the raw column, (rows,), as the Keras model takes it.

        Raises:
            DataError: If a value has no form in the model's input.
        """

    @classmethod
    @abstractmethod
    def graph(
        cls, columns: Sequence[Self], inputs: Sequence[keras.KerasTensor]
    ) -> list[Block]:
        """Returns the features of several columns of this type from their raw inputs.

        Columns of one type are computed together, so that a wide table has a small graph.

        Args:
            columns: The encodings.
            inputs: The raw column of each, (batch,).
        """


def row_place(row: int, column: str) -> str:
    """Returns the name of a cell in a table that has no name."""
    return f"row {row}, column {column!r}"


def moved(place: Place, first: int) -> Place:
    """Returns the function that names cells of rows which follow `first` other ones."""
    return lambda row, column: place(first + row, column)


Column: TypeAlias = pa.ChunkedArray | Sequence[pa.ChunkedArray]
"""Values of a column: all of them, or in parts, each of which is made when it is read."""


def parts_of(values: Column) -> Sequence[pa.ChunkedArray]:
    """Returns the parts of a column, which are one where it is complete."""
    return [values] if isinstance(values, pa.ChunkedArray) else values


def missing_rows(values: pa.ChunkedArray) -> np.ndarray:
    """Returns whether the value of each row is missing, (rows,), bool."""
    if not values.null_count:
        return np.zeros(len(values), bool)
    return np.asarray(values.is_null().to_numpy())


def text_input(values: pa.ChunkedArray) -> Any:
    """Returns a tensor of text, (rows,), with an empty text for a missing value."""
    import tensorflow as tf

    filled = values.cast(pa.string()).fill_null("")
    # `Model.predict` refuses NumPy arrays of text.
    return tf.constant(filled.to_numpy(), dtype=tf.string)


def flag_block(columns: Sequence[ColumnEncoding], missing: keras.KerasTensor) -> list[Block]:
    """Returns the block of the flags `is missing`, for the columns that have one.

    Args:
        columns: Encodings whose last feature is the flag if they have one.
        missing: Whether the value of each column is missing, (batch, columns).
    """
    import keras

    chosen = [i for i, column in enumerate(columns) if column.gaps]
    if not chosen:
        return []
    keys = [(columns[i].name, columns[i].num_features - 1) for i in chosen]
    flags = keras.ops.take(missing, np.array(chosen), axis=1)
    return [Block(keys, keras.ops.cast(flags, "float32"))]
