"""The columns of a table in the types that its encoding takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


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
        with ThreadPoolExecutor(1) as pool:
            # The bytes of a column are made while those of the one before are hashed.
            waiting: Future[list[Any]] | None = None
            for name in self.columns:
                made = pool.submit(_hashed_bytes, name, self.columns[name])
                for part in waiting.result() if waiting else ():
                    digest.update(part)
                waiting = made
            for part in waiting.result() if waiting else ():
                digest.update(part)


def _hashed_bytes(name: str, values: pa.ChunkedArray) -> list[Any]:
    """Returns the bytes that stand for a column in a hash."""
    missing = np.zeros(len(values), bool)
    if values.null_count:
        missing = np.asarray(values.is_null().combine_chunks())
    parts: list[Any] = [f"{name!r} {values.type}".encode(), np.packbits(missing).data]
    if pa.types.is_dictionary(values.type):
        codes, texts = _codes_in_order(values)
        return [*parts, texts, codes.view(np.uint8).data]
    for chunk in values.chunks:
        plain = np.asarray(chunk.cast(_PLAIN[str(values.type)]).fill_null(0))
        parts.append(np.ascontiguousarray(plain).view(np.uint8).data)
    return parts


def _codes_in_order(values: pa.ChunkedArray) -> tuple[np.ndarray, bytes]:
    """Returns the number of each value in the sorted texts that occur, and their hash.

    A missing value has the number of the first word of the dictionary.
    """
    merged = values.combine_chunks()
    if isinstance(merged, pa.ChunkedArray):
        merged = merged.unify_dictionaries().combine_chunks()
    indices = np.asarray(merged.indices.fill_null(0))
    present = np.zeros(max(len(merged.dictionary), 1), bool)
    present[indices] = True
    # Arrow sorts the bytes of UTF-8, which is the order of Python's texts.
    order = pc.array_sort_indices(merged.dictionary).to_numpy()
    order = order[present[order]]
    rank = np.zeros(len(present), np.int64)
    rank[order] = np.arange(len(order))
    words = merged.dictionary.take(pa.array(order)).to_pylist()
    texts = hashlib.sha256("".join(f"{word!r} " for word in words).encode())
    return rank[indices], texts.digest()


_PLAIN = {"double": pa.float64(), "bool": pa.uint8(), "timestamp[us]": pa.int64()}
