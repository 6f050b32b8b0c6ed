"""The columns of a table in the types that its encoding takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class TypedTable:
    """Inputs of a table: each column has the Arrow type of its column type.

    A number is float64, a boolean bool, a date a timestamp in microseconds, and a category a
    dictionary of text. A missing cell is null.

    Args:
        columns: Column name -> values, which may be computed as they are taken.
        num_rows: Number of rows.
    """

    columns: Mapping[str, pa.ChunkedArray]
    num_rows: int

    def __len__(self) -> int:
        return self.num_rows

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and number of columns."""
        return self.num_rows, len(self.columns)

    def take(self, rows: np.ndarray) -> TypedTable:
        """Returns the rows with these numbers, in this order.

        Each column is copied when it is needed, so that no second table fills the memory.
        """
        return TypedTable(_TakenColumns.of(self.columns, np.asarray(rows)), len(rows))

    def copied(self) -> TypedTable:
        """Returns the same rows, of which no column is computed any more."""
        return TypedTable(dict(self.columns.items()), self.num_rows)

    def add_to_hash(self, digest: Any) -> None:
        """Adds names and values to a hash, which is the same for every origin of a table.

        Args:
            digest: Hash object of `hashlib`.
        """
        for name, values in self.columns.items():
            digest.update(f"{name!r} {values.type}".encode())
            missing = np.asarray(values.is_null().combine_chunks())
            digest.update(np.packbits(missing).data)
            if pa.types.is_dictionary(values.type):
                texts = hashlib.sha256()
                codes = self._codes_in_order(values, texts)
                digest.update(texts.digest())
            else:
                codes = np.asarray(values.cast(_PLAIN[str(values.type)]).fill_null(0))
            digest.update(np.ascontiguousarray(codes).view(np.uint8).data)

    @staticmethod
    def _codes_in_order(values: pa.ChunkedArray, texts: Any) -> np.ndarray:
        """Returns the number of each value in the sorted order of the texts that occur."""
        merged = values.combine_chunks()
        if isinstance(merged, pa.ChunkedArray):
            merged = merged.unify_dictionaries().combine_chunks()
        indices = np.asarray(merged.indices.fill_null(0)).astype(np.int64)
        words = merged.dictionary.to_pylist()
        present = np.zeros(max(len(words), 1), bool)
        present[indices] = True
        order = sorted((word, number) for number, word in enumerate(words) if present[number])
        rank = np.zeros(max(len(words), 1), np.int64)
        for place, (word, number) in enumerate(order):
            rank[number] = place
            texts.update(f"{word!r} ".encode())
        return rank[indices]


_PLAIN = {"double": pa.float64(), "bool": pa.uint8(), "timestamp[us]": pa.int64()}


class _TakenColumns(Mapping[str, pa.ChunkedArray]):
    """Some rows of columns, which are taken from a column when it is asked for.

    Args:
        columns: Columns by name.
        rows: Numbers of the rows, in their order.
    """

    def __init__(self, columns: Mapping[str, pa.ChunkedArray], rows: np.ndarray) -> None:
        self._columns, self._rows = columns, rows
        # Arrow copies a column of many chunks before it takes rows of it, so it gets only the
        # part from the first to the last row.
        self._first = int(rows.min()) if len(rows) else 0
        self._end = int(rows.max()) + 1 if len(rows) else 0
        self._places = pa.array(rows - self._first)

    @classmethod
    def of(cls, columns: Mapping[str, pa.ChunkedArray], rows: np.ndarray) -> _TakenColumns:
        """Returns rows of columns that may be taken ones themselves."""
        if isinstance(columns, _TakenColumns):
            return cls(columns._columns, columns._rows[rows])
        return cls(columns, rows)

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        part = self._columns[name].slice(self._first, self._end - self._first)
        return part.take(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)
