"""Encoding of a table as one float32 matrix."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from kfc.preprocessing.boolean_column import BooleanColumn
from kfc.preprocessing.category_column import CategoryColumn
from kfc.preprocessing.column_encoding import (
    Block,
    Code,
    Column,
    ColumnEncoding,
    Place,
    row_place,
)
from kfc.preprocessing.date_column import DateColumn
from kfc.preprocessing.input_names import keras_names, signature_names
from kfc.preprocessing.number_column import NumberColumn
from kfc.spec import CategoriesSpec, ColumnSpec
from kfc.system import in_threads

if TYPE_CHECKING:
    import keras

_ROWS_AT_ONCE = 1 << 10
_ROWS_OF_THREAD = 1 << 17

_TYPES: dict[str, type[ColumnEncoding]] = {
    "number": NumberColumn,
    "boolean": BooleanColumn,
    "date": DateColumn,
    "category": CategoryColumn,
}


@dataclass(frozen=True)
class TableEncoding:
    """Encodes the columns of a table as features, (rows, features), float32, without NaN.

    All numbers come first, then all flags, which are -1, 0 or 1, then the codes of all
    categories; within each in the order of the columns.

    Args:
        columns: The encodings of the columns, in the order of the table.
    """

    columns: tuple[ColumnEncoding, ...]

    @classmethod
    def fit(
        cls,
        columns: Mapping[str, Column],
        specs: Mapping[str, ColumnSpec],
        missing: str,
        categories: CategoriesSpec,
        place: Place | None = None,
        each: Callable[[Callable[[str], ColumnEncoding], list[str]], list[ColumnEncoding]]
        | None = None,
    ) -> Self:
        """Learns the encoding of each column from training rows.

        Args:
            columns: Columns by name: float64 for numbers, bool, timestamps of microseconds
                for dates, and dictionaries of text for categories. A column may be given in
                parts, which are read several times.
            specs: Type and options of each; those of the type `ignore` are left out.
            missing: `mean`, `median`, `auto` or `refuse`, for missing numbers.
            categories: Options of the categories.
            place: Function that names a cell in an error, from its row and its column.
            each: Function that learns each of some columns, by a function of the name, and
                may share them out among processes; by default two threads do it.

        Raises:
            DataError: If a value cannot be encoded.
            SpecError: If the format of a date is not one that can be read.
        """

        def fitted(name: str) -> ColumnEncoding:
            spec, values = specs[name], columns[name]
            if spec.type == "number":
                return NumberColumn.fit(name, values, missing, place)
            if spec.type == "boolean":
                return BooleanColumn.fit(name, values)
            if spec.type == "date":
                return DateColumn.fit(name, values, spec.format, place)
            return CategoryColumn.fit(name, values, spec, categories)

        # Arrow keeps what it has freed, such as the text of a table whose columns are typed by
        # now: 200 MB of a file of 150 MB, of which NumPy could use nothing.
        pa.default_memory_pool().release_unused()
        used = [name for name in columns if specs[name].type != "ignore"]
        return cls(tuple((each or in_threads)(fitted, used)))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Returns the encoding whose `get_config` is given."""
        return cls(
            tuple(_TYPES[c["type"]].from_config(c["config"]) for c in config["columns"])
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the learned values as plain ones, for JSON."""
        names = {column: name for name, column in _TYPES.items()}
        return {
            "columns": [
                {"type": names[type(column)], "config": column.get_config()}
                for column in self.columns
            ]
        }

    @cached_property
    def num_numbers(self) -> int:
        """Number of features that the network's scaling layer scales: the first ones."""
        return sum(len(column.number_names) for column in self.columns)

    @cached_property
    def num_flags(self) -> int:
        """Number of features that are -1, 0 or 1: those after the numbers."""
        return sum(len(column.flag_names) for column in self.columns)

    @cached_property
    def codes(self) -> tuple[Code, ...]:
        """The features that are the numbers of categories: the last ones."""
        return tuple(code for column in self.columns for code in column.codes)

    @cached_property
    def num_features(self) -> int:
        """Number of features of all kinds."""
        return self.num_numbers + self.num_flags + len(self.codes)

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features in their order."""
        numbers = [name for column in self.columns for name in column.number_names]
        flags = [name for column in self.columns for name in column.flag_names]
        return (*numbers, *flags, *(code.name for code in self.codes))

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """Positions of the features of each column, by its name."""
        number, flag, code = 0, self.num_numbers, self.num_numbers + self.num_flags
        places = {}
        for column in self.columns:
            counts = len(column.number_names), len(column.flag_names), len(column.codes)
            places[column.name] = [
                first + i
                for first, count in zip((number, flag, code), counts, strict=True)
                for i in range(count)
            ]
            number, flag, code = number + counts[0], flag + counts[1], code + counts[2]
        return places

    def apply(
        self, columns: Mapping[str, pa.ChunkedArray], place: Place | None = None
    ) -> np.ndarray:
        """Returns the features, (rows, features), float32; `features` computes the same.

        Args:
            columns: Columns by name, of the types that `fit` takes; others are ignored.
            place: Function that names a cell in an error, from its row and its column.

        Raises:
            DataError: If a value cannot be encoded.
        """
        if not self.columns:
            return np.empty((0, 0), np.float32)

        def write(column: ColumnEncoding) -> None:
            own = [by_feature[i] for i in self.places[column.name]]
            column.write(columns[column.name], own, place or row_place)

        # A column is contiguous while it is written, and rows are made of a few at a time:
        # numbers that are rows apart would miss the cache one by one.
        rows = len(columns[self.columns[0].name])
        by_feature = np.empty((self.num_features, rows), np.float32)
        in_threads(write, self.columns)
        features = np.empty((rows, self.num_features), np.float32)

        def turn(start: int) -> None:
            for first in range(start, min(start + _ROWS_OF_THREAD, rows), _ROWS_AT_ONCE):
                part = slice(first, first + _ROWS_AT_ONCE)
                features[part] = by_feature[:, part].T

        in_threads(turn, range(0, rows, _ROWS_OF_THREAD))
        return features

    def unknown_rows(self, columns: Mapping[str, pa.ChunkedArray]) -> dict[str, np.ndarray]:
        """Returns masks of the category values that training has not seen, by column."""
        return {
            column.name: column.unknown_rows(columns[column.name])
            for column in self.columns
            if isinstance(column, CategoryColumn)
        }

    def unknown_counts(self, columns: Mapping[str, pa.ChunkedArray]) -> dict[str, int]:
        """Returns the number of category values that training has not seen, by column."""
        return {name: int(mask.sum()) for name, mask in self.unknown_rows(columns).items()}

    # --- in a graph ----------------------------------------------------------------------

    def input_names(self, reserved: Collection[str] = ()) -> dict[str, str]:
        """Returns the name of the Keras input of each column, by the column's name.

        Args:
            reserved: Names of the model's layers, which no input may have.
        """
        return keras_names((column.name for column in self.columns), reserved)

    def signature_names(self, reserved: Collection[str] = ()) -> dict[str, str]:
        """Returns the name of each column in the signature of a SavedModel.

        Args:
            reserved: Names of the Keras model's layers.
        """
        return signature_names(self.input_names(reserved))

    def inputs(self, reserved: Collection[str] = ()) -> dict[str, keras.KerasTensor]:
        """Returns the Keras inputs of the raw columns, each (batch,), by their names.

        Args:
            reserved: Names of the model's layers, which no input may have.
        """
        import keras

        names = self.input_names(reserved)
        return {
            names[column.name]: keras.Input(
                (), name=names[column.name], dtype=column.input_dtype
            )
            for column in self.columns
        }

    def features(
        self, inputs: Mapping[str, keras.KerasTensor], reserved: Collection[str] = ()
    ) -> keras.KerasTensor:
        """Returns the features, (batch, features), float32.

        The graph has only operations and layers of Keras, so that a saved model is loaded
        without kfc. A text that is no date, or neither true nor false, gives NaN.

        Args:
            inputs: The inputs that `inputs` returned, by their names.
            reserved: Names of the model's layers, as for `inputs`.
        """
        import keras

        names = self.input_names(reserved)
        blocks: list[Block] = []
        for kind in _TYPES.values():
            group = [column for column in self.columns if type(column) is kind]
            if group:
                blocks += kind.graph(group, [inputs[names[column.name]] for column in group])
        found = [self.places[name][i] for block in blocks for name, i in block.keys]
        values = [block.values for block in blocks]
        joined = values[0] if len(values) == 1 else keras.ops.concatenate(values, axis=1)
        order = np.argsort(found)
        if np.array_equal(order, np.arange(len(order))):
            return joined
        return keras.ops.take(joined, order, axis=1)

    def raw_inputs(
        self,
        columns: Mapping[str, pa.ChunkedArray],
        reserved: Collection[str] = (),
        place: Place | None = None,
    ) -> dict[str, Any]:
        """Returns the raw columns as tensors for the Keras model, by the inputs' names.

        Args:
            columns: Columns by name, of the types that `fit` takes.
            reserved: Names of the model's layers, as for `inputs`.
            place: Function that names a cell in an error, from its row and its column.

        Raises:
            DataError: If a value has no form in the model's input.
        """
        import tensorflow as tf

        names, found = self.input_names(reserved), {}
        for column in self.columns:
            values = column.raw_input(columns[column.name], place or row_place)
            # `Model.__call__` refuses a mixture of tensors and arrays.
            found[names[column.name]] = tf.convert_to_tensor(values)
        return found
