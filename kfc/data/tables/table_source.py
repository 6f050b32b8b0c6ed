"""Reads the tables of a spec, and separates their inputs from their targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.rows import Rows, Source
from kfc.data.sources import join_names
from kfc.data.tables.arrow_files import ArrowFiles, FiledColumns
from kfc.data.tables.arrow_frames import is_table, read_table
from kfc.data.tables.column_types import ColumnReport, resolve_columns, target_report
from kfc.data.tables.csv_files import CSV_NAMES, read_csv
from kfc.data.tables.parquet_files import Part, parquet_parts, read_parquet
from kfc.data.tables.part_files import part_files
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.remote_files import is_remote
from kfc.data.tables.row_labels import RowLabels, read_labels
from kfc.data.tables.typed_columns import EXACT, keep, typed_column
from kfc.data.tables.typed_table import TypedTable
from kfc.errors import DataError, Finding, PluginError, nearest
from kfc.findings import run_checks
from kfc.registry import TABLES
from kfc.spec import ColumnSpec, CsvSpec, DataSpec, shown_value
from kfc.system import both_in_threads, in_threads, user_paths

_ROWS = 1 << 20  # of targets that are looked at together

TARGET_NAMES = ("target", "label")
"""Names that the target's column may have where the spec names none."""


@dataclass(frozen=True)
class TableSource:
    """The rows of a table in the types of its columns, and the columns that were chosen.

    Args:
        source: Rows whose inputs are a `TypedTable`.
        target: Name of the target's column; empty for several targets beside the table.
        columns: Type of each column but the target, in the order of the table.
        csv: Form of the CSV file that was recognised or said.
        reports: Facts about each column, and the reason of its type.
        warnings: Findings that do not refuse the table.
        labels: Groups and order of the training rows.
    """

    source: Source
    target: str
    columns: Mapping[str, ColumnSpec]
    csv: CsvSpec
    reports: tuple[ColumnReport, ...]
    warnings: tuple[Finding, ...] = ()
    labels: RowLabels = field(default_factory=RowLabels)


def is_table_source(name: str | None) -> bool:
    """Returns whether the name of a source, such as `csv:FILE`, is that of a table."""
    return name is not None and name.partition(":")[0] in TABLES.names()


def has_table_files(name: str | None) -> bool:
    """Returns whether the name of a source is that of a table in files kfc itself reads."""
    return name is not None and name.partition(":")[0] in TABLES.builtins


def table_files(name: str) -> tuple[Part, ...]:
    """Returns the files of a source such as `csv:FOLDER`, in the order of their rows.

    Raises:
        DataError: If there are none.
    """
    kind, _, argument = name.partition(":")
    if kind == "csv":
        return part_files(_local(argument), *CSV_NAMES)
    return parquet_parts(argument)


def read_raw(name: str, csv: CsvSpec, arrow_files: ArrowFiles | None = None) -> RawTable:
    """Reads the table of a source such as `csv:FILE`.

    Args:
        name: Kind and path.
        csv: Form of a CSV file as far as the spec says it.
        arrow_files: Files that are to hold the columns; None to have them in memory.

    Raises:
        DataError: If the file cannot be read, or its form is not clear.
        PluginError: If a plug-in's source returns something else than a table.
    """
    kind, _, argument = name.partition(":")
    read = TABLES.get(kind, "data.source")
    with TABLES.guard(kind, name):
        table = read(argument, csv, **({"arrow_files": arrow_files} if arrow_files else {}))
    if isinstance(table, RawTable):
        return table
    if not is_table(table):
        expected, remedy = "a frame, such as a pyarrow.Table", "Fix the source."
        raise PluginError(Finding(f"table {kind!r}", expected, type(table).__name__, remedy))
    return read_table(table, name)


def csv(argument: str, form: CsvSpec, arrow_files: ArrowFiles | None = None) -> RawTable:
    """Reads `csv:FILE`, or a folder of CSV files."""
    return read_csv(_local(argument), form, f"csv:{argument}", arrow_files)


def _local(argument: str) -> Path:
    """Returns the path of a CSV file, which must not be an address."""
    if is_remote(argument):
        expected, remedy = "a CSV file on this machine", "Copy it, or use parquet:ADDRESS."
        raise DataError(Finding(f"csv:{argument}", expected, "an address", remedy))
    return Path(user_paths.expanded(argument))


def parquet(argument: str, form: CsvSpec, arrow_files: ArrowFiles | None = None) -> RawTable:
    """Reads `parquet:FILE`, or a folder of Parquet files, which have no other form."""
    return read_parquet(argument, f"parquet:{argument}", arrow_files)


def read_tables(
    spec: DataSpec, tables: Mapping[str, RawTable], arrow_files: ArrowFiles | None = None
) -> TableSource:
    """Returns the rows of the tables of a spec, with the type of each column.

    Args:
        spec: Part `data` of the spec.
        tables: Tables by part; `train` at least.
        arrow_files: Files that are to hold the columns of `data.test` and `data.validation`;
            None to have them in memory.

    Raises:
        DataError: If a column has no clear type, a cell is not of its column's type, or a
            check refuses a table.
    """
    train = tables["train"]
    target = _target(spec, train)
    run_checks("table", train, target)
    labels = read_labels(spec, train)
    # The target is a column among many. An error in the inputs comes before one in it.
    (reports, others, warnings), target_column = both_in_threads(
        lambda: _read_inputs(spec, tables, target, arrow_files),
        lambda: _target_column(train, target, spec.task),
    )
    columns = {report.name: report.column for report in reports}
    used = {name: column for name, column in columns.items() if column.type != "ignore"}
    for part in others.values():
        part.check_targets(train.target_names, several=train.targets is not None)
    classes = spec.task == "classification"
    rows = {
        part: Rows(
            select_columns(raw, used, part),
            _targets(raw, target, target_column, classes=classes),
            raw.sample_weight,
        )
        for part, raw in others.items()
    }
    source = Source(
        rows["train"],
        rows.get("test"),
        feature_names=tuple(used),
        validation=rows.get("validation"),
        targets=train.target_names,
    )
    csv = CsvSpec.model_validate(train.csv) if train.csv else spec.csv
    return TableSource(source, target, columns, csv, reports, warnings, labels)


class _Inputs(NamedTuple):
    """The columns but the target, the tables by part, and the findings of both."""

    reports: tuple[ColumnReport, ...]
    tables: Mapping[str, RawTable]
    warnings: tuple[Finding, ...]


def _read_inputs(
    spec: DataSpec,
    tables: Mapping[str, RawTable],
    target: str,
    arrow_files: ArrowFiles | None,
) -> _Inputs:
    """Finds the types of the columns but the target, and reads the other tables."""
    train = tables["train"]
    said = dict(spec.columns)
    if spec.groups is not None:
        said[spec.groups] = ColumnSpec(type="ignore")
    reports = resolve_columns(train, said, target)
    warnings = run_checks("columns", train, target, reports)
    others = dict(tables)
    for part, name in (("test", spec.test), ("validation", spec.validation)):
        if is_table_source(name if isinstance(name, str) else None):
            files = arrow_files.of(part) if arrow_files else None
            others[part] = read_raw(str(name), spec.csv, files)
    for part in (part for part in others if part != "train"):
        warnings += run_checks("other_table", train, others[part])
    return _Inputs(reports, others, warnings)


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
    files = raw.arrow_files
    if files is None:
        typed = in_threads(lambda name: typed_column(raw, name, columns[name]), columns)
        return TypedTable(dict(zip(columns, typed, strict=True)), len(raw))
    made = {name: partial(typed_column, raw, name, columns[name]) for name in columns}
    return TypedTable(FiledColumns(files.columns("typed", made), files), len(raw))


def labelled_table(
    raw: RawTable,
    columns: Mapping[str, ColumnSpec],
    target: str,
    targets: tuple[str, ...] = (),
    *,
    classes: bool,
) -> Rows:
    """Returns the rows of another labelled table, to measure a trained network on them.

    Args:
        raw: Table with these columns and the target.
        columns: Type of each column that the network takes.
        target: Name of the target's column; empty for several targets beside the table.
        targets: Names of several targets; empty where they have none.
        classes: Whether the targets are classes.

    Raises:
        DataError: If a column is missing, or a cell is not of its column's type.
    """
    raw.check_targets(targets, several=not target)
    run_checks("table", raw, target)
    kind = ColumnSpec(type="category" if classes else "number")
    return Rows(
        select_columns(raw, columns),
        _targets(raw, target, kind, classes=classes),
        raw.sample_weight,
    )


def _target(spec: DataSpec, train: RawTable) -> str:
    """Returns the name of the target's column; empty for none, or for several beside it."""
    if train.targets is not None:
        return ""
    if spec.target is not None:
        return spec.target
    found = [name for name in train.columns.column_names if name in TARGET_NAMES]
    return found[0] if len(found) == 1 else ""


def _target_column(train: RawTable, target: str, task: str | None) -> ColumnSpec:
    """Returns the type of the target: numbers, or text and booleans as classes."""
    number, classes = ColumnSpec(type="number"), ColumnSpec(type="category")
    if task == "regression" or train.targets is not None:
        return number
    if target_report(train, target).column.type not in ("category", "boolean", "date"):
        try:
            keep(train, target, number, typed_column(train, target, number))
            return number
        except DataError:  # a column of text only: a mixed one has been refused above
            pass
    if train.arrow_files is None:
        keep(train, target, classes, typed_column(train, target, classes))
    return classes


def _targets(raw: RawTable, target: str, column: ColumnSpec, *, classes: bool) -> np.ndarray:
    """Returns the targets: text, or numbers, which are integers where they are written so.

    Classes that are whole numbers are integers, also where they are written as 1.0.
    """
    run_checks("table", raw, target)
    if raw.targets is not None:
        return raw.targets
    if column.type == "category":
        values = typed_column(raw, target, column)
        if values.null_count:  # NaN, which is not a missing cell
            return np.asarray(values.cast(pa.string()).to_pylist(), np.str_)
        words = np.asarray(values.chunk(0).dictionary.to_pylist(), np.str_)
        return words[np.concatenate([np.asarray(chunk.indices) for chunk in values.chunks])]

    def numbers() -> np.ndarray:
        return _target_numbers(raw, target, column, classes=classes)

    if raw.arrow_files is None:
        return numbers()
    return raw.arrow_files.numbers("targets", numbers)


def _target_numbers(
    raw: RawTable, target: str, column: ColumnSpec, *, classes: bool
) -> np.ndarray:
    """Returns targets that are numbers, which are integers where they are written so."""
    numbers = np.asarray(typed_column(raw, target, column))
    if classes and _whole(numbers):
        return numbers.astype(np.int64)
    kind = raw.columns.schema.field(target).type
    text = raw.columns.column(target)
    fractions = pa.types.is_floating(kind) or (
        pa.types.is_string(kind) and pc.any(pc.match_substring_regex(text, "[.,eE]")).as_py()
    )
    return numbers if fractions else numbers.astype(np.int64)


def _whole(numbers: np.ndarray) -> bool:
    """Returns whether numbers are integers that float64 holds exactly."""
    pieces = (numbers[first : first + _ROWS] for first in range(0, len(numbers), _ROWS))
    return all(bool((np.abs(part) < EXACT).all() and (part % 1 == 0).all()) for part in pieces)


# --- checks --------------------------------------------------------------------------------


def target_column_missing(raw: RawTable, target: str) -> Finding | None:
    """Finds a table without the column of the target, or with lists and records in it."""
    names = raw.columns.column_names
    if raw.targets is not None:
        return None
    got = f"no column {target!r}" if target else "no name of a column"
    if target in names:
        kind = raw.columns.schema.field(target).type
        if not pa.types.is_nested(kind):
            return None
        got = f"{target!r} with values of type {kind}"
    hint = nearest(target, names) if target and target not in names else ""
    remedy = f"{hint}Set data.target to one of {join_names(names, most=12)}."
    return Finding(f"data.target, {raw.name}", "the target's column", got, remedy)


def target_cell_missing(raw: RawTable, target: str) -> Finding | None:
    """Finds the first row without a target."""
    if raw.targets is not None:
        return None  # the check `target_not_finite` looks at them
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
