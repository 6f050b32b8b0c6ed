"""Rows that stay on the disk and are read as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from kfc.errors import DataError, Fault

CHUNK_BYTES = 1 << 26  # 64 MiB


class Mapped:
    """Some rows of an array that lies on the disk: what of an array kfc needs.

    It is pickled as the place of its file, which whoever unpickles it opens again, read-only;
    where there is none, such as for an array in memory, as all values of the array.

    Args:
        array: (rows, ...), usually a `numpy.memmap`.
        rows: Numbers of the rows that belong to it; None for all.
        dtype: Type to which rows are cast as they are read; None for their own.
    """

    def __init__(
        self, array: np.ndarray, rows: np.ndarray | None = None, dtype: Any = None
    ) -> None:
        self.array, self.rows = np.asarray(array), rows  # so that what is read is no map
        self.dtype = array.dtype if dtype is None else np.dtype(dtype)
        self.shape = (len(array) if rows is None else len(rows), *array.shape[1:])
        self.ndim = array.ndim
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self) -> tuple[Callable[..., Mapped], tuple[Any, ...]]:
        place = _Place.of(self.array)
        if place is None:
            return Mapped, (self.array, self.rows, self.dtype)
        return _reopened, (place, self.rows, self.dtype)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Reads rows: a slice of them, or those of an array of numbers."""
        if self.rows is None and isinstance(rows, slice):
            return np.array(self.array[rows], dtype=self.dtype)
        taken = np.take(self.array, rows if self.rows is None else self.rows[rows], axis=0)
        return taken.astype(self.dtype, copy=False)

    def take(self, rows: np.ndarray) -> Mapped:
        """Returns the rows at `rows`, unread."""
        return Mapped(
            self.array, rows if self.rows is None else self.rows[rows], dtype=self.dtype
        )

    def astype(self, dtype: Any) -> Mapped:
        """Returns the same rows, unread, which are cast to `dtype` as they are read."""
        return Mapped(self.array, self.rows, dtype)

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


class _Place(NamedTuple):
    """Where an array lies in a file, and what the file was like."""

    path: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    size: int
    modified: int

    @classmethod
    def of(cls, array: np.ndarray) -> _Place | None:
        """Returns the place of an array, or None where its values are in no file."""
        whole = array
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        # A map of mode "c" keeps what was written to it from its file.
        if not isinstance(whole, np.memmap) or whole.filename is None or whole.mode == "c":
            return None
        flags = array.flags
        if not (flags.c_contiguous or flags.f_contiguous):
            return None
        try:
            file = Path(whole.filename).stat()
        except OSError:  # a file without a name can still be read by who has it open
            return None
        return cls(
            path=str(whole.filename),
            dtype=array.dtype,
            # A view has the `offset` of what it is a view of.
            offset=whole.offset + array.ctypes.data - whole.ctypes.data,
            shape=array.shape,
            order="C" if flags.c_contiguous else "F",
            size=file.st_size,
            modified=file.st_mtime_ns,
        )


def _reopened(place: _Place, rows: np.ndarray | None, kept_as: np.dtype) -> Mapped:
    """Returns rows of the array at `place`.

    Raises:
        DataError: If the file is gone or cannot be read, or is not what it was.
    """
    path, dtype, offset, shape, order, size, modified = place
    expected, remedy = f"the {size:,} bytes that were there", "Put it back, and start again."
    try:
        file = Path(path).stat()
        if (file.st_size, file.st_mtime_ns) != (size, modified):
            got = f"{file.st_size:,} bytes, written since"
            raise DataError(Fault(path, expected, got, remedy))
        array = np.memmap(path, dtype, "r", offset, shape, order)
    except OSError as error:
        got = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise DataError(Fault(path, expected, got, remedy)) from error
    return Mapped(array, rows, kept_as)
