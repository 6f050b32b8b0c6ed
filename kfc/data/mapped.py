"""Rows that stay on the disk and are read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

CHUNK_BYTES = 1 << 26  # 64 MiB


class Mapped:
    """Some rows of an array that lies on the disk: what of an array kfc needs.

    Args:
        array: (rows, ...), usually a `numpy.memmap`.
        rows: Numbers of the rows that belong to it; None for all.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray | None = None) -> None:
        self.array, self.rows = np.asarray(array), rows  # so that what is read is no map
        self.dtype = array.dtype
        self.shape = (len(array) if rows is None else len(rows), *array.shape[1:])
        self.ndim = array.ndim
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.nbytes = self.size * array.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Reads rows: a slice of them, or those of an array of numbers."""
        if self.rows is None and isinstance(rows, slice):
            return np.array(self.array[rows])
        return np.take(self.array, rows if self.rows is None else self.rows[rows], axis=0)

    def take(self, rows: np.ndarray) -> Mapped:
        """Returns the rows at `rows`, unread."""
        return Mapped(self.array, rows if self.rows is None else self.rows[rows])

    def chunk_rows(self, multiple: int = 1) -> int:
        """Returns a number of rows, a multiple of `multiple`, of some 64 MiB."""
        row_bytes = max(self.nbytes // max(len(self), 1), 1)
        return multiple * max(1, CHUNK_BYTES // (row_bytes * multiple))


def chunks(x: np.ndarray | Mapped, multiple: int = 1) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (number of the first row, rows): what is mapped in pieces, an array whole.

    Args:
        x: Rows.
        multiple: Pieces but the last have a multiple of so many rows.
    """
    if not isinstance(x, Mapped):
        yield 0, x
        return
    size = x.chunk_rows(multiple)
    for first in range(0, len(x), size):
        yield first, x[first : first + size]
