"""The columns of a table in the types that its encoding takes."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ROWS = 1 << 20  # of a long column that are hashed at a time


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

    def parts(self, num_rows: int) -> Mapping[str, Sequence[pa.ChunkedArray]]:
        """Returns each column in parts of so many rows, which are made as they are read."""
        return _Parts(self, num_rows)

    def copied(self) -> TypedTable:
        """Returns the same rows, of which no column is computed any more."""
        return TypedTable(dict(self.columns.items()), self.num_rows)

    def add_to_hash(self, digest: Any) -> None:
        """Adds names and values to a hash, which is the same for every origin of a table.

        Args:
            digest: Hash object of `hashlib`.
        """
        made = itertools.chain.from_iterable(
            _hashed_bytes(name, self.columns[name]) for name in self.columns
        )
        with ThreadPoolExecutor(1) as pool:
            # The next bytes are made while the ones before are hashed.
            part = pool.submit(next, made, None).result()
            while part is not None:
                following = pool.submit(next, made, None)
                digest.update(part)
                part = following.result()


def _hashed_bytes(name: str, values: pa.ChunkedArray) -> Iterator[Any]:
    """Yields the bytes that stand for a column in a hash."""
    missing = np.zeros(len(values), bool)
    if values.null_count:
        missing = np.asarray(values.is_null().combine_chunks())
    yield f"{name!r} {values.type}".encode()
    yield np.packbits(missing).data
    if pa.types.is_dictionary(values.type):
        yield from _codes_in_order(values)
        return
    for chunk in _short_chunks(values):
        plain = np.asarray(chunk.cast(_PLAIN[str(values.type)]).fill_null(0))
        yield np.ascontiguousarray(plain).view(np.uint8).data


def _codes_in_order(values: pa.ChunkedArray) -> Iterator[Any]:
    """Yields a hash of the sorted texts that occur, and the number of each value in them.

    A missing value has the number of the first word of the dictionary.
    """
    unified = values.unify_dictionaries()
    words = unified.chunk(0).dictionary if unified.num_chunks else pa.array([], pa.string())
    present = np.zeros(max(len(words), 1), bool)
    for chunk in _short_chunks(unified):
        present[np.asarray(chunk.indices.fill_null(0))] = True
    # Arrow sorts the bytes of UTF-8, which is the order of Python's texts.
    order = pc.array_sort_indices(words).to_numpy()
    order = order[present[order]]
    rank = np.zeros(len(present), np.int64)
    rank[order] = np.arange(len(order))
    texts = "".join(f"{word!r} " for word in words.take(pa.array(order)).to_pylist())
    yield hashlib.sha256(texts.encode()).digest()
    for chunk in _short_chunks(unified):
        yield rank[np.asarray(chunk.indices.fill_null(0))].view(np.uint8).data


def _short_chunks(values: pa.ChunkedArray) -> Iterator[pa.Array]:
    """Yields the chunks of a column, long ones in parts."""
    for chunk in values.chunks:
        for first in range(0, len(chunk), _ROWS):
            yield chunk.slice(first, _ROWS)


_PLAIN = {"double": pa.float64(), "bool": pa.uint8(), "timestamp[us]": pa.int64()}


class _Parts(Mapping[str, Sequence[pa.ChunkedArray]]):
    """Columns in parts of some rows."""

    def __init__(self, table: TypedTable, num_rows: int) -> None:
        self._table, self._num_rows = table, num_rows

    def __getitem__(self, name: str) -> Sequence[pa.ChunkedArray]:
        return _ColumnParts(self._table, name, self._num_rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.columns)

    def __len__(self) -> int:
        return len(self._table.columns)


class _ColumnParts(Sequence[pa.ChunkedArray]):
    """One column in parts of some rows."""

    def __init__(self, table: TypedTable, name: str, num_rows: int) -> None:
        self._table, self._name, self._num_rows = table, name, num_rows

    def __len__(self) -> int:
        return max(1, -(-len(self._table) // self._num_rows))

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        first = number * self._num_rows
        last = min(first + self._num_rows, len(self._table))
        return self._table.take(np.arange(first, last)).columns[self._name]


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

    @classmethod
    def of(cls, columns: Mapping[str, pa.ChunkedArray], rows: np.ndarray) -> _TakenColumns:
        """Returns rows of columns that may be taken ones themselves."""
        if isinstance(columns, _TakenColumns):
            return cls(columns._columns, columns._rows[rows])
        return cls(columns, rows)

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        part = self._columns[name].slice(self._first, self._end - self._first)
        return part.take(pa.array(self._rows - self._first))

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)
