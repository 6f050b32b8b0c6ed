"""Encodes the rows of a table, once its training rows are known."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data.rows import Rows
from kfc.data.tables import ColumnReport, TableSource, TypedTable
from kfc.data.task import TableTask
from kfc.preprocessing import (
    ColumnEncoding,
    TableEncoding,
    fit_category_scaling,
    row_place,
)
from kfc.spec import ColumnSpec, CsvSpec, Spec
from kfc.system import DiskArray, SharedWork, atomic, in_threads, piece_name

_PART_ROWS = 1 << 20  # rows of a column that are learned from at a time
_KEPT_ROWS = 64  # test rows of a table that stay beside the encoded ones
_ENCODED_BYTES = 1 << 24  # 16 MiB of rows are encoded before they are written
_PIECE_CHUNKS = 4  # of so many bytes are a piece of work

ENTRY = "table"
"""Name of the folder of the encoded rows, in the work and in the cache."""


def input_file(folder: Path, part: str) -> Path:
    """Returns the file with the encoded inputs of a part, such as `train`."""
    return folder / f"{part}_x.npy"


@dataclass(frozen=True)
class EncodedTable:
    """Facts about a table whose rows are encoded.

    Args:
        target: Name of the target's column; empty for several targets beside the table.
        columns: Type of each column but the target, in the order of the table.
        csv: Form of the CSV file that was recognised or said.
        reports: Facts about each column, and the reason of its type.
        encoding: Encoding that was fitted on the training rows.
        test_columns: The columns of some test rows, evenly spaced and not encoded.
    """

    target: str
    columns: Mapping[str, ColumnSpec]
    csv: CsvSpec
    reports: tuple[ColumnReport, ...]
    encoding: TableEncoding
    test_columns: TypedTable

    @classmethod
    def fit(
        cls,
        spec: Spec,
        tables: TableSource,
        train: Rows,
        shown: Rows,
        work: SharedWork | None = None,
    ) -> EncodedTable:
        """Fits the encoding of a table on its training rows.

        Args:
            spec: Valid spec.
            tables: Table that the rows come from.
            train: Training rows.
            shown: Rows of which a sample is kept: test rows, if there are any.
            work: Work of which a column is a piece, for columns that are too large for the
                memory and are read in parts; None for a table in memory.

        Raises:
            DataError: If a value cannot be encoded.
            SpecError: If an option of a column does not fit.
        """
        used = {name: tables.columns[name] for name in train.x.columns}
        columns = train.x.columns if work is None else train.x.parts(_PART_ROWS)
        each = in_threads if work is None else functools.partial(_share_columns, work)
        categories, missing = spec.data.categories, spec.data.missing
        encoding = TableEncoding.fit(columns, used, missing, categories, each=each)
        evenly = np.linspace(0, len(shown) - 1, min(_KEPT_ROWS, len(shown))).astype(int)
        sample = shown.x.take(evenly)
        if work is None:  # else one process takes it, when it writes the entry
            sample = sample.copied()
        facts = tables.target, tables.columns, tables.csv, tables.reports
        return cls(*facts, encoding, sample)

    def encode(self, rows: Rows, part: str, work: SharedWork | None) -> Rows:
        """Returns rows with their inputs encoded, float32.

        Args:
            rows: Rows of the table.
            part: Name of the rows, such as `train`.
            work: Work of which some rows are a piece, which are written to the file of
                `input_file`; None for the memory.

        Raises:
            DataError: If a value cannot be encoded.
        """
        if work is None:
            return replace(rows, x=self.encoding.apply(rows.x.columns))
        return replace(rows, x=self._encode_to(rows.x, part, work))

    def _encode_to(self, table: TypedTable, part: str, work: SharedWork) -> DiskArray:
        file = input_file(work.folder / ENTRY, part)
        shape = len(table), self.encoding.num_features
        header = io.BytesIO()
        facts = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, facts)
        row_bytes, begin = 4 * shape[1], len(header.getvalue())

        def allocate(_: Path) -> None:
            atomic.make_folder(file.parent)
            atomic.remove_file(file)  # of a process that was killed
            atomic.write_file(file, header.getvalue())
            atomic.truncate_file(file, begin + len(table) * row_bytes)

        size = max(1, _ENCODED_BYTES // row_bytes)

        def encode(first: int, last: int, _: Path) -> None:
            with file.open("r+b") as opened:
                opened.seek(begin + first * row_bytes)
                for start in range(first, last, size):
                    place = functools.partial(_place, start)
                    taken = table.take(np.arange(start, min(start + size, last)))
                    x = self.encoding.apply(taken.columns, place)
                    opened.write(x.astype("<f4", copy=False).data)
            atomic.flush_to_disk(file)

        work.made({f"{part}-file": allocate})
        starts = range(0, len(table), size * _PIECE_CHUNKS)
        ends = (*starts[1:], len(table))
        work.made(
            {
                f"{part}-rows-{first}": functools.partial(encode, first, last)
                for first, last in zip(starts, ends, strict=True)
            }
        )
        try:
            return DiskArray(np.load(file, mmap_mode="r"))
        except FileNotFoundError:  # another process has moved the complete entry to its place
            moved = input_file(work.folder.parent / ENTRY, part)
            return DiskArray(np.load(moved, mmap_mode="r"))

    def task(self, spec: Spec, scale: str, x: np.ndarray | DiskArray) -> TableTask:
        """Returns the columns that a network takes, with their encoding.

        Args:
            spec: Valid spec.
            scale: Name of the scaling of the inputs.
            x: Encoded training rows.
        """
        used = {
            name: column for name, column in self.columns.items() if column.type != "ignore"
        }
        scaling = None
        if spec.data.categories.scale and _has_category_inputs(self.encoding):
            scaling = fit_category_scaling(scale, x, self.encoding)
        facts = self.target, self.csv, spec.data.unknown, self.encoding
        return TableTask(used, *facts, scaling)

    def keys(self) -> dict[str, object]:
        """Returns the keys of `data` that describe the table."""
        return {"columns": self.columns, "target": self.target or None, "csv": self.csv}


def _share_columns(
    work: SharedWork, fit: Callable[[str], ColumnEncoding], names: list[str]
) -> list[ColumnEncoding]:
    """Returns the encodings of columns, each learned by one process."""

    def plain(name: str) -> dict[str, Any]:
        return TableEncoding((fit(name),)).get_config()

    pieces = {piece_name("fit", name): functools.partial(plain, name) for name in names}
    configs = work.values(pieces, threads=True)
    return [TableEncoding.from_config(config).columns[0] for config in configs]


def _has_category_inputs(encoding: TableEncoding) -> bool:
    one_hot = any(code.embedding_size is None for code in encoding.codes)
    return bool(encoding.num_flags) or one_hot


def _place(first: int, row: int, column: str) -> str:
    """Returns the name of a cell of a chunk whose first row has a number."""
    return row_place(first + row, column)
