"""Statistics of features, computed from training rows in memory or on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from kfc.preprocessing.counted_columns import CountedColumns
from kfc.system import CHUNK_BYTES, DiskArray, chunks, memory

_MEMORY_SHARE = 16
"""Part of the memory that sorts columns of rows which are on the disk."""


def flattened(x: np.ndarray) -> np.ndarray:
    """Returns rows, (rows, ...), as a matrix, (rows, features)."""
    return x.reshape(len(x), -1)


def ranges(x: np.ndarray | DiskArray | CountedColumns) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smallest and the largest value of each feature, (features,), float64."""
    if isinstance(x, CountedColumns):
        return x.ranges()
    lows, highs = zip(
        *((flattened(part).min(axis=0), flattened(part).max(axis=0)) for _, part in chunks(x)),
        strict=True,
    )
    return np.min(lows, axis=0).astype(np.float64), np.max(highs, axis=0).astype(np.float64)


def moments(x: np.ndarray | DiskArray | CountedColumns) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of each feature, (features,), float64."""
    if isinstance(x, CountedColumns):
        return x.moments()
    if not isinstance(x, DiskArray):
        flat = flattened(x)
        return flat.mean(axis=0, dtype=np.float64), flat.std(axis=0, dtype=np.float64)
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for _, part in chunks(x):
        scaler.partial_fit(flattened(part).astype(np.float64))
    return scaler.mean_, np.sqrt(scaler.var_)


def quartiles(
    x: np.ndarray | CountedColumns,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns first quartile, median and third quartile of each feature, float64."""
    if isinstance(x, CountedColumns):
        return x.quartiles()
    flat = flattened(x).astype(np.float64)
    low, middle, high = np.quantile(flat, (0.25, 0.5, 0.75), axis=0)
    return low, middle, high


def sorted_columns(x: np.ndarray | DiskArray) -> Iterator[np.ndarray]:
    """Yields the sorted values of each feature, (rows,), in the order of the features.

    Rows on the disk are read once for as many features as fit into a part of the memory.

    Args:
        x: Rows, (rows, ...), without NaN.
    """
    features = int(np.prod(x.shape[1:]))
    room = CHUNK_BYTES
    if isinstance(x, DiskArray):
        room = max(room, memory.limit_bytes() // _MEMORY_SHARE)
    at_once = max(1, room // (len(x) * x.dtype.itemsize))
    for first in range(0, features, at_once):
        last = min(first + at_once, features)
        columns = np.empty((last - first, len(x)), x.dtype)
        for row, part in chunks(x):
            columns[:, row : row + len(part)] = flattened(part)[:, first:last].T
        columns.sort(axis=1)
        yield from columns


def root_mean_square(
    scale: Callable[[np.ndarray], np.ndarray], x: np.ndarray | DiskArray
) -> float:
    """Returns the root mean square of scaled rows, from a sample of at most 4,000.

    Args:
        scale: Function from rows to scaled rows.
        x: Rows.
    """
    sample = x[:: max(1, len(x) // 2000)]
    return float(np.sqrt(np.mean(np.square(scale(sample).astype(np.float64)))))


def nonzero(width: np.ndarray, size: np.ndarray, constant: float) -> np.ndarray:
    """Returns the widths of features as divisors, with `constant` for constant features.

    Args:
        width: Standard deviation, or another distance of values, (features,) or ().
        size: Absolute size of the feature's values, of the same shape.
        constant: Divisor of a feature whose values are all equal.
    """
    # The mean of equal float32 values has a rounding error, so that their standard deviation
    # is not exactly 0; and a divisor must be at least the smallest normal float32.
    return np.where(
        width > np.maximum(1e-12 * size, np.finfo(np.float32).tiny), width, constant
    )
