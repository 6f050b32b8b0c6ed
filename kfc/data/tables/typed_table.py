"""The columns of a table in the types that its encoding takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
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
        columns: Column name -> values.
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
        """Returns the rows with these numbers, in this order."""
        indices = pa.array(rows)
        taken = {name: values.take(indices) for name, values in self.columns.items()}
        return TypedTable(taken, len(rows))

    def add_to_hash(self, digest: Any) -> None:
        """Adds names and values to a hash, which is the same for every origin of a table.

        Args:
            digest: Hash object of `hashlib`.
        """
        for name, values in self.columns.items():
            digest.update(f"{name!r} {values.type}".encode())
            missing = np.zeros(len(values), bool)
            if values.null_count:
                missing = np.asarray(values.is_null().combine_chunks())
            digest.update(np.packbits(missing).data)
            if pa.types.is_dictionary(values.type):
                texts = hashlib.sha256()
                codes = self._codes_in_order(values, texts)
                digest.update(texts.digest())
                digest.update(codes.view(np.uint8).data)
                continue
            for chunk in values.chunks:
                plain = np.asarray(chunk.cast(_PLAIN[str(values.type)]).fill_null(0))
                digest.update(np.ascontiguousarray(plain).view(np.uint8).data)

    @staticmethod
    def _codes_in_order(values: pa.ChunkedArray, texts: Any) -> np.ndarray:
        """Returns the number of each value in the sorted order of the texts that occur."""
        merged = values.combine_chunks()
        if isinstance(merged, pa.ChunkedArray):
            merged = merged.unify_dictionaries().combine_chunks()
        indices = np.asarray(merged.indices.fill_null(0))
        words = merged.dictionary.to_pylist()
        present = np.zeros(max(len(words), 1), bool)
        present[indices] = True
        order = sorted((word, number) for number, word in enumerate(words) if present[number])
        rank = np.zeros(max(len(words), 1), np.int64)
        for place, (_, number) in enumerate(order):
            rank[number] = place
        texts.update("".join(f"{word!r} " for word, _ in order).encode())
        return rank[indices]


_PLAIN = {"double": pa.float64(), "bool": pa.uint8(), "timestamp[us]": pa.int64()}
