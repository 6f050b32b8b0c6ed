"""Rows kept in memory -> many training steps in one graph call."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kfc.data import Rows
from kfc.training.step import TapeModel

EVALUATION_BATCH = 1024
"""Rows per evaluation step; fixed, so that an evaluation repeats to the same bits."""


class Block(NamedTuple):
    """What a block of steps reports.

    Args:
        logs: Means over the epoch so far, and `batch_loss` of the last step.
        first_bad_step: The first step of the epoch whose loss was not finite, or -1.
    """

    logs: dict[str, float]
    first_bad_step: int


class Engine:
    """Runs `TapeModel.train_step` over resident rows, a block of steps per call.

    The rows lie in memory once, in their stored type; each batch is gathered from them
    inside the graph, in the order it is given.

    Args:
        model: A compiled model.
        train: Training rows.
        batch_size: Rows per step; the last step of an epoch may have fewer.
    """

    def __init__(self, model: TapeModel, train: Rows, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size
        self.num_rows = len(train)
        self.steps_per_epoch = -(-self.num_rows // batch_size)
        self._x, self._y = tf.constant(train.x), tf.constant(train.y)
        self._order = tf.range(0)
        _create_variables(model, train)
        model.optimizer.build(model.trainable_variables)

    def begin_epoch(self, order: np.ndarray) -> None:
        """Sets the order in which the coming steps visit the rows, (rows,)."""
        self._order = tf.constant(order)

    def run(self, first: int, last: int) -> Block:
        """Runs the steps `first` to `last` - 1 of the epoch."""
        logs, bad = self._graph(self._order, tf.constant(first), tf.constant(last))
        return Block({name: float(value) for name, value in logs.items()}, int(bad))

    @functools.cached_property
    def _graph(self) -> Any:
        # Concrete, since a `tf.function` counts its traces over all engines of a process,
        # and warns on the terminal at the fifth.
        number = tf.TensorSpec([], tf.int32)
        order = tf.TensorSpec([self.num_rows], tf.int32)
        graph = tf.function(self._steps, autograph=False)
        return graph.get_concrete_function(order, number, number)

    def _steps(self, order: Any, first: Any, last: Any) -> Any:
        def body(step: Any, bad: Any, _: Any) -> tuple[Any, Any, Any]:
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]  # (batch,)
            batch = tf.gather(self._x, rows), tf.gather(self._y, rows)
            loss = self.model.train_step(batch)["batch_loss"]
            is_first = ~tf.math.is_finite(loss) & (bad < 0)
            return step + 1, tf.where(is_first, step, bad), loss

        _, bad, batch_loss = tf.while_loop(
            lambda step, *_: step < last, body, (first, tf.constant(-1), tf.constant(0.0))
        )
        return {**self.model.get_metrics_result(), "batch_loss": batch_loss}, bad

    def weights_are_finite(self) -> bool:
        """Returns whether no weight is NaN or infinite."""
        finite = [tf.reduce_all(tf.math.is_finite(w)) for w in self.model.weights]
        return bool(tf.reduce_all(finite))


class Evaluator:
    """Measures a network on rows, in one graph call.

    Args:
        model: A compiled model whose metrics nobody else uses, so that an evaluation in
            the middle of an epoch leaves the epoch's means alone.
    """

    def __init__(self, model: TapeModel) -> None:
        self.model = model
        self._graph: Any = None

    def evaluate(self, rows: Rows) -> dict[str, float]:
        """Returns loss and metrics on `rows`; the same weights give the same bits."""
        if self._graph is None:
            self._graph = self._trace(rows)
        self.model.reset_metrics()
        logs = self._graph(tf.constant(rows.x), tf.constant(rows.y))
        return {name: float(value) for name, value in logs.items()}

    def _trace(self, rows: Rows) -> Any:
        _create_variables(self.model, rows)
        graph = tf.function(self._run, autograph=False)  # for any number of such rows
        return graph.get_concrete_function(
            tf.TensorSpec([None, *rows.x.shape[1:]], rows.x.dtype),
            tf.TensorSpec([None, *rows.y.shape[1:]], rows.y.dtype),
        )

    def _run(self, x: Any, y: Any) -> Any:
        def body(first: Any) -> tuple[Any]:
            last = first + EVALUATION_BATCH
            self.model.test_step((x[first:last], y[first:last]))
            return (last,)

        tf.while_loop(lambda first: first < tf.shape(x)[0], body, (tf.constant(0),))
        return self.model.get_metrics_result()


def _create_variables(model: TapeModel, rows: Rows) -> None:
    """Creates every variable of the metrics now: a graph's loop cannot create any."""
    x, y = tf.constant(rows.x[:2]), tf.constant(rows.y[:2])
    y_pred = model(x)
    model.compute_loss(x=x, y=y, y_pred=y_pred)
    model.compute_metrics(x, y, y_pred)
    model.reset_metrics()
