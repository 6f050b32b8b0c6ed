"""Arrays of rows whose memory TensorFlow can use as it is, without a copy of its own."""

from __future__ import annotations

import numpy as np

_BYTES = 64
"""TensorFlow's kernels end the process for a tensor whose memory begins elsewhere."""


_KINDS = "fiu"
"""Kinds of the types that NumPy and TensorFlow share: float, signed and unsigned integer."""


class _Buffer(np.ndarray):
    """Memory that only its maker has written, and that nobody writes again."""


def take_aligned(array: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Returns `array[indices]` in memory that `can_be_shared`.

    Args:
        array: Array, (rows, ...).
        indices: Row numbers, (taken,), each at least 0; or booleans, (rows,).
    """
    if array.dtype.kind not in _KINDS:
        return array[indices]
    if indices.dtype == bool:
        indices = np.flatnonzero(indices)
    shape = (len(indices), *array.shape[1:])
    size = int(np.prod(shape)) * array.dtype.itemsize
    taken = aligned_bytes(size).view(array.dtype).reshape(shape)
    if len(indices) and (indices.min() < 0 or indices.max() >= len(array)):
        raise IndexError(f"rows {indices.min()} to {indices.max()} of {len(array)}")
    # With "raise", which the line above stands for, NumPy would take into a copy first.
    np.take(array, indices, axis=0, out=taken, mode="clip")
    return taken


def aligned_bytes(size: int) -> np.ndarray:
    """Returns new bytes, uint8, in memory that `can_be_shared`.

    The caller may write to them until they are shared.

    Args:
        size: Number of bytes.
    """
    buffer = np.empty(size + _BYTES, np.uint8).view(_Buffer)
    begin = -buffer.ctypes.data % _BYTES
    return buffer[begin : begin + size].view(np.ndarray)


def can_be_shared(array: np.ndarray) -> bool:
    """Returns whether TensorFlow may read the memory of an array instead of a copy.

    Args:
        array: Any array; only a whole one of this module, or its first rows, can be.
    """
    base: object = array
    while isinstance(base, np.ndarray) and not isinstance(base, _Buffer):
        base = base.base
    ours = isinstance(base, _Buffer) and array.size > 0
    ours = ours and array.dtype.kind in _KINDS and array.dtype.isnative
    return bool(ours and array.flags.c_contiguous and array.ctypes.data % _BYTES == 0)
