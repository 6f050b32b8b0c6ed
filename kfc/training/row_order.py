"""Permutes the rows of each epoch, as a function of the seed and the epoch alone."""

from __future__ import annotations

import numpy as np


def epoch_order(
    num_rows: int,
    *,
    seed: int,
    epoch: int,
    shuffle: bool,
    window: int | None = None,
    num_orders: int = 1,
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
        num_orders: Number of orders; the members of a network may have one each. Their
            windows are the same.

    Returns:
        Row numbers, (num_rows,) or, of several orders, (num_orders, num_rows), int32.
    """
    orders = np.empty((num_orders, num_rows), np.int32)
    if shuffle:
        generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        window = max(min(window or num_rows, num_rows), 1)
        # The complete windows in a new order, then the shorter last one.
        whole = num_rows // window
        firsts = [*range(0, num_rows, window)]
        if whole > 1:
            firsts[:whole] = generator.permutation(whole) * window
        for place, first in enumerate(firsts):
            rows = min(window, num_rows - first)
            for order in orders:
                order[place * window :][:rows] = first + generator.permutation(rows)
    else:
        orders[:] = np.arange(num_rows)
    return orders[0] if num_orders == 1 else orders


def rows_of_step(order: np.ndarray, step: int, batch_size: int) -> np.ndarray:
    """Returns the row numbers of one step of an epoch.

    Args:
        order: Order of the rows as `epoch_order` returns it.
        step: Number of the step in its epoch, from 0.
        batch_size: Number of rows per step; the last step may have fewer.

    Returns:
        Row numbers, (batch,) or, of several orders, (num_orders * batch,): those of the first
        order first.
    """
    return order[..., step * batch_size : (step + 1) * batch_size].reshape(-1)
