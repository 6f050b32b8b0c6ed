"""Reads frames of any library, and dicts of columns, as Arrow columns.

pandas and polars are recognised by their interfaces and not imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from kfc.data.tables.raw_table import RawTable
from kfc.errors import DataError, Finding, reason
from kfc.findings import run_checks
from kfc.spec import shown_value


def is_table(values: Any) -> bool:
    """Returns whether `read_table` can read a value: a frame, or a dict of columns."""
    kind = type(values)
    if isinstance(values, Mapping):
        return bool(values) and all(map(_is_column, values.values()))
    if _is_pandas(values):
        return hasattr(kind, "columns")
    # The type is asked, because a lazy frame may compute or warn when its columns are read.
    named = hasattr(kind, "columns") or hasattr(kind, "column_names")
    streams = hasattr(kind, "__arrow_c_stream__") and hasattr(kind, "schema")
    if isinstance(values, (pa.ChunkedArray, pa.Array)) or not (named or streams):
        return False
    return _has_arrow(kind) and not _is_lazy(kind)


def read_table(values: Any, name: str) -> RawTable:
    """Reads a frame of pandas, polars or any library with Arrow, or a dict of columns.

    Args:
        values: The frame, in memory, or the columns by name. An index of pandas is left out.
        name: Name of the table in messages, such as `data`.

    Returns:
        The rows in their order. NaN in columns of pandas and NumPy is a missing value.

    Raises:
        DataError: If the frame is lazy, has no rows, or is none; if two columns have the same
            name, or columns of a dict different lengths; if a column mixes types.
    """
    if isinstance(values, Mapping):
        table = _from_columns([*values], [*values.values()], name)
    elif _is_pandas(values) and hasattr(values, "columns"):
        columns = [values.iloc[:, number] for number in range(len(values.columns))]
        table = _from_columns([*values.columns], columns, name)
    elif _has_arrow(type(values)) and not _is_lazy(type(values)):
        try:
            table = pa.table(values)
        except Exception as error:  # other libraries raise errors of any class
            raise _no_frame(values, name, f", {reason(error)}") from error
        run_checks("names", table.column_names, name)
    else:
        raise _no_frame(values, name)
    if not len(table) or not table.num_columns:
        raise DataError(Finding(name, "at least one row", "none", "Check the source."))
    return RawTable(settled(table), name)


def settled(table: pa.Table) -> pa.Table:
    """Returns a table with one type of text, and the same dictionary in all chunks."""
    columns = [_settled_text(column) for column in table.columns]
    return pa.table(columns, names=table.column_names).unify_dictionaries()


def _settled_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = (pa.large_string(), pa.string_view())
    if pa.types.is_dictionary(column.type) and column.type.value_type in texts:
        kept = pa.dictionary(pa.int32(), pa.string(), column.type.ordered)
        return pa.chunked_array(
            [
                pa.DictionaryArray.from_arrays(
                    chunk.indices.cast(pa.int32()),
                    chunk.dictionary.cast(pa.string()),
                    ordered=column.type.ordered,
                )
                for chunk in column.chunks
            ],
            kept,
        )
    return column.cast(pa.string()) if column.type in texts else column


def _is_pandas(values: Any) -> bool:
    return hasattr(type(values), "iloc") and hasattr(values, "index")


def _has_arrow(kind: type) -> bool:
    return hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__arrow_c_array__")


def _is_lazy(kind: type) -> bool:
    return hasattr(kind, "collect") or hasattr(kind, "compute")


def _is_column(values: Any) -> bool:
    """Returns whether a value of a dict is a column: cells in one dimension."""
    if isinstance(values, (list, pa.Array, pa.ChunkedArray)):
        return not any(isinstance(cell, (list, tuple, np.ndarray)) for cell in values[:1])
    shape = getattr(values, "shape", None)
    return shape is not None and len(shape) == 1


def _no_frame(values: Any, name: str, cause: str = "") -> DataError:
    kind = type(values)
    remedy = "Use a frame of pandas or polars, an Arrow table, or a dict of columns."
    if _is_lazy(kind):
        remedy = "Collect it first, for example with collect() or compute()."
    got = f"{kind.__module__}.{kind.__qualname__}{cause}"
    return DataError(Finding(name, "a table in memory", got, remedy))


def _from_columns(titles: Sequence[Any], columns: Sequence[Any], name: str) -> pa.Table:
    """Returns named columns of pandas, NumPy, lists and other kinds as a table."""
    names = [_text_name(title, name) for title in titles]
    run_checks("names", names, name)
    arrays = [
        _as_arrow(values, name, text) for text, values in zip(names, columns, strict=True)
    ]
    for text, array in zip(names, arrays, strict=True):
        if len(array) != len(arrays[0]):
            got = f"{len(arrays[0]):,} in {names[0]!r} and {len(array):,} in {text!r}"
            remedy = "Pass columns of the same length."
            raise DataError(Finding(name, "as many cells in each column", got, remedy))
    return pa.table(arrays, names=names)


def _text_name(title: Any, name: str) -> str:
    if isinstance(title, (str, int, float, np.number)) and not isinstance(title, bool):
        return str(title)
    remedy = "Rename the column, for example with frame.columns = [...]."
    raise DataError(Finding(name, "names that are texts", shown_value(title), remedy))


def _as_arrow(values: Any, name: str, column: str) -> pa.Array | pa.ChunkedArray:
    """Returns one column as Arrow; NaN of pandas and NumPy is missing."""
    if not _is_pandas(values) and not _is_column(values) and not isinstance(values, tuple):
        got = f"{type(values).__name__} of column {column!r}"
        remedy = "Pass a list, an array of one dimension or a Series for each column."
        raise DataError(Finding(name, "cells of a column", got, remedy))
    try:
        if _has_arrow(type(values)) and not _is_pandas(values):  # Arrow and polars
            return pa.chunked_array(values) if not isinstance(values, pa.Array) else values
        return pa.array(values, from_pandas=True)
    # Columns of other libraries raise errors of any class.
    except Exception as error:
        raise _mixed(values, name, column, error) from error


def _mixed(values: Any, name: str, column: str, error: Exception) -> DataError:
    """Returns the refusal of a column whose cells have several types."""
    cells = enumerate(getattr(values, "array", values))
    present = ((row, cell) for row, cell in cells if not _is_missing(cell))
    first_row, first = next(present, (0, None))
    for row, cell in present:
        if type(cell) is not type(first) and not _both_numbers(cell, first):
            expected = f"cells of one type, {type(first).__name__} as in row {first_row}"
            got = f"{shown_value(cell)} of type {type(cell).__name__}"
            remedy = "Make all cells numbers or all texts, for example with astype(str)."
            where = f"{name}, row {row}, column {column!r}"
            return DataError(Finding(where, expected, got, remedy, evidence={"row": row}))
    remedy = "Turn the column into numbers, texts or dates, or drop it."
    where = f"{name}, column {column!r}"
    return DataError(Finding(where, "cells that Arrow can hold", reason(error), remedy))


def _is_missing(cell: Any) -> bool:
    # pandas' NA has no truth value; NaN differs from itself.
    return (
        cell is None
        or type(cell).__name__ in ("NAType", "NaTType")
        or (isinstance(cell, (float, np.floating)) and bool(cell != cell))
    )


def _both_numbers(*cells: Any) -> bool:
    numbers = (int, float, np.number)
    return all(isinstance(c, numbers) and not isinstance(c, bool) for c in cells)
