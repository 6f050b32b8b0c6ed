"""Finds columns whose differences float32 rounds away.

Networks train in float32, whose 24 binary digits distinguish 1.7e9 from 1.7e9 + 128, but not
from 1.7e9 + 60. A column of seconds since 1970 that were measured within a minute becomes one
value before any scaling can centre it.
"""

from __future__ import annotations

import math

import numpy as np

from kfc.data.bad_cells import column_place
from kfc.data.rows import Rows
from kfc.errors import Finding
from kfc.system import DiskArray

_LARGEST_EXACT = 1 << 24  # every integer up to here is a float32
_TINY = float(np.finfo(np.float32).tiny)
_INPUT_STEPS = 1000
"""Float32 values per standard deviation below which a column is refused.

Rounding to steps of width w adds an error with the standard deviation w / sqrt(12). With a
thousand steps per standard deviation it is 0.03 % of that, less than data are measured to.
Years from 1990 to 2020 have 70,000 steps, degrees of latitude within a kilometre 790,
and seconds since 1970 within a day 195.
"""
_TARGET_STEPS = 100
"""Float32 values per standard deviation below which regression targets are refused. A rounding
error of 0.3 % of it is far below the noise of any target and changes no four digits of R2."""
_CONSTANT = 1e-14
"""Floats whose range is below this share of their size are one value with rounding errors."""
_BLOCK = 1 << 20  # values that are compared in one call, to bound the memory


def input_precision(rows: Rows, where: str, *, regression: bool) -> Finding | None:
    """Finds training inputs whose differences float32 rounds away."""
    if rows.is_table:  # its numbers are centred in float64
        return None
    return precision_loss(rows.x, where, "x", rows.feature_names)


def target_precision(rows: Rows, where: str, *, regression: bool) -> Finding | None:
    """Finds targets of a regression whose differences float32 rounds away."""
    if not regression:
        return None
    return precision_loss(rows.y, f"{where}, targets", "y", steps=_TARGET_STEPS)


def precision_loss(
    values: np.ndarray | DiskArray,
    where: str,
    name: str,
    feature_names: tuple[str, ...] = (),
    steps: int = _INPUT_STEPS,
) -> Finding | None:
    """Returns the finding for the first column that float32 rounds too coarsely.

    A column is refused where the error of its cast to float32 has a root mean square above
    `1 / (steps * sqrt(12))` of its standard deviation.

    Args:
        values: Checked numbers, (rows, ...), before they are cast.
        where: Name of the rows in messages.
        name: Name of the values in the code of a remedy, such as `x`.
        feature_names: Names of the columns, where they are known.
        steps: Float32 values per standard deviation that a column must have.
    """
    # Rows on the disk are refused later where their type needs a cast.
    if isinstance(values, DiskArray) or values.dtype.kind not in "iuf" or len(values) < 2:
        return None
    if np.can_cast(values.dtype, np.float32):
        return None
    most_error = 1 / (steps * math.sqrt(12))
    flat = values.reshape(len(values), -1)  # (rows, columns)
    candidates = _candidates(flat, most_error)
    error, deviation = _moments(flat[:, candidates])
    lost = candidates[error > most_error * deviation]
    if not lost.size:
        return None
    column, place = flat[:, lost[0]], where
    if values.ndim > 1:
        cell = np.unravel_index(lost[0], values.shape[1:])
        place += f", {column_place(cell, feature_names)}"
    before, after = (len(np.unique(each)) for each in (column, _cast(column)))
    others = f" (and {lost.size - 1:,} more columns like it)" if lost.size > 1 else ""
    remedy = f"Subtract the mean first, in float64: {name} - {name}.mean(axis=0)."
    if np.abs(column).max() < _TINY:
        remedy = f"Scale them first, in float64: {name} / {name}.std(axis=0)."
    return Finding(
        place,
        "numbers that float32, in which networks train, keeps apart",
        f"{before:,} distinct values from {column.min()} to {column.max()}, of which float32 "
        f"keeps {after:,}{others}",
        remedy,
        evidence={"distinct": before, "distinct_float32": after, "columns": int(lost.size)},
    )


def _candidates(values: np.ndarray, most_error: float) -> np.ndarray:
    """Returns the numbers of the columns that float32 may round too coarsely.

    Only the smallest and the largest value of a column are looked at, which is fast; the
    columns that remain are measured by `_moments`.

    Args:
        values: (rows, columns), finite and within the range of float32.
        most_error: Largest error, as a share of the standard deviation.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    spread = _above(high, low)
    size = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
    if values.dtype.kind == "f":
        spread[spread <= _CONSTANT * size] = 0
    elif (size <= _LARGEST_EXACT).all():
        return np.empty(0, int)
    # Rounding changes a value by at most half a unit of the last of 24 digits, and values with
    # the range `spread` have a variance of at least spread ** 2 / (2 * rows).
    error = np.maximum(size * 2.0**-24, _TINY)
    least_deviation = spread / math.sqrt(2 * len(values))
    return np.flatnonzero((spread > 0) & (error > most_error * least_deviation))


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the RMS error of the cast to float32 and the standard deviation of each column.

    Args:
        values: (rows, columns), as for `_candidates`.
    """
    if not values.shape[1]:
        return np.empty(0), np.empty(0)
    rows, low = max(1, _BLOCK // values.shape[1]), values.min(axis=0)
    squares, sums, errors = np.zeros((3, values.shape[1]))
    for first in range(0, len(values), rows):
        part = values[first : first + rows]
        above = _above(part, low)
        sums += above.sum(axis=0)
        squares += np.square(above).sum(axis=0)
        errors += np.square(_errors(part)).sum(axis=0)
    variance = squares / len(values) - np.square(sums / len(values))
    return np.sqrt(errors / len(values)), np.sqrt(np.maximum(variance, 0))


def _cast(values: np.ndarray) -> np.ndarray:
    """Returns values as float32; subnormal numbers are 0, as TensorFlow computes with them."""
    cast = values.astype(np.float32)
    cast[np.abs(cast) < _TINY] = 0
    return cast


def _errors(values: np.ndarray) -> np.ndarray:
    """Returns the changes of values by the cast to float32, as float64."""
    cast = _cast(values).astype(np.float64)
    if values.dtype.kind == "f":
        return (cast - values).astype(np.float64)
    # float64 does not hold all integers of 64 bits, so they are compared as integers.
    largest = np.nextafter(float(np.iinfo(values.dtype).max) + 1, 0)
    whole = np.minimum(cast, largest).astype(values.dtype)
    return (whole.astype(np.uint64) - values.astype(np.uint64)).view(np.int64).astype(float)


def _above(values: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Returns the distances of values from the smallest one of their column, as float64."""
    if values.dtype.kind == "f":
        return (values - low).astype(np.float64)
    # Exact for all integers of 64 bits: a wrap-around in one term cancels that in the other.
    return (values.astype(np.uint64) - low.astype(np.uint64)).astype(np.float64)
