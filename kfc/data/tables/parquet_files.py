"""Reads Parquet files."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kfc.data.tables.arrow_frames import settled
from kfc.data.tables.column_names import check_names
from kfc.data.tables.part_files import no_rows, part_files, refusing
from kfc.data.tables.raw_table import RawTable
from kfc.errors import DataError, Finding
from kfc.system import open_file

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
"""Names that pandas gives to an index without a name."""


def read_parquet(path: Path, name: str) -> RawTable:
    """Reads a Parquet file, or a folder of them with one schema.

    Args:
        path: The file or the folder.
        name: Name of the table in messages, such as `parquet:customers.parquet`.

    Returns:
        The table with the types of the file. An index of pandas without a name is left out.

    Raises:
        DataError: If a file is missing, damaged or without rows, if two columns have the same
            name, or if a part has another schema than the first one.
    """
    paths = part_files(path, ".parquet")
    tables: list[pa.Table] = []
    for part in paths:
        remedy = "Write the file again, for example with to_parquet."
        with refusing(part, "a Parquet file", remedy), open_file(part) as file:
            table = pq.ParquetFile(file).read()
        check_names(table.column_names, str(part))
        if tables and not table.schema.equals(tables[0].schema):
            raise _other_schema(part, tables[0].schema, table.schema)
        tables.append(table)
    table = pa.concat_tables(tables)
    table = table.drop_columns([n for n in table.column_names if _PANDAS_INDEX.fullmatch(n)])
    if not len(table) or not table.num_columns:
        raise no_rows(path)
    files = tuple((str(part), len(rows)) for part, rows in zip(paths, tables, strict=True))
    return RawTable(settled(table), name, files)


def _other_schema(part: Path, first: pa.Schema, schema: pa.Schema) -> DataError:
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
