"""Training rows -> the tensors that a block of steps gathers its batches from."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kfc.data import Rows
from kfc.system import DiskArray


class Window(NamedTuple):
    """Rows in memory, and which steps gather from them.

    Args:
        tensors: Inputs, targets and perhaps weights, (rows, ...).
        orders: Numbers of these rows in the order of training, (epochs, rows).
        first: The first step of an epoch that finds its rows here.
        last: The step behind the last one.
    """

    tensors: list[Any]
    orders: Any
    first: int
    last: int


class Resident:
    """All rows, in memory.

    Args:
        rows: Training rows.
        epochs: The most epochs whose orders are given at once.
    """

    window_rows = None
    """Rows that an order must keep together; None where any order will do."""

    def __init__(self, rows: Rows, epochs: int) -> None:
        self._tensors = [tf.constant(part) for part in rows.parts]
        self._shape = epochs, len(rows)
        self._orders = tf.zeros(self._shape, tf.int32)

    def begin(self, orders: np.ndarray) -> None:
        """Sets the orders of the coming epochs, (epochs, rows)."""
        missing = self._shape[0] - len(orders)
        self._orders = tf.constant(np.pad(orders, [(0, missing), (0, 0)]))

    def window(self, step: int) -> Window:
        """Returns where `step` finds its rows."""
        return Window(self._tensors, self._orders, 0, 2**31 - 1)


class Streamed:
    """Rows on the disk, of which a window is in memory, and the next one on its way.

    Args:
        rows: Training rows whose inputs are `DiskArray`.
        batch_size: Rows per step; windows hold whole batches.
    """

    def __init__(self, rows: Rows, batch_size: int) -> None:
        if not isinstance(rows.x, DiskArray):
            raise TypeError(f"rows.x: expected DiskArray, got {type(rows.x).__name__}")
        self._rows = rows
        needed = -(-len(rows) // batch_size) * batch_size
        self.window_rows = min(rows.x.chunk_rows(batch_size), needed)
        self._steps = self.window_rows // batch_size
        self._order = np.arange(len(rows), dtype=np.int32)
        self._reader = ThreadPoolExecutor(max_workers=1)
        self._read: dict[int, Future[Window]] = {}

    def begin(self, orders: np.ndarray) -> None:
        """Sets the order of the coming epoch, (1, rows), which keeps windows together."""
        self._order = orders[0]
        for future in self._read.values():
            future.cancel()
        self._read = {0: self._reader.submit(self._window, 0)}

    def window(self, step: int) -> Window:
        """Returns where `step` finds its rows; meanwhile the next window is read."""
        place = step // self._steps
        wanted = {place: self._read.get(place), place + 1: self._read.get(place + 1)}
        self._read = {
            number: future or self._reader.submit(self._window, number)
            for number, future in wanted.items()
            if number * self.window_rows < len(self._rows)
        }
        return self._read[place].result()

    def _window(self, place: int) -> Window:
        order = self._order[place * self.window_rows :][: self.window_rows]
        first = int(order.min())
        tensors = [
            tf.constant(_padded(part[first : first + len(order)], self.window_rows))
            for part in self._rows.parts
        ]
        local = _padded(order - first, self.window_rows)[None]
        begin = place * self._steps
        return Window(tensors, tf.constant(local), begin, begin + self._steps)


def _padded(values: np.ndarray, rows: int) -> np.ndarray:
    """Returns `values` with rows of zeros behind them, which no order ever names."""
    missing = rows - len(values)
    return np.pad(values, [(0, missing), *[(0, 0)] * (values.ndim - 1)]) if missing else values
