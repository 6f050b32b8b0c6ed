"""Encodes the rows of another table for a network that was trained on a table."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data import Rows, Source, TableTask, Task, read_table_file
from kfc.data.tables import (
    RawTable,
    TypedTable,
    labelled_table,
    select_columns,
    table_in_memory,
)
from kfc.errors import DataError, Finding, UnseenValuesWarning
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
        x: Path of a CSV or Parquet file, `RawTable`, frame or dict of columns. Their order
            does not matter, and other columns are left out.
        task: Task that the network was trained for.
        where: Name of the rows in messages.

    Raises:
        DataError: If a column is missing, or a cell is not of its column's type.
    """
    return select_columns(_raw_table(x, task, where), table_of(task).columns, where)


def _raw_table(x: Any, task: Task, where: str, target: str | None = None) -> RawTable:
    """Returns a file, a frame or a dict of columns as a table."""
    if isinstance(x, RawTable):
        return x
    if isinstance(x, (str, Path)):
        return read_table_file(x, table_of(task).csv)
    return table_in_memory(x, where, target)


def encoded_rows(typed: TypedTable, task: Task, where: str = "rows to predict") -> np.ndarray:
    """Returns the encoded rows of a table, (rows, features), float32.

    It warns of each column with values that training has not seen, by `UnseenValuesWarning`.

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
    _warn_of_unknown(typed, task)
    return x


def _warn_of_unknown(typed: TypedTable, task: Task) -> None:
    """Warns of each column with categories that training has not seen."""
    level = _level_of_caller()
    for name, count in unknown_counts(typed, task).items():
        warnings.warn(UnseenValuesWarning(name, count, len(typed)), stacklevel=level)


def _level_of_caller() -> int:
    """Returns the `stacklevel`, in the calling function, of the line that called kfc."""
    # Python shows equal warnings once for each line, so that line must not be one of kfc.
    frame, level = inspect.currentframe(), 0
    while (
        frame
        and frame.f_back
        and frame.f_globals.get("__name__", "").partition(".")[0] == "kfc"
    ):
        frame, level = frame.f_back, level + 1
    return level


def encode_labelled_table(data: Any, task: Task) -> Rows:
    """Returns the rows of another labelled table as a trained network takes them.

    Args:
        data: File, `RawTable` or frame with the columns of the training and the target; or
            `(frame, targets)`, as for several targets.
        task: Task that the network was trained for.

    Raises:
        DataError: If a column is missing, or a cell is not of its column's type.
    """
    table, where = table_of(task), "rows to evaluate"
    if isinstance(data, Source):
        got = "arrays"
        raise DataError(Finding(where, "a table", got, "Pass a CSV or Parquet file."))
    raw = _raw_table(data, task, where, table.target)
    named = table.columns, table.target, task.targets
    rows = labelled_table(raw, *named, classes=task.classification)
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
