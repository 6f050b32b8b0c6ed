"""Encodes the rows of a table, once its training rows are known."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kfc.data.rows import Rows
from kfc.data.tables import ColumnReport, TableSource, TypedTable
from kfc.data.task import TableTask
from kfc.preprocessing import TableEncoding, fit_category_scaling, row_place
from kfc.spec import ColumnSpec, CsvSpec, Spec
from kfc.system import DiskArray, atomic

_PART_ROWS = 1 << 20  # rows of a column that are learned from at a time
_KEPT_ROWS = 64  # test rows of a table that stay beside the encoded ones
_ENCODED_BYTES = 1 << 24  # 16 MiB of rows are encoded before they are written


@dataclass(frozen=True)
class EncodedTable:
    """Facts about a table whose rows are encoded.

    Args:
        target: Name of the target's column.
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
        *,
        in_parts: bool = False,
    ) -> EncodedTable:
        """Fits the encoding of a table on its training rows.

        Args:
            spec: Valid spec.
            tables: Table that the rows come from.
            train: Training rows.
            shown: Rows of which a sample is kept: test rows, if there are any.
            in_parts: Whether a column is too large for the memory, and is read in parts.

        Raises:
            DataError: If a value cannot be encoded.
            SpecError: If an option of a column does not fit.
        """
        used = {name: tables.columns[name] for name in train.x.columns}
        columns = train.x.parts(_PART_ROWS) if in_parts else train.x.columns
        encoding = TableEncoding.fit(columns, used, spec.data.missing, spec.data.categories)
        evenly = np.linspace(0, len(shown) - 1, min(_KEPT_ROWS, len(shown))).astype(int)
        sample = shown.x.take(evenly).copied()
        facts = tables.target, tables.columns, tables.csv, tables.reports
        return cls(*facts, encoding, sample)

    def encode(self, rows: Rows, file: Path | None) -> Rows:
        """Returns rows with their inputs encoded, float32.

        Args:
            rows: Rows of the table.
            file: File to write the inputs to, a chunk at a time; None for the memory.

        Raises:
            DataError: If a value cannot be encoded.
        """
        if file is None:
            return replace(rows, x=self.encoding.apply(rows.x.columns))
        return replace(rows, x=self._encode_to(file, rows.x))

    def _encode_to(self, file: Path, table: TypedTable) -> DiskArray:
        shape = len(table), self.encoding.num_features
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        size = max(1, _ENCODED_BYTES // (4 * shape[1]))
        atomic.create_file(file)
        with file.open("r+b") as opened:
            np.lib.format.write_array_header_1_0(opened, header)
            for first in range(0, len(table), size):
                place = functools.partial(_place, first)
                part = table.take(np.arange(first, min(first + size, len(table))))
                x = self.encoding.apply(part.columns, place)
                opened.write(x.astype("<f4", copy=False).data)
        return DiskArray(np.load(file, mmap_mode="r"))

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
        return {"columns": self.columns, "target": self.target, "csv": self.csv}


def _has_category_inputs(encoding: TableEncoding) -> bool:
    one_hot = any(code.embedding_size is None for code in encoding.codes)
    return bool(encoding.num_flags) or one_hot


def _place(first: int, row: int, column: str) -> str:
    """Returns the name of a cell of a chunk whose first row has a number."""
    return row_place(first + row, column)
