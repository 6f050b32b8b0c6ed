"""Rows in memory as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from kfc.system import can_be_shared


def row_tensor(array: Any) -> tf.Tensor:
    """Returns an array as a tensor, which uses its memory where that is possible.

    Rows that kfc has taken from a source are in memory once: NumPy and TensorFlow read the
    same bytes. Other arrays are copied, such as those of a caller, who may write to them; and
    where TensorFlow sees a GPU, rows are copied to it.

    Args:
        array: Array, (rows, ...).
    """
    plain = isinstance(array, np.ndarray) and can_be_shared(array)
    if not plain or sees_gpu():
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def sees_gpu() -> bool:
    """Returns whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))
