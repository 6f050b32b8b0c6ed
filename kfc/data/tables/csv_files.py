"""Reads CSV files as people have them, or refuses them with the place and a remedy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from kfc.data.tables.arrow_files import ArrowFiles
from kfc.data.tables.csv_bytes import CsvBytes, read_csv_bytes
from kfc.data.tables.csv_decimal import recognised_decimal
from kfc.data.tables.csv_dialect import Dialect, recognise
from kfc.data.tables.csv_header import check_header, check_header_is_no_row
from kfc.data.tables.csv_last_row import check_last_row
from kfc.data.tables.csv_quotes import check_quotes
from kfc.data.tables.part_files import no_rows, part_files, refusing
from kfc.data.tables.raw_table import RawTable
from kfc.errors import DataError, Finding
from kfc.findings import run_checks
from kfc.spec import CsvSpec, shown_value

CSV_NAMES = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst")
"""Ends of the names of CSV files, plain and compressed."""

_BLOCK = 1 << 21  # bytes that pyarrow parses at a time; a row must fit into a block
_LARGEST_BLOCK = (1 << 31) - 1
_NO_TEXT = r"^[\d\s.,:/+\-eETZ]*$"
"""Cells of numbers and dates."""


def read_csv(
    path: Path, csv: CsvSpec, name: str, arrow_files: ArrowFiles | None = None
) -> RawTable:
    """Reads a CSV file, or a folder of them with the same columns, as columns of text.

    Args:
        path: The file or the folder.
        csv: Form of the files as far as the spec says it; the rest is recognised.
        name: Name of the table in messages, such as `csv:customers.csv`.
        arrow_files: Files that are to hold the columns; None to have them in memory.

    Returns:
        The table. A missing cell, empty or one of `csv.missing_values`, is null. A quoted
        cell that equals one of these is text in columns of text, unless all cells are quoted.

    Raises:
        DataError: If a file is missing, damaged or without rows, if its form is not clear, or
            if its names or rows do not make a table.
    """
    paths, said = part_files(path, *CSV_NAMES), csv
    tables: list[pa.Table] = []
    names: tuple[str, ...] = ()
    for part in paths:
        data = read_csv_bytes(part, csv.encoding, arrow_files)
        dialect = recognise(part, data.content, csv.delimiter)
        if not tables:
            # The first part settles the form of all others.
            names = dialect.names
            csv = csv.model_copy(
                update={"delimiter": dialect.delimiter, "encoding": data.encoding}
            )
            check_header(names, str(part))
        elif dialect.names != names:
            raise _other_header(part, names, dialect.names)
        tables.append(_read_part(data, dialect, csv.missing_values or (), arrow_files))
    table = _named(pa.concat_tables(tables), names, str(paths[0]))
    if not len(table):
        raise no_rows(path)
    check_header_is_no_row(table, str(paths[0]), arrow_files)
    decimal = said.decimal or recognised_decimal(table, path, str(csv.delimiter), arrow_files)
    used: dict[str, Any] = {
        "delimiter": csv.delimiter,
        "decimal": decimal,
        "encoding": csv.encoding,
        "missing_values": list(csv.missing_values or ()),
    }
    files = tuple((str(part), len(rows)) for part, rows in zip(paths, tables, strict=True))
    raw = RawTable(table, name, files, used, arrow_files)
    check_last_row(raw)
    return raw


def _read_part(
    data: CsvBytes, dialect: Dialect, missing: Sequence[str], files: ArrowFiles | None
) -> pa.Table:
    """Returns the rows of a file; the names of the columns are their numbers."""
    quoted = data.has_quotes
    if quoted:
        check_quotes(data, dialect.delimiter)
    rows = data.content.slice(dialect.header_bytes)
    columns = [str(number) for number in range(len(dialect.names))]
    if not len(rows):
        return pa.table({column: pa.array([], pa.string()) for column in columns})
    separate = quoted and bool(missing) and not dialect.all_quoted
    parse = pa_csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=quoted)
    convert = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()),
        null_values=["", *missing],
        strings_can_be_null=True,
        quoted_strings_can_be_null=not separate,
        check_utf8=False,  # `read_csv_bytes` has checked all bytes
    )
    read = functools.partial(_read_rows, data, rows, convert, files)
    table = _parsed(data, len(rows), read, pa_csv.ReadOptions(column_names=columns), parse)
    return _without_quoted_missing(table, missing, files) if separate else table


def _read_rows(
    data: CsvBytes,
    rows: pa.Buffer,
    convert: pa_csv.ConvertOptions,
    files: ArrowFiles | None,
    read: pa_csv.ReadOptions,
    parse: pa_csv.ParseOptions,
) -> pa.Table:
    """Returns the rows of a file in memory, or those that are written block by block."""
    if files is None:
        return pa_csv.read_csv(pa.BufferReader(rows), read, parse, convert)
    with pa_csv.open_csv(pa.BufferReader(rows), read, parse, convert) as blocks:
        return files.table(blocks.schema, data.releasing(blocks))


def _parsed(
    data: CsvBytes,
    size: int,
    read_rows: Callable[[pa_csv.ReadOptions, pa_csv.ParseOptions], pa.Table],
    read: pa_csv.ReadOptions,
    parse: pa_csv.ParseOptions,
) -> pa.Table:
    """Returns the rows that pyarrow reads with some options.

    Args:
        data: Content of the file.
        size: Bytes of its rows.
        read_rows: Function that reads the rows.
        read: Options of pyarrow, of which the size of a block is found here.
        parse: Further options.
    """
    ragged: list[pa_csv.InvalidRow] = []

    def refuse(row: pa_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    parse.invalid_row_handler = refuse
    read.block_size = _BLOCK
    while True:
        try:
            return read_rows(read, parse)
        except pa.ArrowInvalid as error:
            if ragged and read.use_threads:
                # Only one thread knows the number of a row.
                ragged, read.use_threads = [], False
            elif ragged:
                raise _ragged(data.path, ragged[0]) from error
            elif "straddling" in str(error) and read.block_size < min(size, _LARGEST_BLOCK):
                read.block_size = min(8 * read.block_size, _LARGEST_BLOCK)
            else:
                with refusing(data.path, "rows of cells", "Check the file."):
                    raise


def _ragged(path: Path, row: pa_csv.InvalidRow) -> DataError:
    """Returns the refusal of a row with more or fewer cells than the first line."""
    where = f"{path}, row {row.number}"
    expected = f"{row.expected_columns} cells as in the first line"
    got = f"{row.actual_columns} in {shown_value(row.text)}"
    remedy = (
        "Quote cells that contain the delimiter, and let each row have as many cells as the "
        "first line."
    )
    return DataError(Finding(where, expected, got, remedy, evidence={"row": row.number}))


def _other_header(part: Path, names: Sequence[str], found: Sequence[str]) -> DataError:
    """Returns the refusal of a part whose columns are not those of the first part."""
    place = next(
        (n for n, pair in enumerate(zip(names, found, strict=False)) if pair[0] != pair[1]),
        min(len(names), len(found)),
    )
    named = [
        shown_value(cells[place]) if place < len(cells) else "none" for cells in (names, found)
    ]
    expected = f"the columns of the other parts, {named[0]} as column {place + 1}"
    remedy = "Give all parts the same first line."
    return DataError(Finding(str(part), expected, named[1], remedy))


def _named(table: pa.Table, names: Sequence[str], where: str) -> pa.Table:
    """Returns a table with its names, without empty columns that have none.

    Programs such as Excel write these as delimiters at the end of each row.
    """
    kept = [
        number
        for number, name in enumerate(names)
        if name.strip() or table.column(number).null_count < len(table)
    ]
    names = [name if number in kept else f"?{number}" for number, name in enumerate(names)]
    run_checks("names", names, f"{where}, line 1")
    return table.rename_columns(names).select(kept)


def _without_quoted_missing(
    table: pa.Table, missing: Sequence[str], files: ArrowFiles | None
) -> pa.Table:
    """Makes quoted cells null that are empty, or missing ones of a column without text.

    A quoted `"NA"` is text in a column of text, but cannot be a number or a date.
    """
    columns = []
    for column in table.columns:
        column = pc.if_else(pc.equal(column, ""), None, column)
        marked = pc.is_in(column, pa.array(missing, pa.string()))
        if pc.any(marked).as_py():
            others = column.filter(pc.invert(marked)).drop_null()
            if len(others) and pc.all(pc.match_substring_regex(others, _NO_TEXT)).as_py():
                column = pc.if_else(marked, None, column)
        columns.append(files.column(column) if files else column)
    return pa.table(columns, names=table.column_names)
