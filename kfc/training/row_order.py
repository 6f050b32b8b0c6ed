"""(seed, epoch) -> the order in which an epoch visits its rows."""

from __future__ import annotations

import numpy as np


def epoch_order(
    num_rows: int, *, seed: int, epoch: int, shuffle: bool, window: int | None = None
) -> np.ndarray:
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
        window: Rows that lie together where not all do, which is where they are streamed
            from the disk. Windows come in a new order in each epoch, the shorter last one
            always last, and the rows of a window in a new order within it.

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
    # The windows in a new order, and behind them what is left over.
    firsts = [*generator.permutation(whole) * window, *range(whole * window, num_rows, window)]
    for place, first in enumerate(firsts):
        rows = min(window, num_rows - first)
        order[place * window :][:rows] = first + generator.permutation(rows)
    return order
