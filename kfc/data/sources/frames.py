"""Reads the columns of a DataFrame of any library as arrays.

pandas, polars and pyarrow are recognised by their interfaces and not imported. Only frames
with no other interface than the Arrow stream are read with pyarrow.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from kfc.data.bad_cells import DECIMAL_COMMA, has_decimal_comma, plain_value, reads_as_number
from kfc.errors import DataError, Finding
from kfc.spec import shown_value


@dataclass(frozen=True)
class Frame:
    """The columns of a DataFrame.

    Args:
        names: Names of the columns in their own type; pandas allows numbers.
        columns: Series (pandas, polars) or ChunkedArray (pyarrow) of each name.
        rows: Number of rows.
    """

    names: tuple[Any, ...]
    columns: tuple[Any, ...]
    rows: int

    @property
    def texts(self) -> tuple[str, ...]:
        """The names of the columns as text."""
        return tuple(map(str, self.names))

    def without(self, position: int) -> Frame:
        """Returns the frame without the column at `position`."""
        kept = [number for number in range(len(self.names)) if number != position]
        names, columns = ([values[n] for n in kept] for values in (self.names, self.columns))
        return Frame(tuple(names), tuple(columns), self.rows)

    def numbers(self, name: str) -> np.ndarray:
        """Returns the cells as one array, (rows, columns); missing ones are NaN.

        Args:
            name: Name of the frame in messages, such as `x_test`.

        Raises:
            DataError: If two columns have the same name, or a column holds no numbers.
        """
        seen: set[str] = set()
        arrays = []
        for title, values in zip(self.names, self.columns, strict=True):
            if str(title) in seen:
                remedy = "Rename or drop one of them."
                finding = Finding("data", "each column once", f"{title!r} twice", remedy)
                raise DataError(finding)
            seen.add(str(title))
            array = column(values)
            # pandas stores categories as integers; only its own type says that they are none.
            kind = getattr(getattr(values, "dtype", None), "kind", array.dtype.kind)
            if {kind, array.dtype.kind} - set("biuf") or array.ndim != 1:
                raise DataError(_no_number(values, array, title, name))
            arrays.append(array)
        return np.stack(arrays, axis=1) if arrays else np.empty((self.rows, 0))


def is_frame(values: Any) -> bool:
    """Returns whether `values` is a DataFrame or a table of some library."""
    # The type is asked, because a lazy frame may compute or warn when its columns are read.
    kind = type(values)
    return hasattr(kind, "columns") or hasattr(kind, "column_names")


def read_frame(values: Any) -> Frame:
    """Returns the columns of a DataFrame or a table.

    Raises:
        DataError: If the frame is lazy, or of a library with none of the known interfaces.
    """
    if is_pandas(values):
        columns = (values.iloc[:, number] for number in range(len(values.columns)))
        return Frame(tuple(values.columns), tuple(columns), len(values))
    if hasattr(values, "get_columns"):  # polars
        return Frame(tuple(values.columns), tuple(values.get_columns()), len(values))
    if not hasattr(values, "column_names") and hasattr(values, "__arrow_c_stream__"):
        values = _pyarrow(values).table(values)
    if hasattr(values, "column_names") and hasattr(values, "num_rows"):
        columns = (values.column(number) for number in range(len(values.column_names)))
        return Frame(tuple(values.column_names), tuple(columns), values.num_rows)
    raise DataError(
        Finding(
            "data",
            "a DataFrame of pandas or polars, or an Arrow table, that is in memory",
            f"{type(values).__module__}.{type(values).__name__}",
            "Collect it first, for example with collect() or compute(), or pass NumPy arrays.",
        )
    )


def is_pandas(values: Any) -> bool:
    """Returns whether `values` is a Series or DataFrame with an index, as in pandas."""
    return hasattr(type(values), "iloc") and hasattr(values, "index")


def column(values: Any) -> np.ndarray:
    """Returns one column, or any other array, as a NumPy array; missing numbers are NaN."""
    if is_pandas(values):
        array = values.to_numpy()
        kind = getattr(values.dtype, "kind", "")
        if array.dtype.kind == "O" and kind in "biuf":  # a column with missing numbers
            array = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(array)
    only_arrow = hasattr(values, "__arrow_c_array__") or hasattr(values, "__arrow_c_stream__")
    if only_arrow and not hasattr(values, "__array__"):
        values = _pyarrow(values).chunked_array(values)
    arrow_type: Any = getattr(values, "type", None)
    if hasattr(arrow_type, "index_type") and hasattr(arrow_type, "value_type"):
        # In dictionaries that come in chunks, pyarrow turns a missing value into the last one.
        values = values.cast(arrow_type.value_type)
    return np.asarray(values)


def _pyarrow(values: Any) -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise DataError(
            Finding(
                "data",
                "the package pyarrow, which reads frames of other libraries",
                f"{type(values).__module__}.{type(values).__name__} without it",
                "Install pyarrow, or pass NumPy arrays.",
            )
        ) from error


def _no_number(values: Any, array: np.ndarray, title: Any, name: str) -> Finding:
    """Returns the finding for the first cell of a column that is no number.

    Args:
        values: Column in the type of its library.
        array: Same values as a NumPy array.
        title: Name of the column.
        name: Name of the frame in messages.
    """
    rows = (row for row, value in enumerate(array) if not reads_as_number(value))
    row = next(rows, None)
    place = f", row {row}" if row is not None else ""
    where = f"{name if ' ' in name else f'data, {name}'}{place}, column {shown_value(title)}"
    if row is None:  # numbers in another type, or no rows
        first = f" such as {shown_value(plain_value(array[0]))}" if len(array) else ""
        kind = getattr(values, "dtype", getattr(values, "type", array.dtype))
        got = f"a column of type {kind}{first}"
        return Finding(where, "numbers", got, "Cast the column to float.")
    value = plain_value(array[row])
    remedy = "Drop the column, or turn it into numbers."
    if has_decimal_comma(value):
        remedy = DECIMAL_COMMA
    return Finding(where, "numbers", f"values such as {shown_value(value)}", remedy)
