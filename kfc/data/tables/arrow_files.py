"""Keeps columns in files of a folder, mapped into memory, instead of in memory."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from kfc.system import SharedWork, atomic, in_threads, open_file, piece_name

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Batches:
    """A column that is read piece by piece, too long for the memory.

    Args:
        schema: Schema of the batches, which have one column.
        read: Function that reads them.
    """

    schema: pa.Schema
    read: Callable[[], Iterable[pa.RecordBatch]]


class ArrowFiles:
    """Files of columns in a folder, mapped into memory.

    A page of a mapped file that was read stays in memory until the system needs the space or
    `release` is called, so that a table does not fill the memory as its columns are read one
    after another.

    Args:
        work: Pieces of work, which other processes may share. `table`, `column` and `content`
            make files by number, and need a folder that no other process uses.
        part: Name of the table that the columns belong to, such as `train`.
    """

    def __init__(self, work: SharedWork, part: str = "train") -> None:
        self.work, self.part = work, part
        self._maps: list[mmap.mmap] = []
        self._numbers = itertools.count()  # also of files that could not be completed

    def of(self, part: str) -> ArrowFiles:
        """Returns the files of another table, released together with these."""
        other = ArrowFiles(self.work, part)
        other._maps, other._numbers = self._maps, self._numbers
        return other

    def columns(
        self, kind: str, made: Mapping[str, Callable[[], pa.ChunkedArray | Batches]]
    ) -> dict[str, pa.ChunkedArray]:
        """Returns mapped columns, each made by one of the processes that share the work.

        Args:
            kind: Word for the columns, such as `typed`.
            made: Function that makes a column, by the name of the column.
        """
        names = {name: piece_name(kind, self.part, name) for name in made}

        def writer(make: Callable[[], pa.ChunkedArray | Batches]) -> Callable[[Path], None]:
            def write(path: Path) -> None:
                column = make()
                if isinstance(column, pa.ChunkedArray):
                    table = pa.table([column], names=["values"])
                    column = Batches(table.schema, table.to_batches)
                with pa.OSFile(str(path), "wb") as sink:
                    _write_batches(sink, column.schema, column.read())
                self.release()

            return write

        files = self.work.made({names[name]: writer(make) for name, make in made.items()})
        return {
            name: _opened(pa.py_buffer(self._map(files[names[name]]))).column(0)
            for name in made
        }

    def results(
        self,
        kind: str,
        function: Callable[[str], Any],
        names: Iterable[str],
        about: Mapping[str, object] = MappingProxyType({}),
    ) -> list[Any]:
        """Returns the plain values of a function for columns, each found by one process.

        Args:
            kind: Word for the values, such as `type`.
            function: Function of the name of a column. Two threads call it.
            names: Names of the columns.
            about: Facts that a result depends on besides, by the name of its column.
        """
        pieces = {
            piece_name(kind, self.part, name, about.get(name)): partial(function, name)
            for name in names
        }
        return self.work.values(pieces, threads=True)

    def table(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        """Writes batches of rows, and returns them as a mapped table."""

        def write(sink: pa.NativeFile) -> None:
            _write_batches(sink, schema, batches)

        return _opened(self.content(write))

    def column(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """Writes a column, and returns it as a mapped one."""
        table = pa.table([values], names=["values"])
        mapped = self.table(table.schema, table.to_batches()).column(0)
        self.release()
        return mapped

    def numbers(self, kind: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns numbers, (rows,), mapped and read-only, made by one process.

        Args:
            kind: Word for the numbers.
            make: Function that makes them.
        """
        values = {kind: lambda: pa.chunked_array([pa.array(make())])}
        (mapped,) = self.columns("numbers", values).values()
        # `combine_chunks` would copy the only chunk.
        return np.asarray(mapped.chunk(0) if mapped.num_chunks else mapped)

    def content(self, write: Callable[[pa.NativeFile], None]) -> pa.Buffer:
        """Returns the content of a new file, which `write` has written, as a buffer."""
        return pa.py_buffer(self.mapped(write))

    def mapped(self, write: Callable[[pa.NativeFile], None]) -> mmap.mmap:
        """Returns the mapped content of a new file, which `write` has written."""
        path = self.work.folder / f"file-{next(self._numbers)}"
        atomic.remove_file(path)  # of a process that was killed
        atomic.create_file(path)
        with pa.OSFile(str(path), "wb") as sink:
            write(sink)
        return self._map(path)

    def _map(self, path: Path) -> mmap.mmap:
        with open_file(path) as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._maps.append(mapped)
        return mapped

    def release(self) -> None:
        """Drops the pages of the files that are in memory; they are read again if needed."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)


def _write_batches(
    sink: pa.NativeFile, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> None:
    with pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _opened(content: pa.Buffer) -> pa.Table:
    return pa.ipc.open_file(pa.BufferReader(content)).read_all()


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
