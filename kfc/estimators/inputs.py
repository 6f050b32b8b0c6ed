"""Reads the X of an estimator: a matrix of numbers, or a table of columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from kfc.data.tables import is_table, read_table
from kfc.errors import DataError, Finding

LARGEST_DENSE = 2**31
"""Bytes that a sparse matrix may take once it is dense: 2 GiB."""

_SPARSE = ("csr", "csc", "coo")  # other forms are converted, so that all cells are checked
_DATES = (date, np.datetime64)  # pandas' Timestamp and datetime are dates


@dataclass(frozen=True)
class Inputs:
    """Rows of inputs, as a matrix or as a table.

    Args:
        matrix: Numbers, (rows, features), float32 or float64; None for a table.
        table: Columns by name; None for a matrix.
        names: Names of the columns; empty for a matrix without names.
        numeric: Whether each column of the table is one of numbers.
    """

    matrix: np.ndarray | None
    table: pa.Table | None
    names: tuple[str, ...]
    numeric: bool = False

    def __len__(self) -> int:
        rows: Any = self.table if self.matrix is None else self.matrix
        return len(rows)

    @property
    def has_gaps(self) -> bool:
        """Whether a number of the matrix is missing, which is NaN."""
        return self.matrix is not None and bool(np.isnan(self.matrix).any())

    def take(self, indices: np.ndarray) -> Inputs:
        """Returns the rows at `indices`, in that order."""
        if self.matrix is not None:
            return replace(self, matrix=self.matrix[indices])
        if self.table is None:
            raise TypeError("Inputs: expected a matrix or a table, got neither")
        return replace(self, table=self.table.take(pa.array(indices)))

    def is_empty(self, name: str) -> bool:
        """Returns whether each cell of a table's column is missing."""
        if self.table is None:
            raise TypeError("Inputs: expected a table, got a matrix")
        column = self.table.column(name)
        return bool(column.null_count == len(column))

    def as_table(self) -> Inputs:
        """Returns the same rows as a table, in which NaN is a missing cell."""
        if self.matrix is None:
            return self
        names = self.names or tuple(f"x{number}" for number in range(self.matrix.shape[1]))
        columns = [pa.array(column, from_pandas=True) for column in self.matrix.T]
        return Inputs(None, pa.table(columns, names=list(names)), names, numeric=True)


def read_x(estimator: BaseEstimator, x: Any, *, reset: bool) -> Inputs:
    """Reads rows of inputs, and records or checks the number and the names of the features.

    A frame whose columns are all complete numbers is a matrix, and any other frame a table. An
    array or nested lists that hold text or dates are a table too.

    Args:
        estimator: Estimator that gets `n_features_in_` and `feature_names_in_`.
        x: Array, sparse matrix, nested lists, or a frame of pandas, polars or Arrow.
        reset: Whether the features are recorded; otherwise they are compared.

    Raises:
        DataError: If a frame cannot be read, rows are dicts, or a sparse matrix is too large.
        ValueError: If scikit-learn refuses the rows, such as an array of one dimension.
        TypeError: If a cell is neither a number nor text.
    """
    if not sp.issparse(x) and not isinstance(x, (list, tuple, dict)) and is_table(x):
        return _read_frame(estimator, x, reset=reset)
    if sp.issparse(x):
        _check_size(x)
    else:
        _check_form(x)
    checks: dict[str, Any] = {"accept_sparse": _SPARSE, "ensure_all_finite": "allow-nan"}
    try:
        checked = validate_data(estimator, x, reset=reset, dtype="numeric", **checks)
    except (ValueError, TypeError):
        if not _holds_columns(x):
            raise
        return _read_cells(estimator, x, reset=reset)
    matrix = checked.toarray() if sp.issparse(checked) else checked
    if matrix.dtype not in (np.float32, np.float64):
        matrix = matrix.astype(np.float64)
    return Inputs(matrix, None, _names(estimator))


def _names(estimator: BaseEstimator) -> tuple[str, ...]:
    return tuple(map(str, getattr(estimator, "feature_names_in_", ())))


def _read_frame(estimator: BaseEstimator, frame: Any, *, reset: bool) -> Inputs:
    if hasattr(frame, "iloc"):  # pandas, whose names may be numbers
        validate_data(estimator, frame, reset=reset, skip_check_array=True)
        raw = read_table(frame, "X")
    else:  # scikit-learn 1.6 finds the names of Arrow's frames, but not of polars 2
        raw = read_table(frame, "X")
        validate_data(estimator, raw.columns, reset=reset, skip_check_array=True)
    names, columns = tuple(raw.columns.column_names), raw.columns.columns
    if all(map(_is_plain, columns)):
        arrays = [np.asarray(column) for column in columns]
        matrix = np.column_stack([array.astype(np.float64) for array in arrays])
        if not np.isfinite(matrix).all():
            check_array(
                matrix, ensure_all_finite="allow-nan", estimator=estimator, input_name="X"
            )
        return Inputs(matrix, None, names)
    return Inputs(None, raw.columns, names)


def _is_plain(values: pa.ChunkedArray) -> bool:
    """Returns whether a column holds complete numbers."""
    kind = values.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return (numeric or pa.types.is_boolean(kind)) and not values.null_count


def _check_form(x: Any) -> None:
    """Refuses rows of which scikit-learn would only say that they are no array.

    Raises:
        DataError: If they are a lazy frame, a dict, or a list of dicts.
    """
    if hasattr(type(x), "columns"):
        read_table(x, "X")  # refuses a lazy frame, with the remedy
    of_dicts = isinstance(x, (list, tuple)) and len(x) and isinstance(x[0], Mapping)
    if isinstance(x, Mapping) or of_dicts:
        got = "a list of dicts" if of_dicts else f"a {type(x).__name__}"
        raise DataError(Finding("X", "an array or a frame", got, "Pass pandas.DataFrame(X)."))


def _holds_columns(x: Any) -> bool:
    """Returns whether an array, or nested lists, hold text that is no number, or dates."""
    array = np.asarray(x, dtype=object)
    return array.ndim == 2 and any(isinstance(cell, (str, *_DATES)) for cell in array.flat)


def _read_cells(estimator: BaseEstimator, x: Any, *, reset: bool) -> Inputs:
    """Reads cells of any type as a table, whose columns are of the type of all their cells."""
    checks: dict[str, Any] = {"dtype": None, "ensure_all_finite": False}
    cells = validate_data(estimator, np.asarray(x, dtype=object), reset=reset, **checks)
    names = _names(estimator) or tuple(f"x{number}" for number in range(cells.shape[1]))
    frame = dict(zip(names, (_column(column) for column in cells.T), strict=True))
    return Inputs(None, read_table(frame, "X").columns, names)


def _column(cells: np.ndarray) -> list[Any]:
    """Returns the cells of a column: all numbers, booleans, dates or text, or missing."""
    missing = missing_cells(cells)
    present = cells[~missing]
    if all(isinstance(cell, (bool, np.bool_, *_DATES)) for cell in present):
        return [None if gap else cell for cell, gap in zip(cells, missing, strict=True)]
    try:
        return [None if gap else float(cell) for cell, gap in zip(cells, missing, strict=True)]
    except ValueError:
        return [None if gap else str(cell) for cell, gap in zip(cells, missing, strict=True)]


def missing_cells(cells: np.ndarray) -> np.ndarray:
    """Returns whether each cell of an array of objects is None, NaN, or pandas' NA or NaT."""
    return np.array([cell is None or not _equals_itself(cell) for cell in cells], bool)


def _equals_itself(cell: Any) -> bool:
    # pandas' NA has no truth value.
    return type(cell).__name__ != "NAType" and bool(np.all(cell == cell))


def _check_size(x: Any) -> None:
    size = x.shape[0] * x.shape[1] * 8 if len(x.shape) == 2 else 0
    if size <= LARGEST_DENSE:
        return
    raise DataError(
        Finding(
            "X",
            f"a sparse matrix that takes at most {LARGEST_DENSE:,} bytes as a dense one",
            f"{x.shape[0]:,} x {x.shape[1]:,}, {size:,} bytes",
            "Reduce its columns, for example with sklearn.decomposition.TruncatedSVD.",
            evidence={"bytes": size},
        )
    )
