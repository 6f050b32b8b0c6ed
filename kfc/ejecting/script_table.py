"""Computes the values of a table's columns that the template of a script fills in.

The script reads the file with Python's csv module, which has no rule for a blank before a
number or for a quoted `NA`. Therefore its lines are run here, and their rows compared.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from kfc.data import Prepared, Rows, Source
from kfc.data.tables import CSV_NAMES, RawTable, read_raw, read_tables
from kfc.ejecting.refusals import refused
from kfc.ejecting.script_scaling import ScalingLines
from kfc.errors import reason
from kfc.preprocessing import (
    BooleanColumn,
    CategoryColumn,
    ColumnEncoding,
    NumberColumn,
    TableEncoding,
)
from kfc.spec import Spec
from kfc.system import open_file, user_paths


class ScriptTable(NamedTuple):
    """The file of a table, and the names of its columns by their encoding.

    Args:
        source: Rows as the file has them, with numbers for classes.
        path: Path of the file.
        encoding: Encoding of its text.
        delimiter: Character between two cells.
        missing: Texts of a missing cell, besides the empty one.
        target: Name of the target's column.
        ignored: Names of the columns that are no inputs, the target among them.
        numbers: Names of the columns of numbers.
        center: Function of the value that replaces a missing number: `median` or `mean`.
        gaps: Whether a column of numbers has an indicator.
        booleans: Names of the columns of booleans.
        true_texts: Texts that mean true in one of these columns.
        categories: Names of the columns of categories.
    """

    source: Source
    path: str
    encoding: str
    delimiter: str
    missing: list[str]
    target: str
    ignored: list[str]
    numbers: list[str]
    center: str
    gaps: bool
    booleans: list[str]
    true_texts: list[str]
    categories: list[str]

    @property
    def parts(self) -> list[str]:
        """Names of the lists that the script fills, in the order of the features."""
        kinds = {
            "numbers": self.numbers,
            "flags": self.booleans or self.gaps,
            "places": self.categories,
        }
        return [name for name, used in kinds.items() if used]


def script_table(spec: Spec, prepared: Prepared) -> ScriptTable:
    """Reads the table of a spec again, and returns the values for its script.

    Args:
        spec: Resolved spec, whose source is a CSV file.
        prepared: Data of the spec.

    Raises:
        SpecError: If the table is not one plain file.
        DataError: If the file cannot be read any more.
    """
    name, encoding = str(spec.data.source), _encoding(prepared)
    path = Path(user_paths.expanded(name.partition(":")[2]))
    if not path.is_file() or path.name.lower().endswith(CSV_NAMES[1:]):
        raise refused("data.source", "a single file that is not compressed", name)
    raw = read_raw(name, spec.data.csv)
    inputs = {column.name for column in encoding.columns}
    source = read_tables(spec.data, {"train": raw}).source
    booleans = _names(encoding, BooleanColumn)
    return ScriptTable(
        source=Source(Rows(source.train.x, _numbered(source.train.y, prepared))),
        path=str(path),
        encoding=_text_encoding(path, str(raw.csv.get("encoding", "utf-8"))),
        delimiter=str(raw.csv.get("delimiter", ",")),
        missing=[text for text in spec.data.csv.missing_values or () if text],
        target=str(spec.data.target),
        ignored=[name for name in raw.columns.column_names if name not in inputs],
        numbers=_names(encoding, NumberColumn),
        center="mean" if spec.data.missing in ("mean", "refuse") else "median",
        gaps=any(column.gaps for column in encoding.columns if column.number_names),
        booleans=booleans,
        true_texts=sorted(
            {text for name in booleans for text in _true_texts(raw, source.train.x, name)}
        ),
        categories=_names(encoding, CategoryColumn),
    )


def table_scaling(spec: Spec, prepared: Prepared, table: ScriptTable) -> ScalingLines:
    """Returns the lines that scale the numbers and join all columns to one matrix.

    Raises:
        SpecError: If the lines would give other bits.
    """
    lines, joined = [], [f"*{part}" for part in table.parts if part != "numbers"]
    if table.numbers:
        script = prepared.task.scaling.script_lines(
            str(spec.data.scale),
            prepared.train.x[:, : len(table.numbers)],
            rows="x[rows]",
            fused=spec.training.engine != "graph",
        )
        if script is None:
            expected = "no clip, and numbers of common sizes, none almost constant"
            raise refused("data.scale", expected, spec.data.scale)
        lines += ["x = np.column_stack(numbers)", *script.before]
        if script.expression != "{0}":
            lines.append(f"x = {script.expression.format('x')}")
        joined.insert(0, "x")
    if joined != ["x"]:
        lines.append(f"x = np.column_stack([{', '.join(joined)}]).astype(np.float32)")
    return ScalingLines([], lines)


def check_table_lines(lines: str, prepared: Prepared, table: ScriptTable) -> None:
    """Runs the lines of a script that read and encode a table, and compares their rows.

    Args:
        lines: Text of these lines.
        prepared: The rows that the engine trains on.
        table: Names of the columns.

    Raises:
        SpecError: If the lines fail, or give other rows.
    """
    from sklearn.model_selection import train_test_split

    found: dict[str, Any] = {"np": np, "csv": csv, "train_test_split": train_test_split}
    expected = "a file that Python's csv module reads as kfc does"
    try:
        exec(lines, found)
    except Exception as error:  # of a cell, a name or an encoding
        raise refused("data.source", expected, reason(error)) from error
    for suffix, rows in {"": prepared.train, "_test": prepared.shown}.items():
        if not np.array_equal(found[f"x{suffix}"], _features(rows.x, prepared)):
            raise refused("data.source", expected, f"other inputs from {table.path}")
        if not np.array_equal(np.ravel(found[f"y{suffix}"]), np.ravel(rows.y)):
            raise refused("data.source", expected, f"other targets from {table.path}")


def _encoding(prepared: Prepared) -> TableEncoding:
    if prepared.task.encoding is None:
        raise TypeError("prepared.task.encoding: expected that of a table, got None")
    return prepared.task.encoding


def _names(encoding: TableEncoding, kind: type[ColumnEncoding]) -> list[str]:
    """Returns the names of the columns of one type, in the order of the table."""
    return [column.name for column in encoding.columns if isinstance(column, kind)]


def _text_encoding(path: Path, encoding: str) -> str:
    """Returns the encoding with which Python reads a file without its byte order mark."""
    with open_file(path) as file:
        marked = file.read(3) == b"\xef\xbb\xbf"
    return "utf-8-sig" if marked else encoding


def _numbered(y: np.ndarray, prepared: Prepared) -> np.ndarray:
    """Returns targets with the numbers of classes, which are sorted, in place of them."""
    return np.unique(y, return_inverse=True)[1] if prepared.task.classification else y


def _true_texts(raw: RawTable, typed: Any, name: str) -> list[str]:
    """Returns the different texts of a column whose cells are true."""
    texts = raw.columns.column(name).filter(typed.columns[name])
    return [str(text) for text in texts.cast(pa.string()).unique().to_pylist()]


def _features(x: np.ndarray, prepared: Prepared) -> np.ndarray:
    """Returns the inputs of the first hidden layer, (rows, inputs), float32."""
    encoding = _encoding(prepared)
    numbers, first = encoding.num_numbers, encoding.num_numbers + encoding.num_flags
    parts = [prepared.task.scaling.apply(x[:, :numbers])] if numbers else []
    parts.append(x[:, numbers:first])
    for place, code in enumerate(encoding.codes, start=first):
        parts.append(x[:, place : place + 1] == np.arange(1, code.size + 1))
    return np.concatenate(parts, axis=1, dtype=np.float32)
