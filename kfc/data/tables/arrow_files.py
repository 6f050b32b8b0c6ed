"""Keeps columns in files of a folder, mapped into memory, instead of in memory."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from kfc.system import atomic, in_threads, open_file

_Result = TypeVar("_Result")


class ArrowFiles:
    """Files of columns in a folder, mapped into memory.

    A page of a mapped file that was read stays in memory until the system needs the space or
    `release` is called, so that a table does not fill the memory as its columns are read one
    after another.

    Args:
        folder: Empty folder that only this process uses; the caller removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._maps: list[mmap.mmap] = []
        self._numbers = itertools.count()  # also of files that could not be completed

    def table(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        """Writes batches of rows, and returns them as a mapped table."""

        def write(sink: pa.NativeFile) -> None:
            with pa.ipc.new_file(sink, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)

        table: pa.Table = pa.ipc.open_file(pa.BufferReader(self.content(write))).read_all()
        return table

    def column(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """Writes a column, and returns it as a mapped one."""
        table = pa.table([values], names=["values"])
        mapped = self.table(table.schema, table.to_batches()).column(0)
        self.release()
        return mapped

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """Writes numbers, (rows,), and returns them as mapped ones, which are read-only."""
        mapped = self.column(pa.chunked_array([pa.array(values)]))
        # `combine_chunks` would copy the only chunk.
        return np.asarray(mapped.chunk(0)) if mapped.num_chunks else values

    def content(self, write: Callable[[pa.NativeFile], None]) -> pa.Buffer:
        """Returns the content of a new file, which `write` has written, as a buffer."""
        return pa.py_buffer(self.mapped(write))

    def mapped(self, write: Callable[[pa.NativeFile], None]) -> mmap.mmap:
        """Returns the mapped content of a new file, which `write` has written."""
        path = self._folder / str(next(self._numbers))
        atomic.create_file(path)
        with pa.OSFile(str(path), "wb") as sink:
            write(sink)
        with open_file(path) as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._maps.append(mapped)
        return mapped

    def release(self) -> None:
        """Drops the pages of the files that are in memory; they are read again if needed."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)


def of_columns(
    function: Callable[[str, pa.ChunkedArray], _Result],
    table: pa.Table,
    files: ArrowFiles | None,
) -> list[_Result]:
    """Returns the results of a function for the columns of a table, in their order.

    Args:
        function: Function of the name and the cells of a column. Two threads call it.
        table: Table whose columns have different names.
        files: Files that hold the columns, of which the pages are dropped after each column;
            None for columns in memory.
    """

    def of_column(name: str) -> _Result:
        result = function(name, table.column(name))
        if files is not None:
            files.release()
        return result

    return in_threads(of_column, table.column_names)


class FiledColumns(Mapping[str, pa.ChunkedArray]):
    """Columns in files; taking one drops the pages of the others from memory.

    Args:
        columns: Mapped columns by name.
        files: The files that hold them.
    """

    def __init__(self, columns: Mapping[str, pa.ChunkedArray], files: ArrowFiles) -> None:
        self._columns, self._files = columns, files

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        self._files.release()
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)
