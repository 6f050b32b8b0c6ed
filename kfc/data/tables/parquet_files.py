"""Reads Parquet files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from kfc.data.tables.arrow_files import ArrowFiles, Batches
from kfc.data.tables.arrow_frames import settled
from kfc.data.tables.part_files import no_rows, part_files, refusing
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.remote_files import RemoteFile, is_remote, remote_files
from kfc.errors import DataError, Finding
from kfc.findings import run_checks
from kfc.system import open_file

Part = Path | RemoteFile
"""A file of a table, on this machine or at an address."""

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
"""Names that pandas gives to an index without a name."""


def parquet_parts(path: Path | str) -> tuple[Part, ...]:
    """Returns the Parquet files of a path or an address, in the order of their rows.

    Args:
        path: File, folder, or an address such as `s3://bucket/folder`.

    Raises:
        DataError: If there are none.
    """
    if is_remote(str(path)):
        return remote_files(str(path), ".parquet")
    return part_files(Path(path), ".parquet")


def open_part(part: Part) -> Any:
    """Opens a file of a table, which is closed at the end of a `with`.

    Raises:
        OSError: If it cannot be opened.
    """
    return part.open() if isinstance(part, RemoteFile) else open_file(part)


def parquet_file(file: Any) -> Any:
    """Returns pyarrow's reader of an opened Parquet file."""
    import pyarrow.parquet as pq  # with its file systems, which a CSV file does not need

    return pq.ParquetFile(file)


def columns_of(schema: pa.Schema) -> list[str]:
    """Returns the names of the columns of a Parquet file, without an index of pandas."""
    return [name for name in schema.names if not _PANDAS_INDEX.fullmatch(name)]


def read_parquet(
    path: Path | str, name: str, arrow_files: ArrowFiles | None = None
) -> RawTable:
    """Reads a Parquet file, or a folder of them with one schema.

    Args:
        path: The file or the folder, or its address.
        name: Name of the table in messages, such as `parquet:customers.parquet`.
        arrow_files: Files that are to hold the columns; None to have them in memory.

    Returns:
        The table with the types of the file. An index of pandas without a name is left out.

    Raises:
        DataError: If a file is missing, damaged or without rows, if two columns have the same
            name, or if a part has another schema than the first one.
    """
    paths = parquet_parts(path)
    files: list[tuple[str, int]] = []
    schema: pa.Schema = None
    for part in paths:
        with refusing_damage(part), open_part(part) as file:
            opened = parquet_file(file)
            found, rows = opened.schema_arrow, opened.metadata.num_rows
        run_checks("names", found.names, str(part))
        schema = schema or found
        if not found.equals(schema):
            raise _other_schema(part, schema, found)
        files.append((str(part), rows))
    names = columns_of(schema)
    if not sum(rows for _, rows in files) or not names:
        raise no_rows(path)
    if arrow_files is None:
        table = _columns(paths, names)
    else:  # one column at a time is in memory
        made = {name: partial(_read_column, paths, name) for name in names}
        table = pa.table(arrow_files.columns("read", made))
    return RawTable(table, name, tuple(files), arrow_files=arrow_files)


def _columns(paths: Sequence[Part], names: list[str]) -> pa.Table:
    """Reads columns of all parts."""
    tables = []
    for part in paths:
        with refusing_damage(part), open_part(part) as file:
            # A name may be the first part of another one, which is then read too.
            tables.append(parquet_file(file).read(names).select(names))
    return settled(pa.concat_tables(tables))


def _read_column(paths: Sequence[Part], name: str) -> pa.ChunkedArray | Batches:
    """Reads one column of all parts, of which one part is in memory at a time."""
    first = _columns(paths[:1], [name])
    if pa.types.is_dictionary(first.schema.field(name).type):
        # The parts have dictionaries of their own, which become one.
        return _columns(paths, [name]).column(0)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from first.to_batches()
        for path in paths[1:]:
            yield from _columns([path], [name]).to_batches()

    return Batches(first.schema, batches)


def refusing_damage(part: Part) -> AbstractContextManager[None]:
    """Turns every error of reading a part into a `DataError`."""
    remedy = "Write the file again, for example with to_parquet."
    return refusing(str(part), "a Parquet file", remedy)


def _other_schema(part: Part, first: pa.Schema, schema: pa.Schema) -> DataError:
    """Returns the refusal of a part whose schema is not that of the first part."""
    remedy = "Write all parts with the same columns, in the same order and of the same types."
    for number in range(max(len(first), len(schema))):
        pair = [
            f"{one.field(number).name!r} of type {one.field(number).type}"
            if number < len(one)
            else "no more columns"
            for one in (first, schema)
        ]
        if pair[0] != pair[1]:
            expected = f"the columns of the other parts, {pair[0]} as column {number + 1}"
            return DataError(Finding(str(part), expected, pair[1], remedy))
    expected, got = "the schema of the other parts", "one that differs in details"
    return DataError(Finding(str(part), expected, got, remedy))
