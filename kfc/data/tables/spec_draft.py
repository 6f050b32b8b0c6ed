"""Drafts a spec for a table, with comments that say how each column was understood."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.column_types import (
    ColumnReport,
    find_missing_markers,
    resolve_columns,
    target_report,
)
from kfc.data.tables.plain_cells import in_microseconds
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.table_source import read_raw
from kfc.errors import one_line
from kfc.findings import run_checks
from kfc.spec import ColumnSpec, DataSpec

_MOST_CLASSES = 20
"""Distinct whole numbers up to which a draft proposes a classification."""

_PRESET = "tabm"
"""Preset that a draft names: the best one of `experiments/tables_strong` for its time."""

_EPOCHS = 50
"""Epochs after which this preset usually stops."""

_SECONDS_OF_A_ROW = 2e-4
"""Seconds for a row and an epoch of this preset on two cores: `seconds_alone` in
`experiments/tables_strong/measured.json`, divided by training rows and these epochs. It is
1.3e-4 on hpc_jobs, 1.5e-4 on adult, 2.3e-4 on diamonds and on german_credit."""


@dataclass(frozen=True)
class Draft:
    """A drafted spec.

    Args:
        text: Spec in YAML, with comments.
        name: Name of the spec.
        reports: Facts about each column, and the reason of its type.
    """

    text: str
    name: str
    reports: tuple[ColumnReport, ...]


def draft_spec(file: str, target: str | None = None, said: DataSpec | None = None) -> Draft:
    """Returns a spec for a CSV or Parquet file that runs as it is.

    Args:
        file: Path of the file, or of a folder of parts.
        target: Name of the target's column; by default the last one.
        said: Part `data` of a spec, with the form of the file and types of columns that are
            known; by default none is.

    Raises:
        DataError: If the file cannot be read, or a column has no clear type.
    """
    said = said or DataSpec()
    path = Path(file)
    source = f"{table_kind(path)}:{file}"
    table = read_raw(source, said.csv)
    markers = said.csv.missing_values or find_missing_markers(table)
    if (
        markers and markers != said.csv.missing_values
    ):  # read again: these texts are missing cells
        csv = said.csv.model_copy(update={"missing_values": markers})
        table = read_raw(source, csv)
    target = table.columns.column_names[-1] if target is None else target
    run_checks("table", table, target)
    reports = resolve_columns(table, said.columns, target)
    name = _name_of(path)
    import jinja2  # only here: predicting reads `table_kind` of this module

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kfc.data.tables", "."),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the draft is YAML, and `quoted` escapes
    )
    environment.filters |= {"quoted": _quoted, "line": one_line, "column": _column}
    width = max((len(_quoted(report.name)) for report in reports), default=0)
    text = environment.get_template("spec_draft.yaml.jinja").render(
        rows=len(table),
        name=name,
        source=source,
        target=target,
        task=_task(table, target),
        values=_values(table, target),
        csv=_csv_keys(table, markers),
        reports=reports,
        width=width,
        preset=_PRESET,
        time=_predicted_time(len(table)),
    )
    return Draft(text, name, reports)


def table_kind(path: Path) -> str:
    """Returns `parquet` for a Parquet file or a folder of such files, otherwise `csv`."""
    names = [path.name]
    if path.is_dir():
        names = [part.name for part in path.iterdir()]
    found = any(name.lower().endswith((".parquet", ".pq")) for name in names)
    return "parquet" if found else "csv"


def _predicted_time(rows: int) -> str:
    """Returns the time that a draft's training takes, in words.

    Args:
        rows: Rows of the file, of which 64 % are trained on: 20 % are test rows, and a fifth
            of the others are validation rows.
    """
    minutes = 0.64 * rows * _EPOCHS * _SECONDS_OF_A_ROW / 60
    if minutes < 1:
        return "a minute or less"
    return f"{minutes:,.0f} minutes" if minutes < 90 else f"{minutes / 60:,.0f} hours"


def _csv_keys(table: RawTable, markers: Sequence[str]) -> dict[str, object]:
    """Returns the keys of `data.csv` that the file needs."""
    usual = {"delimiter": ",", "decimal": ".", "encoding": "utf-8"}
    found = {key: table.csv.get(key, value) for key, value in usual.items()}
    keys = {key: value for key, value in found.items() if value != usual[key]}
    return keys | ({"missing_values": list(markers)} if markers else {})


def _task(table: RawTable, target: str) -> str:
    """Returns the task that the values of the target suggest."""
    report = target_report(table, target)
    if report.column.type in ("category", "boolean"):
        return "classification"
    values = table.columns.column(target)
    if pa.types.is_string(values.type) and report.column.type == "ignore":
        numbers = pc.all(pc.match_substring_regex(values, r"^\s*[+-]?[\d.,]+$")).as_py()
        if not numbers:
            return "classification"
    whole = pc.any(pc.match_substring_regex(values.cast(pa.string()), "[.,eE]")).as_py()
    few = report.distinct <= _MOST_CLASSES and not whole
    return "classification" if few else "regression"


def _values(table: RawTable, target: str) -> str:
    """Returns the values of the target with their numbers of rows, shortened."""
    values = table.columns.column(target)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    counted = sorted(
        pc.value_counts(in_microseconds(values)).to_pylist(),
        key=lambda pair: (-pair["counts"], str(pair)),
    )
    shown = ", ".join(f"{pair['values']} {pair['counts']:,}" for pair in counted[:4])
    more = f" and {len(counted) - 4:,} more" if len(counted) > 4 else ""
    return one_line(f"{len(counted):,} values: {shown}{more}")


def _name_of(path: Path) -> str:
    """Returns the name of a file in the characters that the name of a run may have."""
    stem = path.name.split(".")[0]
    name = re.sub(r"[^\w-]+", "_", stem, flags=re.ASCII).strip("_-")
    return name[:60] or "table"


def _column(column: ColumnSpec) -> str:
    """Returns the type of a column as YAML, with its options where it has any."""
    shown = column.model_dump(exclude_none=True)
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)


def _quoted(value: object) -> str:
    """Returns a value as YAML, where JSON is valid too; plain words stay without quotes."""
    text = str(value)
    words = ("true", "false", "null", "yes", "no", "on", "off")
    plain = text.replace("_", "").isalnum() and text.isascii() and not text[0].isdigit()
    if isinstance(value, str) and plain and text.lower() not in words:
        return text
    return json.dumps(value, ensure_ascii=False)
