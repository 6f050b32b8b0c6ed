"""Reads some rows of a table in large files, for a prediction that needs no others."""

from __future__ import annotations

import codecs
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import pyarrow as pa

from kfc.data.evenly_spaced import evenly
from kfc.data.tables.arrow_frames import settled
from kfc.data.tables.csv_bytes import COMPRESSED, MARKS
from kfc.data.tables.csv_files import read_csv
from kfc.data.tables.parquet_files import Part, columns_of, open_part, parquet_file
from kfc.data.tables.part_files import refusing
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.remote_files import RemoteFile
from kfc.data.tables.table_source import has_table_files, table_files
from kfc.errors import KfcError
from kfc.spec import CsvSpec
from kfc.system import open_file

_LARGE = 1 << 23  # bytes of files of which only some rows are read
_MOST_PARTS = 8
_BLOCKS, _BLOCK = 16, 1 << 16  # of all parts, and the bytes of each
_ROWS = 1 << 13  # of a Parquet file
_QUOTE = b'"'
_OF_BYTES = ("utf-8", "utf-8-sig", "ascii", "iso8859-1", "cp1252")
"""Encodings in which a line end is one byte that no other character has."""


@dataclass(frozen=True)
class FileSample:
    """Some rows of a table in files.

    Args:
        table: The rows.
        num_rows: Number of all rows, of a CSV file estimated.
    """

    table: RawTable
    num_rows: int


def sample_files(name: str, csv: CsvSpec) -> FileSample | None:
    """Returns some rows of large files, from evenly spaced places.

    Args:
        name: Kind and path of a source of tables, such as `csv:FILE`.
        csv: Form of a CSV file as far as the spec says it.

    Returns:
        The rows; None where all must be read: small or compressed files, and what cannot be
        read in pieces, whose refusal should name the right place.

    Raises:
        DataError: If there is no such file.
    """
    if not has_table_files(name):
        return None
    parts = table_files(name)
    size = sum(_size(part) for part in parts)
    if size <= _LARGE:
        return None
    chosen = [parts[number] for number in evenly(len(parts), _MOST_PARTS)]
    try:
        if name.startswith("parquet:"):
            return _parquet_sample(chosen, name, size)
        return _csv_sample([Path(str(part)) for part in chosen], csv, name, size)
    except (KfcError, OSError, ValueError, LookupError, pa.ArrowException):
        return None


def _size(part: Part) -> int:
    if isinstance(part, RemoteFile):
        return part.size
    with refusing(part, "a file of a table"):
        return part.stat().st_size


def _parquet_sample(parts: Sequence[Part], name: str, size: int) -> FileSample:
    """Returns the first rows of some row groups.

    Args:
        parts: Files that are looked at.
        name: Name of the table in messages.
        size: Bytes of all files.
    """
    batches: list[pa.Table] = []
    count = 0
    for part in parts:
        with open_part(part) as file:
            opened = parquet_file(file)
            count += opened.metadata.num_rows
            names = columns_of(opened.schema_arrow)
            groups = evenly(opened.num_row_groups, max(1, _BLOCKS // len(parts)))
            most = _ROWS // (len(parts) * max(1, len(groups)))
            for group in groups:
                some = opened.iter_batches(most, row_groups=[int(group)], columns=names)
                first = [batch for batch in [next(some, None)] if batch is not None]
                batches += [pa.Table.from_batches([batch]).select(names) for batch in first]
    table = settled(pa.concat_tables(batches))
    return FileSample(RawTable(table, name), round(count * size / sum(map(_size, parts))))


def _csv_sample(
    parts: Sequence[Path], csv: CsvSpec, name: str, size: int
) -> FileSample | None:
    """Returns the rows of some blocks of lines.

    Args:
        parts: Files that are looked at.
        csv: Form of the files as far as the spec says it.
        name: Name of the table in messages.
        size: Bytes of all files.
    """
    if csv.encoding and codecs.lookup(csv.encoding).name not in _OF_BYTES:
        return None
    found = [_some_lines(part, max(1, _BLOCKS // len(parts))) for part in parts]
    if not all(found):
        return None
    with tempfile.TemporaryDirectory() as folder:
        for number, lines in enumerate(found):
            Path(folder, f"{number}.csv").write_bytes(lines)
        table = read_csv(Path(folder), csv, name)
    return FileSample(table, round(len(table) * size / sum(map(len, found))))


def _some_lines(path: Path, blocks: int) -> bytes:
    """Returns the first line of a CSV file and lines of evenly spaced blocks; else nothing."""
    with open_file(path) as file:
        size, head = os.fstat(file.fileno()).st_size, file.read(_BLOCK)
        packed = any(magic.match(head) for magic in COMPRESSED.values())
        if packed or any(head.startswith(mark) for mark, codec in MARKS if codec != "utf-8"):
            return b""
        if size <= blocks * _BLOCK:
            return head + file.read()
        starts = evenly(size - _BLOCK, blocks).tolist()[1:]
        pieces = [head, *(_block(file, start, _BLOCK) for start in starts)]
        if any(_QUOTE in piece for piece in pieces):  # a cell may have several lines
            return _whole_lines(_block(file, 0, blocks * _BLOCK))
    first, *others = (piece[: piece.rfind(b"\n") + 1] for piece in pieces)
    # A block begins within a line.
    inner = (lines[lines.find(b"\n") + 1 :] for lines in others)
    return b"".join([first, *inner]) if first else b""


def _block(file: BufferedReader, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)


def _whole_lines(text: bytes) -> bytes:
    """Returns a text up to the last line end that is outside of quotes."""
    end = text.rfind(b"\n")
    while end >= 0 and text.count(_QUOTE, 0, end) % 2:
        end = text.rfind(b"\n", 0, end)
    return text[: end + 1]
