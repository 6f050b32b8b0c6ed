"""Encodes the rows of another table for a network that was trained on a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from kfc.data import Rows, Source, TableTask, Task
from kfc.data.tables import (
    RawTable,
    TypedTable,
    labelled_table,
    select_columns,
    table_in_memory,
)
from kfc.errors import DataError, Finding
from kfc.findings import run_checks
from kfc.spec import shown_value


def table_of(task: Task) -> TableTask:
    """Returns the columns of a network's table."""
    if task.table is None:
        raise TypeError("task.table: expected the columns of a table, got None")
    return task.table


def typed_rows(x: Any, task: Task, where: str = "rows to predict") -> TypedTable:
    """Returns the columns of a table that a network takes, in their types.

    Args:
        x: `RawTable`, frame or dict of columns. Their order does not matter, and other
            columns are left out.
        task: Task that the network was trained for.
        where: Name of the rows in messages.

    Raises:
        DataError: If a column is missing, or a cell is not of its column's type.
    """
    raw = x if isinstance(x, RawTable) else table_in_memory(x, where)
    return select_columns(raw, table_of(task).columns, where)


def encoded_rows(typed: TypedTable, task: Task, where: str = "rows to predict") -> np.ndarray:
    """Returns the encoded rows of a table, (rows, features), float32.

    Args:
        typed: Columns that the network takes.
        task: Task that the network was trained for.
        where: Name of the rows in messages.

    Raises:
        DataError: If the table has no rows, or values that training has not seen where the
            spec refuses them.
    """
    table = table_of(task)
    run_checks("encoding_table", typed, table, where)
    x = table.encoding.apply(typed.columns)
    if task.num_scaled:
        run_checks("scaled", task.scaling, task.scaled_part(x), where, task.feature_names)
    return x


def encode_labelled_table(data: Any, task: Task) -> Rows:
    """Returns the rows of another labelled table as a trained network takes them.

    Args:
        data: `RawTable` or frame with the columns of the training and the target; or
            `(frame, targets)`.
        task: Task that the network was trained for.

    Raises:
        DataError: If a column is missing, or a cell is not of its column's type.
    """
    table, where = table_of(task), "rows to evaluate"
    if isinstance(data, Source):
        got = "arrays"
        raise DataError(Finding(where, "a table", got, "Pass a CSV or Parquet file."))
    raw = data if isinstance(data, RawTable) else table_in_memory(data, where, table.target)
    rows = labelled_table(raw, table.columns, table.target, classes=task.classification)
    return Rows(encoded_rows(rows.x, task, where), rows.y, rows.sample_weight)


def unknown_counts(typed: TypedTable, task: Task) -> dict[str, int]:
    """Returns column -> number of cells with a category that training has not seen."""
    counts = table_of(task).encoding.unknown_counts(typed.columns)
    return {name: count for name, count in counts.items() if count}


# --- checks --------------------------------------------------------------------------------


def table_empty(typed: TypedTable, table: TableTask, where: str) -> Finding | None:
    """Finds a table without a row."""
    if len(typed):
        return None
    return Finding(where, "at least one row", "none", "Check the table.")


def unknown_category(typed: TypedTable, table: TableTask, where: str) -> list[Finding]:
    """Finds categories that training has not seen, where `data.unknown` refuses them."""
    if table.unknown != "refuse":
        return []
    findings = []
    for name, unknown in table.encoding.unknown_rows(typed.columns).items():
        if not unknown.any():
            continue
        row, count = int(unknown.argmax()), int(unknown.sum())
        example = typed.columns[name][row].as_py()
        findings.append(
            Finding(
                f"{where}, row {row}, column {name!r}",
                "a value that the training rows have",
                f"{shown_value(example)}, among {count:,} such cells",
                "Correct them, or train with data.unknown: slot.",
                evidence={"row": row, "unknown": count},
            )
        )
    return findings
