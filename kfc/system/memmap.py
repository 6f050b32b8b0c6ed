"""Rows that stay on the disk and are read as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kfc.system.file_rows import FileRows, Place, changed

CHUNK_BYTES = 1 << 26  # 64 MiB


class DiskArray:
    """Rows of an array in a file, which are read when they are needed.

    It has the parts of NumPy's interface that kfc needs, and each read gives a copy. A pickled
    `DiskArray` holds the path of the file, not the rows; one of an array in memory holds them.

    Args:
        array: Array of shape (rows, ...), usually a `numpy.memmap`. Its file is read, not
            mapped.
        rows: Numbers of the rows to keep, in this order; None for all.
        dtype: Type to which rows are cast after reading; None for their own.

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

    def __reduce__(self) -> tuple[Callable[..., DiskArray], tuple[Any, ...]]:
        if isinstance(self._array, FileRows) and (version := self._array.version()):
            return _reopened, (self._array.place, version, self.rows, self.dtype)
        return DiskArray, (self[:],)

    def file_identity(self) -> str:
        """Returns a text that tells the file from others on all machines that share its disk.

        It is empty for an array in memory, or a file that has no name any more.
        """
        return self._array.identity() if isinstance(self._array, FileRows) else ""

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

    def take(self, rows: np.ndarray) -> DiskArray:
        """Returns the rows at `rows`, unread."""
        return DiskArray(
            self._array, rows if self.rows is None else self.rows[rows], self.dtype
        )

    def astype(self, dtype: Any) -> DiskArray:
        """Returns the same rows, unread, which are cast to `dtype` as they are read."""
        return DiskArray(self._array, self.rows, dtype)

    def chunk_rows(self, multiple: int = 1) -> int:
        """Returns a number of rows, a multiple of `multiple`, of some 64 MiB."""
        row_bytes = max(self.nbytes // max(len(self), 1), 1)
        if isinstance(self._array, FileRows):  # the bytes between two rows are read too
            row_bytes = max(row_bytes, abs(self._array.place.strides[0]))
        return multiple * max(1, CHUNK_BYTES // (row_bytes * multiple))


def first_features(x: np.ndarray | DiskArray, count: int) -> np.ndarray | DiskArray:
    """Returns the first features of all rows, unread where they are on the disk.

    Args:
        x: Rows, (rows, features).
        count: Number of features.
    """
    if not isinstance(x, DiskArray):
        return x[:, :count]
    whole = x._array
    part: np.ndarray | FileRows
    if isinstance(whole, FileRows):
        part = FileRows(whole.place._replace(shape=(len(whole), count)))
    else:
        part = whole[:, :count]
    return DiskArray(part, x.rows, x.dtype)


def chunks(x: np.ndarray | DiskArray, multiple: int = 1) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (number of the first row, rows): pieces of a `DiskArray`, or a complete array.

    Args:
        x: Rows.
        multiple: Divisor of the number of rows of each piece but the last.
    """
    if not isinstance(x, DiskArray):
        yield 0, x
        return
    size = x.chunk_rows(multiple)
    for first in range(0, len(x), size):
        yield first, x[first : first + size]


def _reopened(
    place: Place, version: tuple[int, int], rows: np.ndarray | None, dtype: np.dtype
) -> DiskArray:
    """Returns rows of the array at `place`.

    Raises:
        DataError: If the file is missing, cannot be read, or has changed.
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
    return DiskArray(array, rows, dtype)
