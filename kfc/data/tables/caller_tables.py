"""Tables that a caller passes as `data=`, with targets and weights beside them or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from kfc.data.sources import aligned, per_row
from kfc.data.tables.arrow_frames import is_table, read_table
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.table_source import TARGET_NAMES
from kfc.errors import DataError, Finding
from kfc.spec import DataSpec

_PARTS = ("train", "validation", "test")


class _Part(NamedTuple):
    """A frame, with targets and weights where they were passed beside it."""

    frame: Any
    targets: Any = None
    sample_weight: Any = None


def tables_in_memory(data: Any, spec: DataSpec) -> dict[str, RawTable] | None:
    """Returns the tables of a caller's `data=` by part, or None if it holds no tables.

    A frame is a table if the spec names its target, or if it has a column that is not of
    complete numbers; other frames are matrices of numbers.

    Args:
        data: Frame or dict of columns; `(frame, targets)`, or `(frame, targets,
            sample_weight)`; a pair of such training and test parts; or a mapping of `train`,
            `validation` and `test` to them.
        spec: Part `data` of the spec.

    Raises:
        DataError: If a frame cannot be read.
    """
    parts = _parts(data)
    if not parts or not all(is_table(part.frame) for part in parts.values()):
        return None
    named = spec.target or spec.columns or spec.groups or spec.order
    if not named and _is_matrix(parts["train"].frame):
        return None
    return {
        name: _table_of_part(part, f"data, {name} rows", spec.target)
        for name, part in parts.items()
    }


def _table_of_part(part: _Part, where: str, target: str | None) -> RawTable:
    """Returns a frame with targets and weights that were passed beside it, if there are any.

    Targets and weights of pandas are sorted by the index of the frame, as for arrays.
    """
    if part.targets is None:
        if part.sample_weight is not None:
            expected, remedy = "targets", "Pass (frame, targets, sample_weight)."
            raise DataError(Finding(where, expected, "weights without targets", remedy))
        return read_table(part.frame, where)
    given = [values for values in part if values is not None]
    frame, targets, *weights = aligned(given, "")
    table = _with_targets(read_table(frame, where), targets, target)
    if not weights:
        return table
    return replace(table, sample_weight=per_row(weights[0], "sample_weight"))


def _is_matrix(frame: Any) -> bool:
    """Returns whether a frame has only complete numbers, beside its target."""
    if isinstance(frame, Mapping):
        return False
    try:
        columns = read_table(frame, "data").columns
    except DataError:  # the reader of matrices refuses it, with its own message
        return True
    names = [name for name in columns.column_names if name not in TARGET_NAMES]
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
    frame = part.frame
    if not is_table(frame):
        got = f"{type(frame).__module__}.{type(frame).__name__}"
        remedy = "Pass for example a pandas or polars DataFrame."
        finding = Finding(where, "a DataFrame or a dict of columns", got, remedy)
        raise DataError(finding)
    return _table_of_part(part, where, target)


def _parts(data: Any) -> dict[str, _Part]:
    """Returns the parts by name; frames of other forms are no tables."""
    if isinstance(data, Mapping) and data and set(data) <= set(_PARTS) and "train" in data:
        return {name: _pair(part) for name, part in data.items() if part is not None}
    if isinstance(data, (tuple, list)) and len(data) == 2:
        first, second = data
        if isinstance(first, (tuple, list)):
            return {"train": _pair(first), "test": _pair(second)}
        if is_table(first) and is_table(second) and {*_names(first)} & {*_names(second)}:
            return {"train": _Part(first), "test": _Part(second)}
    return {"train": _pair(data)}


def _pair(part: Any) -> _Part:
    if isinstance(part, (tuple, list)) and len(part) in (2, 3):
        return _Part(*part)
    return _Part(part)


def _names(frame: Any) -> list[str]:
    """Returns the names of the columns of a frame, an Arrow table or a dict of columns."""
    if isinstance(frame, Mapping):
        return [*map(str, frame)]
    return [*map(str, getattr(frame, "column_names", getattr(frame, "columns", ())))]


def _with_targets(table: RawTable, targets: Any, target: str | None) -> RawTable:
    """Returns the table with the targets that were passed beside it.

    One target is a column of the table, several are not.
    """
    if targets is None:
        return table
    if not target and (several := _several_targets(targets)) is not None:
        values, names = several
        return replace(table, targets=values, target_names=names)
    name = target or str(getattr(targets, "name", None) or TARGET_NAMES[0])
    values = np.asarray(targets)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or len(values) != len(table) or name in table.columns.column_names:
        got = f"targets of shape {values.shape} for {len(table):,} rows"
        if name in table.columns.column_names:
            got = f"a column {name!r} in both"
        expected = "one target per row, which is not among the inputs"
        remedy = "Pass (frame, targets)."
        if values.ndim == 2:
            remedy = "Leave data.target out: several targets have no column of that name."
        raise DataError(Finding("data", expected, got, remedy))
    columns = table.columns.append_column(name, pa.array(values, from_pandas=True))
    return replace(table, columns=columns)


def _several_targets(targets: Any) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Returns targets of two columns or more, with their names if they have any, or None."""
    shape = getattr(targets, "shape", None) or np.shape(targets)
    if len(shape) != 2 or shape[1] == 1:
        return None
    return per_row(targets, "targets"), tuple(_names(targets)) if is_table(targets) else ()


def _is_plain(values: pa.ChunkedArray) -> bool:
    """Returns whether a column holds complete numbers, of which a matrix can be made."""
    kind = values.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return (numeric or pa.types.is_boolean(kind)) and not values.null_count
