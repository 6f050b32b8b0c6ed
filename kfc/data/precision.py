"""This module finds columns whose differences float32 rounds away, and values it overflows.

Networks train in float32, whose 24 binary digits tell 1.7e9 from 1.7e9 + 64, but not from
1.7e9 + 60. A column of seconds since 1970 that were measured within a minute becomes one
value before any scaling can centre it.
"""

from __future__ import annotations

import math

import numpy as np

from kfc.data.cells import column_of, first_cell
from kfc.errors import DataError, Finding
from kfc.preprocessing import NumericScaling
from kfc.system import Mapped, chunks

_LARGEST_EXACT = 1 << 24  # every integer up to here is a float32
_TINY = float(np.finfo(np.float32).tiny)
_STEPS = 1000
"""Float32 values per standard deviation below which a column is refused.

Rounding to steps of width w adds an error with the standard deviation w / sqrt(12). With a
thousand steps per standard deviation it is 0.03 % of that, less than data are measured to.
Years from 1990 to 2020 have 70,000 steps, degrees of latitude within a kilometre 790,
and seconds since 1970 within a day 195.
"""
TARGET_STEPS = 100
"""The same for the targets of a regression: a rounding error of 0.3 % of their standard
deviation is far below the noise of any target, and R2 is not changed in four digits."""
_CONSTANT = 1e-14
"""Floats whose range is below this part of their size are one value with rounding errors."""
_BLOCK = 1 << 20  # values that are compared at once


def check_precision(
    values: np.ndarray | Mapped,
    where: str,
    name: str,
    feature_names: tuple[str, ...] = (),
    steps: int = _STEPS,
) -> None:
    """Refuses columns whose differences are lost where they become float32.

    The arguments are those of `swallowed`.

    Raises:
        DataError: With the finding that `swallowed` finds.
    """
    if finding := swallowed(values, where, name, feature_names, steps):
        raise DataError(finding)


def swallowed(
    values: np.ndarray | Mapped,
    where: str,
    name: str,
    feature_names: tuple[str, ...] = (),
    steps: int = _STEPS,
) -> Finding | None:
    """Returns the finding of the first column whose rounding errors are not small.

    They are those of the cast to float32, and are compared with the standard deviation.

    Args:
        values: Checked numbers, (rows, ...), before they are cast.
        where: What to call the rows.
        name: What to call the values in code, such as `x`.
        feature_names: Names of the columns, where they are known.
        steps: Float32 values per standard deviation that a column must have.
    """
    most_error = 1 / (steps * math.sqrt(12))
    # Rows that stay on the disk are of a type that is not cast, and float32 holds all values
    # of these types.
    if isinstance(values, Mapped) or values.dtype.kind not in "iuf" or len(values) < 2:
        return None
    if np.can_cast(values.dtype, np.float32):
        return None
    flat = values.reshape(len(values), -1)  # (rows, columns)
    candidates = _candidates(flat, most_error)
    error, deviation = _moments(flat[:, candidates])
    lost = candidates[error > most_error * deviation]
    if not lost.size:
        return None
    column, place = flat[:, lost[0]], where
    if values.ndim > 1:
        place += f", {column_of(np.unravel_index(lost[0], values.shape[1:]), feature_names)}"
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
    )


def check_scaled_finite(
    scaling: NumericScaling,
    x: np.ndarray | Mapped,
    where: str,
    feature_names: tuple[str, ...] = (),
) -> None:
    """Refuses inputs that are finite, but no longer once they are scaled.

    Args:
        scaling: What was learned from the training rows.
        x: Checked inputs, (rows, ...).
        where: What to call the rows.
        feature_names: Names of the columns, where they are known.

    Raises:
        DataError: With the first cell that is scaled to infinity.
    """
    kind = np.iinfo(x.dtype) if x.dtype.kind in "iu" else np.finfo(np.float32)
    if _stays_finite(scaling, np.array([kind.min, kind.max])):
        return  # whatever the rows hold
    for first_row, part in chunks(x):
        # Scaling keeps the order of a column, so that its ends tell of all its values.
        if _stays_finite(scaling, np.stack([part.min(axis=0), part.max(axis=0)])):
            continue
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(scaling.apply(part)).reshape(part.shape)
        wanted = "inputs that stay finite when they are scaled as the training rows were"
        finding = first_cell(
            part, bad, where, wanted, first_row=first_row, feature_names=feature_names
        )
        if finding:
            raise DataError(finding)


def _stays_finite(scaling: NumericScaling, x: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(scaling.apply(x)).all())


def _candidates(values: np.ndarray, most_error: float) -> np.ndarray:
    """Returns the numbers of the columns that float32 may swallow, by their ends alone.

    Args:
        values: (rows, columns), finite and within the range of float32.
        most_error: Share of the standard deviation that the error may be.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    spread = _above(high, low)
    size = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
    if values.dtype.kind == "f":
        spread[spread <= _CONSTANT * size] = 0
    elif (size <= _LARGEST_EXACT).all():
        return np.empty(0, int)
    # No rounding is by more than half a unit of the last of 24 digits, and values whose ends
    # lie `spread` apart have a variance of at least spread ** 2 / (2 * rows).
    error = np.maximum(size * 2.0**-24, _TINY)
    least_deviation = spread / math.sqrt(2 * len(values))
    return np.flatnonzero((spread > 0) & (error > most_error * least_deviation))


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the RMS error of the cast to float32, and the standard deviation, by column.

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
    """Returns values as float32, as TensorFlow computes with them: the tiniest are 0."""
    cast = values.astype(np.float32)
    cast[np.abs(cast) < _TINY] = 0
    return cast


def _errors(values: np.ndarray) -> np.ndarray:
    """Returns by how much the cast to float32 changes values, as float64."""
    cast = _cast(values).astype(np.float64)
    if values.dtype.kind == "f":
        return (cast - values).astype(np.float64)
    # float64 does not hold all integers of 64 bits, so that they are compared as integers.
    largest = np.nextafter(float(np.iinfo(values.dtype).max) + 1, 0)
    whole = np.minimum(cast, largest).astype(values.dtype)
    return (whole.astype(np.uint64) - values.astype(np.uint64)).view(np.int64).astype(float)


def _above(values: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Returns how far values lie above the smallest of their column, as float64."""
    if values.dtype.kind == "f":
        return (values - low).astype(np.float64)
    # Exact for all integers of 64 bits: what wraps around in one term does in the other.
    return (values.astype(np.uint64) - low.astype(np.uint64)).astype(np.float64)
