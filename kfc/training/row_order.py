"""Permutes the rows of each epoch, as a function of the seed and the epoch alone."""

from __future__ import annotations

import numpy as np


def epoch_order(
    num_rows: int, *, seed: int, epoch: int, shuffle: bool, window: int | None = None
) -> np.ndarray:
    """Returns the row numbers of one epoch in the order of training.

    The order has no state: it depends on `seed` and `epoch` alone, so it is the same in
    every path and after every resume, and new in each epoch. Keras's `fit(shuffle=True)` on
    arrays repeats one permutation in every epoch once the seed is set.

    The generator is Philox: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
    easy as 1, 2, 3", 2011, https://doi.org/10.1145/2063384.2063405.

    Args:
        num_rows: Number of training rows.
        seed: Seed of the spec, at least 0.
        epoch: Index of the epoch, from 0.
        shuffle: Whether to permute the rows; otherwise they keep their order.
        window: Number of rows that stay together if rows are streamed from the disk; None
            for rows in memory. Each epoch visits the windows in a new order, the shorter
            last one always last, and the rows of a window in a new order.

    Returns:
        Row numbers, (num_rows,), int32.
    """
    if not shuffle:
        return np.arange(num_rows, dtype=np.int32)
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    if window is None or window >= num_rows:
        return generator.permutation(num_rows).astype(np.int32)
    whole = num_rows // window
    order = np.empty(num_rows, np.int32)
    # The complete windows in a new order, then the shorter last one.
    firsts = [*generator.permutation(whole) * window, *range(whole * window, num_rows, window)]
    for place, first in enumerate(firsts):
        rows = min(window, num_rows - first)
        order[place * window :][:rows] = first + generator.permutation(rows)
    return order
