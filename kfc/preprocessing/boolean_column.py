"""Encoding of a column of true and false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from kfc.errors import DataError, Finding
from kfc.preprocessing.column_encoding import (
    Block,
    Column,
    ColumnEncoding,
    Place,
    flag_block,
    missing_rows,
    parts_of,
    text_input,
)

if TYPE_CHECKING:
    import keras

_WORDS = ("true", "false", "True", "False")
"""Texts that the model takes where a value may be missing."""

_SIGNS = np.array([0, np.nan, 1, -1, 1, -1], np.float32)
"""Feature of the empty text, of any other one and of each of the words."""


@dataclass(frozen=True)
class BooleanColumn(ColumnEncoding):
    """Encodes true as 1, false as -1 and a missing value as 0.

    Where the training rows had gaps, a flag follows.

    Args:
        name: Name of the column.
        gaps: Whether the training rows had missing values.
    """

    @classmethod
    def fit(cls, name: str, values: Column) -> Self:
        """Learns from training rows whether values are missing.

        Args:
            name: Name of the column.
            values: The column, bool, with null for a missing value; perhaps in parts.
        """
        return cls(name, any(part.null_count for part in parts_of(values)))

    def get_config(self) -> dict[str, Any]:
        """Returns the learned values as plain ones, for JSON."""
        return {"name": self.name, "gaps": self.gaps}

    @property
    def flag_names(self) -> tuple[str, ...]:
        """Names of the flags: the value, and whether it is missing."""
        return (self.name, *super().flag_names)

    def write(
        self, values: pa.ChunkedArray, features: Sequence[np.ndarray], place: Place
    ) -> None:
        """Writes the value, and the flag if there is one."""
        truth = values.fill_null(False).to_numpy()
        missing = missing_rows(values)
        features[0][:] = np.where(missing, 0, np.where(truth, 1, -1))
        if self.gaps:
            features[1][:] = missing

    # --- in a graph ----------------------------------------------------------------------

    @property
    def input_dtype(self) -> str:
        """Type of the raw column: text where values may be missing, else bool."""
        return "string" if self.gaps else "bool"

    def raw_input(self, values: pa.ChunkedArray, place: Place) -> Any:
        """Returns the column, (rows,): bool, or `true`, `false` and the empty text.

        Raises:
            DataError: If a value is missing and no training row had a missing one.
        """
        if self.gaps:
            return text_input(values)
        missing = missing_rows(values)
        if missing.any():
            row = int(missing.argmax())
            finding = Finding(
                place(row, self.name),
                "true or false, as in all training rows",
                "a missing value",
                "Fill it, or train on rows of which some lack this value.",
                evidence={"row": row, "column": self.name},
            )
            raise DataError(finding)
        return np.asarray(values.to_numpy(), bool)

    @classmethod
    def graph(
        cls, columns: Sequence[Self], inputs: Sequence[keras.KerasTensor]
    ) -> list[Block]:
        """Returns the flags of several columns from their raw inputs.

        A text that is neither true, false nor empty gives NaN.
        """
        import keras

        ops = keras.ops
        signs, missing = [], []
        for column, raw in zip(columns, inputs, strict=True):
            if not column.gaps:
                signs.append(ops.cast(raw, "float32") * 2 - 1)
                missing.append(ops.zeros_like(signs[-1]))
                continue
            lookup = keras.layers.StringLookup(vocabulary=list(_WORDS), mask_token="")
            number = lookup(raw)
            signs.append(ops.take(_SIGNS, number))
            missing.append(ops.cast(ops.equal(number, 0), "float32"))
        keys = [(column.name, 0) for column in columns]
        flags = flag_block(columns, ops.stack(missing, axis=1))
        return [Block(keys, ops.stack(signs, axis=1)), *flags]
