"""The columns of a table that arrange its rows: in groups, or in an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.column_types import target_report
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.typed_columns import typed_column
from kfc.errors import Finding, nearest
from kfc.findings import run_checks
from kfc.spec import ColumnSpec, DataSpec

_TYPES = ("number", "date")


@dataclass(frozen=True)
class RowLabels:
    """The group of each row and its place in the order; None where a spec names none.

    Args:
        groups: Number of the group of each row, (rows,), int64.
        order: Number or date of each row, (rows,), float64 or int64; equal rows keep the
            order of the table.
    """

    groups: np.ndarray | None = None
    order: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> RowLabels:
        """Returns the labels of some rows."""
        groups, order = (
            None if label is None else label[rows] for label in (self.groups, self.order)
        )
        return RowLabels(groups, order)

    def add_to_hash(self, digest: Any) -> None:
        """Adds the labels to a hash; without any, the hash stays as it is."""
        for label in (self.groups, self.order):
            if label is not None:
                digest.update(np.ascontiguousarray(label).view(np.uint8).data)


def read_labels(spec: DataSpec, train: RawTable) -> RowLabels:
    """Reads the columns `data.groups` and `data.order` of a training table.

    Args:
        spec: Part `data` of the spec.
        train: Training table.

    Raises:
        DataError: If a column or a cell is missing, or an order has no numbers or dates.
    """
    groups = order = None
    if spec.groups is not None:
        run_checks("row_labels", train, "groups", spec.groups)
        encoded = train.columns.column(spec.groups).combine_chunks()
        if not pa.types.is_dictionary(encoded.type):
            encoded = pc.dictionary_encode(encoded)
        groups = np.asarray(encoded.indices).astype(np.int64)
    if spec.order is not None:
        run_checks("row_labels", train, "order", spec.order)
        column = _order_column(train, spec.order, spec.columns)
        values = typed_column(train, spec.order, column)
        order = np.asarray(values)
        if column.type == "date":
            order = order.astype("datetime64[us]").astype(np.int64)
    return RowLabels(groups, order)


def _order_column(train: RawTable, name: str, said: Mapping[str, ColumnSpec]) -> ColumnSpec:
    """Returns the type of the column of an order: the spec's, or a proposed one."""
    if name in said and said[name].type in _TYPES:
        return said[name]
    found = target_report(train, name).column
    # A number that grows from row to row is no input, but an order.
    return found if found.type in _TYPES else ColumnSpec(type="number")


# --- checks --------------------------------------------------------------------------------


def label_column_missing(raw: RawTable, key: str, name: str) -> Finding | None:
    """Finds a table without the column of its groups or of its order."""
    names = raw.columns.column_names
    if name in names:
        return None
    remedy = f"{nearest(name, names)}Known columns: {', '.join(names[:12])}."
    return Finding(f"data.{key}", "a column of the table", repr(name), remedy)


def label_cell_missing(raw: RawTable, key: str, name: str) -> Finding | None:
    """Finds the first row without a group, or without a place in the order."""
    missing = np.asarray(raw.columns.column(name).is_null().combine_chunks())
    if not missing.any():
        return None
    row, count = int(missing.argmax()), int(missing.sum())
    return Finding(
        raw.place(row, name),
        f"a value in every row, for data.{key}",
        f"a missing one, in {count:,} of {len(raw):,} rows",
        "Complete the column, or remove these rows.",
        evidence={"row": row, "missing": count},
    )
