"""Rows that stay on the disk and are read as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kfc.system.file_rows import FileRows, Place, changed

CHUNK_BYTES = 1 << 26  # 64 MiB


class Mapped:
    """Some rows of an array that lies on the disk: what of an array kfc needs.

    What is read is a copy. It is pickled as the place of its file, which whoever unpickles it
    opens again; where there is none, such as for an array in memory, as all its values.

    Args:
        array: (rows, ...), usually a `numpy.memmap`, whose file is then read, not mapped.
        rows: Numbers of the rows that belong to it; None for all.
        dtype: Type to which rows are cast as they are read; None for their own.

    Raises:
        DataError: If the file is shorter than the array.
    """

    def __init__(
        self,
        array: np.ndarray | FileRows,
        rows: np.ndarray | None = None,
        dtype: Any = None,
    ) -> None:
        if isinstance(array, np.ndarray):
            array = FileRows.of(array) or np.asarray(array)
        self._array, self.rows = array, rows
        whole = array.place if isinstance(array, FileRows) else array
        self.dtype = whole.dtype if dtype is None else np.dtype(dtype)
        self.shape = (whole.shape[0] if rows is None else len(rows), *whole.shape[1:])
        self.ndim = len(whole.shape)
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self) -> tuple[Callable[..., Mapped], tuple[Any, ...]]:
        if isinstance(self._array, FileRows) and (version := self._array.version()):
            return _reopened, (self._array.place, version, self.rows, self.dtype)
        return Mapped, (self[:],)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Reads rows: a slice of them, or those of an array of numbers.

        Raises:
            DataError: If the file has become shorter, or cannot be read any more.
        """
        return self._read(rows).astype(self.dtype, copy=False)

    def _read(self, rows: Any) -> np.ndarray:
        """Returns a copy of rows in the type of the array."""
        if isinstance(rows, slice) and self.rows is None:
            first, last, step = rows.indices(len(self))
            if step == 1 and isinstance(self._array, FileRows):
                return self._array.between(first, last)
            rows = np.arange(first, last, step)
        elif self.rows is not None:
            rows = self.rows[rows]
        if isinstance(self._array, FileRows):
            return self._array.take(rows)
        return np.take(self._array, rows, axis=0)

    def take(self, rows: np.ndarray) -> Mapped:
        """Returns the rows at `rows`, unread."""
        return Mapped(self._array, rows if self.rows is None else self.rows[rows], self.dtype)

    def astype(self, dtype: Any) -> Mapped:
        """Returns the same rows, unread, which are cast to `dtype` as they are read."""
        return Mapped(self._array, self.rows, dtype)

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


def _reopened(
    place: Place, version: tuple[int, int], rows: np.ndarray | None, dtype: np.dtype
) -> Mapped:
    """Returns rows of the array at `place`.

    Raises:
        DataError: If the file is gone or cannot be read, or is not what it was.
    """
    size, _ = version
    try:
        array = FileRows(place)
    except FileNotFoundError as error:
        raise changed(place.path, size, "no such file") from error
    except OSError as error:
        raise changed(place.path, size, str(error)) from error
    if array.version() != version:
        raise changed(place.path, size, f"{array.size:,} bytes, written since")
    return Mapped(array, rows, dtype)
