"""Encodes the rows of a table, once its training rows are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kfc.data.rows import Rows
from kfc.data.tables import TableSource, TypedTable
from kfc.data.task import TableTask
from kfc.preprocessing import TableEncoding
from kfc.spec import Spec


def table_encoding(
    spec: Spec, train: Rows, tables: TableSource | None
) -> TableEncoding | None:
    """Returns the encoding of a table, fitted on the training rows; None for arrays."""
    if tables is None:
        return None
    used = {name: tables.columns[name] for name in train.x.columns}
    return TableEncoding.fit(train.x.columns, used, spec.data.missing, spec.data.categories)


def encoded(encoding: TableEncoding | None, rows: Rows | None) -> Any:
    """Returns the rows of a table, encoded; rows of arrays, and None, as they are."""
    if encoding is None or rows is None:
        return rows
    return replace(rows, x=encoding.apply(rows.x.columns))


def some_rows(rows: Rows, most: int) -> TypedTable:
    """Returns at most `most` rows of a table that is not encoded yet, evenly spaced."""
    evenly = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    table: TypedTable = rows.x.take(evenly)
    return table


def table_task(
    spec: Spec, tables: TableSource | None, encoding: TableEncoding | None
) -> TableTask | None:
    """Returns the columns that a network takes, with their encoding; None for arrays."""
    if tables is None or encoding is None:
        return None
    columns = {name: tables.columns[name] for name in tables.source.feature_names}
    return TableTask(columns, tables.target, tables.csv, spec.data.unknown, encoding)


def table_keys(tables: TableSource | None) -> dict[str, Any]:
    """Returns the keys of `data` that describe a table; none for arrays."""
    if tables is None:
        return {}
    return {"columns": tables.columns, "target": tables.target, "csv": tables.csv}
