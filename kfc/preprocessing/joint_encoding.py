"""Encoding of a table for several networks at once, whose own encodings differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from kfc.errors import Finding, SpecError
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
        columns: The encodings of the columns of the first member.
        members: The encoding of each member, of the same columns.
    """

    members: tuple[TableEncoding, ...] = ()

    @classmethod
    def of(cls, members: Collection[TableEncoding]) -> JointEncoding:
        """Returns the joint encoding of several members."""
        each = tuple(members)
        return cls(each[0].columns, each)

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

    @cached_property
    def _widest(self) -> dict[str, ColumnEncoding]:
        """The encoding of each column whose raw input every member can read.

        Raises:
            SpecError: If one member reads a column as text and another as integers.
        """
        found = {}
        for each in zip(*(member.columns for member in self.members), strict=True):
            types = {column.input_dtype for column in each}
            wide = next((pair for pair in _WIDER if types <= pair), types)
            if len(types) > 1 and wide is types:
                raise SpecError(
                    Finding(
                        f"column {each[0].name!r}",
                        "one type of its values for all members",
                        " and ".join(sorted(types)),
                        f"Give the values of this column letters, or set data.columns."
                        f"{each[0].name}: number.",
                    )
                )
            last = "string" if "string" in types else "float64"
            of_type = [column for column in each if column.input_dtype == last]
            found[each[0].name] = (of_type or list(each))[0]
        return found

    def inputs(self, reserved: Collection[str] = ()) -> dict[str, keras.KerasTensor]:
        """Returns the Keras inputs of the raw columns, each (batch,), by their names."""
        import keras

        names = self.input_names(reserved)
        return {
            names[name]: keras.Input((), name=names[name], dtype=column.input_dtype)
            for name, column in self._widest.items()
        }

    def features(
        self, inputs: Mapping[str, keras.KerasTensor], reserved: Collection[str] = ()
    ) -> keras.KerasTensor:
        """Returns the features of all members, (batch, features), float32."""
        import keras

        names = self.input_names(reserved)
        parts = []
        for member in self.members:
            raw = {
                names[column.name]: _as_read(inputs[names[column.name]], column)
                for column in member.columns
            }
            parts.append(member.features(raw, reserved))
        return keras.ops.concatenate(parts, axis=1)

    def raw_inputs(
        self,
        columns: Mapping[str, pa.ChunkedArray],
        reserved: Collection[str] = (),
        place: Any = None,
    ) -> dict[str, Any]:
        """Returns the raw columns as tensors for the Keras model, by the inputs' names."""
        widest = TableEncoding(tuple(self._widest.values()))
        return widest.raw_inputs(columns, reserved, place)


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
    if dtype == "bool":  # of text; a missing value counts as false
        lookup = keras.layers.StringLookup(vocabulary=["true"], mask_token="")
        return ops.equal(lookup(raw), 2)
    unseen = float(column._unseen_integer)  # type: ignore[attr-defined]
    whole = ops.equal(ops.floor(raw), raw)  # false for NaN
    return ops.cast(ops.where(whole, raw, unseen), "int64")
