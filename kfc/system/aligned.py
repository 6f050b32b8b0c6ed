"""Arrays of rows whose memory TensorFlow can use as it is, without a copy of its own."""

from __future__ import annotations

import numpy as np

_BYTES = 64
"""TensorFlow's kernels end the process for a tensor whose memory begins elsewhere."""


class _Buffer(np.ndarray):
    """Memory that only its maker has written, and that nobody writes again."""


def take_aligned(array: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Returns `array[indices]` in memory that `can_be_shared`.

    Args:
        array: Array, (rows, ...).
        indices: Row numbers, (taken,), each at least 0; or booleans, (rows,).
    """
    if array.dtype.kind not in "fiu":
        return array[indices]
    if indices.dtype == bool:
        indices = np.flatnonzero(indices)
    shape = (len(indices), *array.shape[1:])
    size = int(np.prod(shape)) * array.dtype.itemsize
    buffer = np.empty(size + _BYTES, np.uint8).view(_Buffer)
    begin = -buffer.ctypes.data % _BYTES
    taken = buffer[begin : begin + size].view(np.ndarray).view(array.dtype).reshape(shape)
    if len(indices) and (indices.min() < 0 or indices.max() >= len(array)):
        raise IndexError(f"rows {indices.min()} to {indices.max()} of {len(array)}")
    # With "raise", which the line above stands for, NumPy would take into a copy first.
    np.take(array, indices, axis=0, out=taken, mode="clip")
    return taken


def can_be_shared(array: np.ndarray) -> bool:
    """Returns whether TensorFlow may read the memory of an array instead of a copy.

    Args:
        array: Any array; only a whole one of `take_aligned`, or its first rows, can be.
    """
    base: object = array
    while isinstance(base, np.ndarray) and not isinstance(base, _Buffer):
        base = base.base
    ours = isinstance(base, _Buffer) and array.size > 0
    return bool(ours and array.flags.c_contiguous and array.ctypes.data % _BYTES == 0)
