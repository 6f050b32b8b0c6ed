"""Training rows in memory, from which the steps of a call gather their batches."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kfc.data import Rows
from kfc.system import DiskArray
from kfc.training.engine.row_tensors import row_tensor
from kfc.training.engine.variables import Tensors
from kfc.training.row_order import epoch_order

_ANY_STEP = 2**31 - 1  # the largest int32


class Window(NamedTuple):
    """Rows in memory, and the steps that gather their batches from them.

    Args:
        tensors: Inputs, targets and perhaps sample weights, (window rows, ...) each.
        row_orders: Numbers of these rows in the order of training, (epochs, window rows) or,
            of several orders, (epochs, orders, window rows).
        first_step: First step of an epoch whose rows are in the window.
        end_step: Step after the last one whose rows are in the window.
    """

    tensors: Tensors
    row_orders: tf.Tensor
    first_step: int
    end_step: int


class ResidentRows:
    """All training rows, in memory: one window for all steps.

    Args:
        rows: Training rows.
        num_epochs: Largest number of epochs per call.
        num_orders: Number of orders of an epoch.
    """

    window_rows = None
    """Number of rows that an order must keep together; None if any order will do."""

    def __init__(self, rows: Rows, num_epochs: int, *, num_orders: int = 1) -> None:
        self._tensors = [row_tensor(part) for part in rows.parts]  # (rows, ...) each
        self._num_epochs = num_epochs
        orders = () if num_orders == 1 else (num_orders,)
        self._row_orders = tf.zeros((num_epochs, *orders, len(rows)), tf.int32)

    def set_row_orders(self, row_orders: np.ndarray) -> None:
        """Sets the orders of the next epochs, (epochs, rows) or (epochs, orders, rows)."""
        # Padded to one shape: XLA would compile again for another number of epochs.
        self._row_orders = tf.constant(_padded(row_orders, self._num_epochs))

    def window(self, step: int) -> Window:
        """Returns the window with the rows of a step: all rows."""
        return Window(self._tensors, self._row_orders, 0, _ANY_STEP)


class StreamedRows:
    """Training rows on the disk: one window in memory, the next one being read.

    Args:
        rows: Training rows whose inputs are `DiskArray`.
        batch_size: Number of rows per step; a window holds complete batches.
        num_orders: Number of orders of an epoch.
    """

    def __init__(self, rows: Rows, batch_size: int, *, num_orders: int = 1) -> None:
        if not isinstance(rows.x, DiskArray):
            raise TypeError(f"rows.x: expected DiskArray, got {type(rows.x).__name__}")
        self._rows = rows
        rounded_up = -(-len(rows) // batch_size) * batch_size
        self.window_rows = min(rows.x.chunk_rows(batch_size), rounded_up)
        self._steps_per_window = self.window_rows // batch_size
        self._row_order = epoch_order(
            len(rows), seed=0, epoch=0, shuffle=False, num_orders=num_orders
        )  # (rows,) or (orders, rows)
        self._reader = ThreadPoolExecutor(max_workers=1)
        self._windows: dict[int, Future[Window]] = {}  # by number, this one and the next

    def set_row_orders(self, row_orders: np.ndarray) -> None:
        """Sets the order of the next epoch, of length 1, which keeps windows together."""
        self._row_order = row_orders[0]
        for future in self._windows.values():
            future.cancel()
        self._windows = {0: self._reader.submit(self._read_window, 0)}

    def window(self, step: int) -> Window:
        """Returns the window with the rows of a step, and begins to read the next one."""
        number = step // self._steps_per_window
        self._windows = {
            each: self._windows.get(each) or self._reader.submit(self._read_window, each)
            for each in (number, number + 1)
            if each * self.window_rows < len(self._rows)
        }
        return self._windows[number].result()

    def _read_window(self, number: int) -> Window:
        # The rows of a window are neighbours on the disk, in any order within the epoch.
        first = number * self.window_rows
        order = self._row_order[..., first : first + self.window_rows]
        rows = order.shape[-1]
        first_row = int(order.min())  # every order has the same windows
        # The last window is padded, since XLA would compile again for another length.
        tensors = [
            row_tensor(_padded(part[first_row : first_row + rows], self.window_rows))
            for part in self._rows.parts
        ]  # (window rows, ...) each
        # (1, window rows) or (1, orders, window rows)
        local_order = _padded((order - first_row).T, self.window_rows).T[None]
        first_step = number * self._steps_per_window
        return Window(
            tensors, tf.constant(local_order), first_step, first_step + self._steps_per_window
        )


def _padded(values: np.ndarray, num_rows: int) -> np.ndarray:
    """Returns `values`, (rows, ...), with zeros up to `num_rows`, which nothing reads."""
    missing = num_rows - len(values)
    return np.pad(values, [(0, missing), *[(0, 0)] * (values.ndim - 1)]) if missing else values
