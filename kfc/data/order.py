"""(seed, epoch) -> the order in which an epoch visits its rows."""

from __future__ import annotations

import numpy as np


def epoch_order(num_rows: int, *, seed: int, epoch: int, shuffle: bool) -> np.ndarray:
    """Returns the row numbers of one epoch in the order of training.

    Stateless: an epoch's order depends on nothing but `seed` and `epoch`, so it is the
    same in every path and after every resume, and new in each epoch. Keras's
    `fit(shuffle=True)` on arrays repeats one permutation in every epoch once the seed is
    set.

    The generator is Philox: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
    easy as 1, 2, 3", 2011, https://doi.org/10.1145/2063384.2063405.

    Args:
        num_rows: Number of training rows.
        seed: The spec's seed, of at least 0.
        epoch: Counted from 0.
        shuffle: Whether to permute; else rows come as they are.

    Returns:
        Row numbers, (num_rows,), int32.
    """
    if not shuffle:
        return np.arange(num_rows, dtype=np.int32)
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return generator.permutation(num_rows).astype(np.int32)
