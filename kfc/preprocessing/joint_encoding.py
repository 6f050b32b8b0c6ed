"""Encoding of a table for several networks at once, whose own encodings differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from kfc.errors import Finding, SpecError
from kfc.preprocessing.category_column import CategoryColumn
from kfc.preprocessing.column_encoding import Code, ColumnEncoding
from kfc.preprocessing.table_encoding import TableEncoding

if TYPE_CHECKING:
    import keras

_WIDER = ({"bool", "string"}, {"int64", "float64"})
"""Types of a raw column that can be read as the last one of them, which has missing values."""


@dataclass(frozen=True)
class JointEncoding(TableEncoding):
    """The features of each member's encoding, one member after another.

    Each member learned its encoding on training rows of its own. A row is encoded by each,
    and a network of the joint row gives each member its own features.

    Args:
        columns: The encoding of each column, of a member whose raw input can say most.
        members: The encoding of each member, of the same columns.
    """

    members: tuple[TableEncoding, ...] = ()

    @classmethod
    def of(cls, members: Collection[TableEncoding]) -> JointEncoding:
        """Returns the joint encoding of several members."""
        each = tuple(members)
        of_column = zip(*(member.columns for member in each), strict=True)
        return cls(tuple(_widest(columns) for columns in of_column), each)

    def get_config(self) -> dict[str, Any]:
        """Returns the learned values as plain ones, for JSON."""
        return {"members": [member.get_config() for member in self.members]}

    @property
    def num_numbers(self) -> int:
        """0, because each member's network scales its own numbers."""
        return 0

    @property
    def num_flags(self) -> int:
        """0, because flags are among the features of a member."""
        return 0

    @property
    def codes(self) -> tuple[Code, ...]:
        """None, because codes are among the features of a member."""
        return ()

    @property
    def num_features(self) -> int:
        """Number of features of all members."""
        return sum(member.num_features for member in self.members)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, with the number of their member, from 1."""
        return tuple(
            f"member_{number}.{name}"
            for number, member in enumerate(self.members, 1)
            for name in member.feature_names
        )

    def apply(self, columns: Mapping[str, pa.ChunkedArray], place: Any = None) -> np.ndarray:
        """Returns the features of all members, (rows, features), float32.

        Args:
            columns: Columns by name.
            place: Function that names a cell in an error, from its row and its column.

        Raises:
            DataError: If a value cannot be encoded.
        """
        return np.hstack([member.apply(columns, place) for member in self.members])

    def unknown_rows(self, columns: Mapping[str, pa.ChunkedArray]) -> dict[str, np.ndarray]:
        """Returns masks of the category values that no member has seen, by column."""
        masks = [member.unknown_rows(columns) for member in self.members]
        return {
            name: np.logical_and.reduce([mask[name] for mask in masks]) for name in masks[0]
        }

    # --- in a graph ----------------------------------------------------------------------

    def inputs(self, reserved: Collection[str] = ()) -> dict[str, keras.KerasTensor]:
        """Returns the Keras inputs of the raw columns, each (batch,), by their names."""
        self._check_types()
        return super().inputs(reserved)

    def _check_types(self) -> None:
        """Checks that no column is text for one member and integers for another.

        Raises:
            SpecError: If one is.
        """
        for wide, *each in zip(self.columns, *(m.columns for m in self.members), strict=True):
            types = {column.input_dtype for column in each}
            if len(types) > 1 and types not in _WIDER:
                raise SpecError(
                    Finding(
                        f"column {wide.name!r}",
                        "one type of its values for all members",
                        " and ".join(sorted(types)),
                        "Give the values of this column letters, so that all read text.",
                    )
                )

    def features(
        self, inputs: Mapping[str, keras.KerasTensor], reserved: Collection[str] = ()
    ) -> keras.KerasTensor:
        """Returns the features of all members, (batch, features), float32."""
        import keras

        names, parts = self.input_names(reserved), []
        for member in self.members:
            raw = {
                names[column.name]: _as_read(inputs[names[column.name]], column)
                for column in member.columns
            }
            parts.append(member.features(raw, reserved))
        return keras.ops.concatenate(parts, axis=1)


def _widest(columns: Sequence[ColumnEncoding]) -> ColumnEncoding:
    """Returns the encoding of one column whose raw input can say most, of several members."""
    order = ("string", "float64", "int64", "bool")
    return min(columns, key=lambda column: order.index(column.input_dtype))


def as_input(values: np.ndarray, dtype: str) -> np.ndarray:
    """Returns raw values of a column in a type that can also express a missing value.

    Args:
        values: Values of one member's raw input, (rows,).
        dtype: Type of the joint input.
    """
    if dtype == "string" and values.dtype.kind == "b":
        return np.where(values, "true", "false")
    return values if dtype == "string" else values.astype(dtype)


def encoding_from_config(config: Mapping[str, Any]) -> TableEncoding:
    """Returns the encoding, of one network or of several, whose `get_config` is given."""
    if "members" not in config:
        return TableEncoding.from_config(config)
    return JointEncoding.of([TableEncoding.from_config(each) for each in config["members"]])


def _as_read(raw: keras.KerasTensor, column: ColumnEncoding) -> keras.KerasTensor:
    """Returns a raw input in the type that the encoding of one member reads."""
    import keras

    ops, dtype = keras.ops, column.input_dtype
    if raw.dtype == dtype:
        return raw
    if dtype == "bool":  # of text: a missing value is half way, so that its sign is 0
        lookup = keras.layers.StringLookup(vocabulary=["false", "true"], mask_token="")
        return ops.take(np.array([0.5, np.nan, 0.0, 1.0], np.float32), lookup(raw))
    if not isinstance(column, CategoryColumn):
        raise TypeError(f"{column.name}: expected a category, got {type(column).__name__}")
    unseen = float(column.unseen_integer)
    whole = ops.equal(ops.floor(raw), raw)  # false for NaN
    return ops.cast(ops.where(whole, raw, unseen), "int64")
