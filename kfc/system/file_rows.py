"""Reads rows of an array in a file without mapping the file.

If a mapped file becomes shorter, a process that touches a page beyond its end is killed by
SIGBUS. Reading the file returns fewer bytes instead, which can be reported.
"""

from __future__ import annotations

import itertools
import os
import weakref
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kfc.errors import DataError, Finding
from kfc.system.aligned import aligned_bytes
from kfc.system.regular_files import open_descriptor

_GAP_BYTES = 1 << 14  # 16 KiB; a smaller gap between two rows is read with them
_BLOCK_BYTES = 1 << 19  # 512 KiB of rows are read at once, of which some may not be needed


class Place(NamedTuple):
    """Place of an array in a file.

    Args:
        path: Path of the file.
        dtype: Type of a value.
        offset: Bytes before the first value.
        shape: Shape of the array, (rows, ...).
        strides: Bytes between neighbouring values along each axis.
    """

    path: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class FileRows:
    """Rows of an array in a file, which stays open.

    Args:
        place: Place of the array.

    Raises:
        OSError: If the file cannot be opened.
        DataError: If the file is shorter than the array.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._descriptor = open_descriptor(Path(place.path))
        weakref.finalize(self, os.close, self._descriptor)
        self.size = os.fstat(self._descriptor).st_size
        low, high = _reach(place)
        if place.offset + high > self.size or place.offset + low < 0:
            raise changed(place.path, place.offset + high, f"{self.size:,} bytes")

    @classmethod
    def of(cls, array: np.ndarray) -> FileRows | None:
        """Returns the rows of a memory-mapped array, or of a view of one.

        Args:
            array: Array of shape (rows, ...).

        Returns:
            The rows, or None if the values are not in a file that can be opened.

        Raises:
            DataError: If the file is shorter than the array.
        """
        whole = array
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        # Values written to a map of mode "c" are not in its file.
        if not isinstance(whole, np.memmap) or whole.filename is None or whole.mode == "c":
            return None
        # The `offset` of a view is that of its base array.
        offset = whole.offset + array.ctypes.data - whole.ctypes.data
        path = str(whole.filename)
        try:
            return cls(Place(path, array.dtype, offset, array.shape, array.strides))
        except OSError:  # the file has no name any more; the map can still be read
            return None

    def version(self) -> tuple[int, int] | None:
        """Returns the size of the file in bytes and its modification time in nanoseconds.

        The result is None if the path does not lead to the file any more.
        """
        held = os.fstat(self._descriptor)
        try:
            named = Path(self.place.path).stat()
        except OSError:
            return None
        return (held.st_size, held.st_mtime_ns) if os.path.samestat(held, named) else None

    def identity(self) -> str:
        """Returns number, size and time of change of the file, the same on each machine."""
        held = os.fstat(self._descriptor)
        return f"{held.st_ino} {held.st_size} {held.st_mtime_ns}"

    def __len__(self) -> int:
        return self.place.shape[0]

    def between(self, first: int, last: int) -> np.ndarray:
        """Returns the rows `first` to `last`, without `last`.

        Raises:
            DataError: If the file has become shorter, or cannot be read any more.
        """
        _, dtype, offset, shape, strides = self.place
        shape = (max(last - first, 0), *shape[1:])
        if 0 in shape:
            return np.empty(shape, dtype)
        offset += first * strides[0]
        if abs(strides[0]) >= max(map(abs, strides)):
            return np.ascontiguousarray(self._values(offset, shape, strides))
        # In Fortran's order, each column is read separately.
        rows = np.empty(shape, dtype)
        for cell in np.ndindex(shape[1:]):
            place = offset + sum(n * s for n, s in zip(cell, strides[1:], strict=True))
            rows[:, *cell] = self._values(place, shape[:1], strides[:1])
        return rows

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the rows with the given numbers, in the order of the numbers.

        Rows close to each other are read at once.

        Raises:
            DataError: If the file has become shorter, or cannot be read any more.
        """
        _, dtype, _, shape, strides = self.place
        if (numbers[1:] < numbers[:-1]).any():
            order = np.argsort(numbers, kind="stable")
            rows = np.empty((len(numbers), *shape[1:]), dtype)
            rows[order] = self.take(numbers[order])
            return rows
        rows = np.empty((len(numbers), *shape[1:]), dtype)
        gap = max(1, _GAP_BYTES // max(abs(strides[0]), 1))
        block = max(1, _BLOCK_BYTES // max(rows[:1].nbytes, 1))
        apart = (np.diff(numbers) > gap) | (np.diff(numbers // block) > 0)
        ends = [*(np.flatnonzero(apart) + 1).tolist(), len(numbers)]
        for begin, end in itertools.pairwise([0, *ends]):
            if begin < end:
                first, last = int(numbers[begin]), int(numbers[end - 1]) + 1
                part = self.between(first, last)
                # The numbers are in range; "clip" keeps NumPy from copying once more.
                here = numbers[begin:end] - first
                np.take(part, here, axis=0, out=rows[begin:end], mode="clip")
        return rows

    def _values(
        self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> np.ndarray:
        """Reads the values of a part of the array, with the bytes between them."""
        part = Place("", self.place.dtype, offset, shape, strides)
        low, high = _reach(part)
        content = aligned_bytes(high - low)
        self._fill(content.data, offset + low)
        values = np.ndarray(shape, part.dtype, content.data, -low, strides)
        if values.flags.c_contiguous:  # which TensorFlow may read in place
            return content.view(part.dtype).reshape(shape)
        return values

    def _fill(self, content: memoryview, offset: int) -> None:
        path, done = self.place.path, 0
        while done < len(content):
            try:
                read = os.preadv(self._descriptor, [content[done:]], offset + done)
            except OSError as error:
                raise changed(path, self.size, str(error)) from error
            if not read:
                now = os.fstat(self._descriptor).st_size
                raise changed(path, self.size, f"{now:,} bytes")
            done += read


def changed(path: str, size: int, got: str) -> DataError:
    """Returns the error for a file that has changed since it was opened.

    Args:
        path: Path of the file.
        size: Former size in bytes.
        got: Words for the present state.
    """
    remedy = "Restore the file; then `kfc resume RUN` continues an interrupted run."
    return DataError(Finding(path, f"the unchanged file of {size:,} bytes", got, remedy))


def _reach(place: Place) -> tuple[int, int]:
    """Returns the lowest and highest byte of the array, relative to the first value."""
    ends = [(n - 1) * s for n, s in zip(place.shape, place.strides, strict=True) if n]
    low = sum(min(end, 0) for end in ends)
    return low, sum(max(end, 0) for end in ends) + place.dtype.itemsize
