"""Reads the tables of a spec, and separates their inputs from their targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.rows import Rows, Source
from kfc.data.sources import aligned, join_names
from kfc.data.tables.arrow_frames import is_table, read_table
from kfc.data.tables.column_types import ColumnReport, resolve_columns
from kfc.data.tables.csv_files import read_csv
from kfc.data.tables.parquet_files import read_parquet
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.typed_columns import typed_column
from kfc.data.tables.typed_table import TypedTable
from kfc.errors import DataError, Finding, nearest
from kfc.findings import run_checks
from kfc.spec import ColumnSpec, CsvSpec, DataSpec, shown_value
from kfc.system import user_paths

KINDS = ("csv", "parquet")
"""Kinds of sources that are tables."""

_PARTS = ("train", "validation", "test")
_TARGET_NAMES = ("target", "label")
"""Names that the target's column may have where the spec names none."""


@dataclass(frozen=True)
class TableSource:
    """The rows of a table in the types of its columns, and the columns that were chosen.

    Args:
        source: Rows whose inputs are a `TypedTable`.
        target: Name of the target's column.
        columns: Type of each column but the target, in the order of the table.
        csv: Form of the CSV file that was recognised or said.
        reports: Facts about each column, and the reason of its type.
    """

    source: Source
    target: str
    columns: Mapping[str, ColumnSpec]
    csv: CsvSpec
    reports: tuple[ColumnReport, ...]


def is_table_source(name: str | None) -> bool:
    """Returns whether the name of a source, such as `csv:FILE`, is that of a table."""
    return name is not None and name.partition(":")[0] in KINDS


def read_raw(name: str, csv: CsvSpec) -> RawTable:
    """Reads the table of a source such as `csv:FILE`.

    Raises:
        DataError: If the file cannot be read, or its form is not clear.
    """
    kind, _, argument = name.partition(":")
    path = Path(user_paths.expanded(argument))
    return read_csv(path, csv, name) if kind == "csv" else read_parquet(path, name)


def tables_in_memory(data: Any, spec: DataSpec) -> dict[str, RawTable] | None:
    """Returns the tables of a caller's `data=` by part, or None if it holds no tables.

    A frame is a table if the spec names its target, or if it has a column that is not of
    complete numbers; other frames are matrices of numbers.

    Args:
        data: Frame or dict of columns; `(frame, targets)`; a pair of training and test
            frames; or a mapping of `train`, `validation` and `test` to frames.
        spec: Part `data` of the spec.

    Raises:
        DataError: If a frame cannot be read.
    """
    parts = _parts(data)
    if not parts or not all(is_table(frame) for frame, _ in parts.values()):
        return None
    if spec.target is None and not spec.columns and _is_matrix(parts["train"][0]):
        return None
    return {
        name: _table_of_part(part, f"data, {name} rows", spec.target)
        for name, part in parts.items()
    }


def _table_of_part(part: tuple[Any, Any], where: str, target: str | None) -> RawTable:
    """Returns a frame with the targets that were passed beside it, if there are any.

    Targets of pandas are sorted by the index of the frame, as for arrays.
    """
    frame, targets = part
    if targets is not None:
        frame, targets = aligned((frame, targets), "")
    return _with_targets(read_table(frame, where), targets, target)


def _is_matrix(frame: Any) -> bool:
    """Returns whether a frame has only complete numbers, beside its target."""
    if isinstance(frame, Mapping):
        return False
    try:
        columns = read_table(frame, "data").columns
    except DataError:  # the reader of matrices refuses it, with its own message
        return True
    names = [name for name in columns.column_names if name not in _TARGET_NAMES]
    return all(_is_plain(columns.column(name)) for name in names)


def table_in_memory(data: Any, where: str, target: str | None = None) -> RawTable:
    """Returns a frame, a dict of columns, or `(frame, targets)` as a table.

    Args:
        data: Rows in memory.
        where: Name of the rows in messages.
        target: Name of the column that targets get which are passed beside the frame.

    Raises:
        DataError: If the rows are no table, or cannot be read.
    """
    part = _pair(data)
    frame, _ = part
    if not is_table(frame):
        got = f"{type(frame).__module__}.{type(frame).__name__}"
        remedy = "Pass for example a pandas or polars DataFrame."
        finding = Finding(where, "a DataFrame or a dict of columns", got, remedy)
        raise DataError(finding)
    return _table_of_part(part, where, target)


def _parts(data: Any) -> dict[str, tuple[Any, Any]]:
    """Returns part -> (frame, targets or None); empty if `data` has another form."""
    if isinstance(data, Mapping) and data and set(data) <= set(_PARTS) and "train" in data:
        return {name: _pair(part) for name, part in data.items() if part is not None}
    if isinstance(data, (tuple, list)) and len(data) == 2:
        first, second = data
        if isinstance(first, (tuple, list)):
            return {"train": _pair(first), "test": _pair(second)}
        if is_table(first) and is_table(second) and _width(second) > 1:
            return {"train": (first, None), "test": (second, None)}
    return {"train": _pair(data)}


def _pair(part: Any) -> tuple[Any, Any]:
    if isinstance(part, (tuple, list)) and len(part) == 2:
        return part[0], part[1]
    return part, None


def _width(frame: Any) -> int:
    columns = getattr(frame, "columns", None)
    if isinstance(frame, Mapping):
        return len(frame)
    return 1 if columns is None else len(columns)


def _with_targets(table: RawTable, targets: Any, target: str | None) -> RawTable:
    """Returns the table with targets that were passed beside it as a column."""
    if targets is None:
        return table
    name = target or str(getattr(targets, "name", None) or _TARGET_NAMES[0])
    values = np.asarray(targets)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or len(values) != len(table) or name in table.columns.column_names:
        got = f"targets of shape {values.shape} for {len(table):,} rows"
        if name in table.columns.column_names:
            got = f"a column {name!r} in both"
        expected = "one target per row, which is not among the inputs"
        raise DataError(Finding("data", expected, got, "Pass (frame, targets)."))
    columns = table.columns.append_column(name, pa.array(values, from_pandas=True))
    return RawTable(columns, table.name)


def _is_plain(values: pa.ChunkedArray) -> bool:
    """Returns whether a column holds complete numbers, of which a matrix can be made."""
    kind = values.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return (numeric or pa.types.is_boolean(kind)) and not values.null_count


def read_tables(
    spec: DataSpec,
    tables: Mapping[str, RawTable],
    read: Callable[[str, CsvSpec], RawTable] = read_raw,
) -> TableSource:
    """Returns the rows of the tables of a spec, with the type of each column.

    Args:
        spec: Part `data` of the spec.
        tables: Tables by part; `train` at least.
        read: Function that reads the tables of `data.test` and `data.validation`.

    Raises:
        DataError: If a column has no clear type, a cell is not of its column's type, or a
            check refuses a table.
    """
    train = tables["train"]
    target = _target(spec, train)
    run_checks("table", train, target)
    reports = resolve_columns(train, spec.columns, target)
    columns = {report.name: report.column for report in reports}
    used = {name: column for name, column in columns.items() if column.type != "ignore"}
    run_checks("columns", train, target, reports)

    others = dict(tables)
    for part, name in (("test", spec.test), ("validation", spec.validation)):
        if is_table_source(name if isinstance(name, str) else None):
            others[part] = read(str(name), spec.csv)
    target_column = _target_column(train, target, spec.task)
    rows = {
        part: Rows(select_columns(raw, used, part), _targets(raw, target, target_column))
        for part, raw in others.items()
    }
    source = Source(
        rows["train"],
        rows.get("test"),
        feature_names=tuple(used),
        validation=rows.get("validation"),
    )
    csv = CsvSpec.model_validate(train.csv) if train.csv else spec.csv
    return TableSource(source, target, columns, csv, reports)


def select_columns(
    raw: RawTable, columns: Mapping[str, ColumnSpec], part: str = "rows"
) -> TypedTable:
    """Returns the columns of a table in the given types; other columns are left out.

    Args:
        raw: Table with at least these columns, in any order.
        columns: Type of each column.
        part: Name of the rows in messages.

    Raises:
        DataError: If a column is missing, or a cell is not of its column's type.
    """
    run_checks("table_columns", raw, tuple(columns), part)
    typed = {name: typed_column(raw, name, column) for name, column in columns.items()}
    return TypedTable(typed, len(raw))


def labelled_table(
    raw: RawTable, columns: Mapping[str, ColumnSpec], target: str, *, classes: bool
) -> Rows:
    """Returns the rows of another labelled table, to measure a trained network on them.

    Args:
        raw: Table with these columns and the target.
        columns: Type of each column that the network takes.
        target: Name of the target's column.
        classes: Whether the targets are classes.

    Raises:
        DataError: If a column is missing, or a cell is not of its column's type.
    """
    run_checks("table", raw, target)
    kind = ColumnSpec(type="category" if classes else "number")
    return Rows(select_columns(raw, columns), _targets(raw, target, kind))


def _target(spec: DataSpec, train: RawTable) -> str:
    if spec.target is not None:
        return spec.target
    found = [name for name in train.columns.column_names if name in _TARGET_NAMES]
    return found[0] if len(found) == 1 else ""


def _target_column(train: RawTable, target: str, task: str | None) -> ColumnSpec:
    """Returns the type of the target: numbers, or text and booleans as classes."""
    if task == "regression":
        return ColumnSpec(type="number")
    alone = RawTable(train.columns.select([target]), train.name, train.files, train.csv)
    (report,) = resolve_columns(alone, {}, "")
    if report.column.type in ("category", "boolean", "date"):
        return ColumnSpec(type="category")
    try:
        typed_column(train, target, ColumnSpec(type="number"))
    except DataError:  # a column of text only: a mixed one has been refused above
        return ColumnSpec(type="category")
    return ColumnSpec(type="number")


def _targets(raw: RawTable, target: str, column: ColumnSpec) -> np.ndarray:
    """Returns the targets: text, or numbers, which are integers where they are written so."""
    run_checks("table", raw, target)
    values = typed_column(raw, target, column)
    if column.type == "category":
        if values.null_count:  # NaN, which is not a missing cell
            return np.asarray(values.cast(pa.string()).to_pylist(), np.str_)
        words = np.asarray(values.chunk(0).dictionary.to_pylist(), np.str_)
        return words[np.concatenate([np.asarray(chunk.indices) for chunk in values.chunks])]
    numbers = np.asarray(values)
    kind = raw.columns.schema.field(target).type
    text = raw.columns.column(target)
    fractions = pa.types.is_floating(kind) or (
        pa.types.is_string(kind) and pc.any(pc.match_substring_regex(text, "[.,eE]")).as_py()
    )
    return numbers if fractions else numbers.astype(np.int64)


# --- checks --------------------------------------------------------------------------------


def target_column_missing(raw: RawTable, target: str) -> Finding | None:
    """Finds a table without the column of the target."""
    names = raw.columns.column_names
    if target in names:
        return None
    got = f"no column {target!r}" if target else "no name of a column"
    hint = nearest(target, names) if target else ""
    remedy = f"{hint}Set data.target to one of {join_names(names, most=12)}."
    return Finding(f"data.target, {raw.name}", "the target's column", got, remedy)


def target_cell_missing(raw: RawTable, target: str) -> Finding | None:
    """Finds the first row without a target."""
    missing = np.asarray(raw.columns.column(target).is_null().combine_chunks())
    if not missing.any():
        return None
    row, count = int(missing.argmax()), int(missing.sum())
    return Finding(
        raw.place(row, target),
        "a target in every row",
        f"a missing one, in {count:,} of {len(raw):,} rows",
        "Remove the rows without a target from the file.",
        evidence={"row": row, "missing": count},
    )


def no_input_column(
    raw: RawTable, target: str, reports: Iterable[ColumnReport]
) -> Finding | None:
    """Finds a table of which no column is an input."""
    if any(report.column.type != "ignore" for report in reports):
        return None
    why = "; ".join(f"{report.name}: {report.why}" for report in reports) or "no column"
    remedy = "Give one of them a type, as in data.columns: {NAME: category}."
    return Finding(raw.name, "at least one column that is an input", why, remedy)


def input_column_missing(raw: RawTable, wanted: tuple[str, ...], part: str) -> Finding | None:
    """Finds a table that lacks a column which the network takes."""
    names = raw.columns.column_names
    lacking = [name for name in wanted if name not in names]
    if not lacking:
        return None
    hint = nearest(lacking[0], names)
    return Finding(
        raw.name,
        f"the columns of the training: {join_names(wanted, most=12)}",
        f"no column {shown_value(lacking[0])}",
        f"{hint}Add it; the order of columns does not matter, and extra ones are ignored.",
        evidence={"missing": len(lacking)},
    )
