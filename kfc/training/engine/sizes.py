"""Numbers from which the memory of a training is predicted, without TensorFlow."""

from __future__ import annotations

EVALUATION_BATCH = 1024
"""Rows per evaluation step if the loss is a mean over rows; fixed, so that an evaluation
repeats to the same bits."""

COMPILER_BYTES = 300e6
"""Memory of TensorFlow's tracing and compiling, measured."""

_FLOAT32_BYTES = 4


def training_bytes(*, weights: int, units: int, slots: int = 0) -> int:
    """Returns the bytes of weights, of the units of a batch, and of their gradients.

        4 bytes * (8 * weights + 3 * units + 2 * slots)

    A weight has a gradient and two numbers of the optimizer, all of them twice (a compiled
    loop or a checkpoint copies them); a unit of a batch has a value, an activation and a
    gradient.

    Args:
        weights: Number of weights.
        units: Number of units of all layers, inputs included, times the rows of a batch.
        slots: Length of the one-hot rows of embeddings, times the rows of a batch.
    """
    return _FLOAT32_BYTES * (8 * weights + 3 * units + 2 * slots)
