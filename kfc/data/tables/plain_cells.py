"""Gives cells of any type as objects of Python, with pandas or without it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def in_microseconds(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Returns a column whose times in nanoseconds are cut to microseconds.

    pyarrow gives nanoseconds as objects of pandas, and refuses to give them without pandas.

    Args:
        values: Column of any type.
    """
    kind = values.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return values.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return values.cast(pa.time64("us"), safe=False)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return values.cast(pa.duration("us"), safe=False)
    return values


def plain_cell(values: pa.Array | pa.ChunkedArray, row: int) -> Any:
    """Returns a cell as an object of Python.

    Args:
        values: Column of any type.
        row: Number of the row.
    """
    try:
        return in_microseconds(values.slice(row, 1))[0].as_py()
    except ValueError:  # nanoseconds inside a list or a record
        return str(values.type)
