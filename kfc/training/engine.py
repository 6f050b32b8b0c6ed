"""Rows kept in memory -> many training steps in one graph call."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kfc.data import Rows
from kfc.training.carried import Carried, make_carriable, named_variables
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
    inside the graph, in the order it is given. With XLA the loop is compiled, and carries
    the variables as tensors; without, each step assigns them.

    Args:
        model: A compiled model.
        train: Training rows.
        batch_size: Rows per step; the last step of an epoch may have fewer.
        xla: Whether to compile the loop.
    """

    def __init__(
        self, model: TapeModel, train: Rows, batch_size: int, *, xla: bool = False
    ) -> None:
        self.model, self.batch_size, self.xla = model, batch_size, xla
        self.num_rows = len(train)
        self.steps_per_epoch = -(-self.num_rows // batch_size)
        self._x, self._y = tf.constant(train.x), tf.constant(train.y)
        self._order = tf.range(0)
        _create_variables(model, train)
        model.optimizer.build(model.trainable_variables)
        if xla:
            make_carriable(model.optimizer)
        self._graphs: dict[int, Any] = {}

    def begin_epoch(self, order: np.ndarray) -> None:
        """Sets the order in which the coming steps visit the rows, (rows,)."""
        self._order = tf.constant(order)

    def run(self, first: int, last: int) -> Block:
        """Runs the steps `first` to `last` - 1 of the epoch."""
        whole = self.num_rows // self.batch_size
        if last <= whole or first == whole:
            return self._run(first, last)
        block = self._run(first, whole)
        tail = self._run(whole, last)
        bad = tail.first_bad_step if block.first_bad_step < 0 else block.first_bad_step
        return Block(tail.logs, bad)

    def _run(self, first: int, last: int) -> Block:
        """Runs steps that all have the same number of rows: XLA's shapes are fixed."""
        rows = min(self.batch_size, self.num_rows - first * self.batch_size)
        if rows not in self._graphs:
            self._graphs[rows] = self._trace(rows)
        logs, bad = self._graphs[rows](self._order, tf.constant(first), tf.constant(last))
        return Block({name: float(value) for name, value in logs.items()}, int(bad))

    def _trace(self, rows: int) -> Any:
        # Concrete, since a `tf.function` counts its traces over all engines of a process,
        # and warns on the terminal at the fifth.
        number = tf.TensorSpec([], tf.int32)
        order = tf.TensorSpec([self.num_rows], tf.int32)
        steps = functools.partial(self._carried_steps if self.xla else self._steps, rows)
        graph = tf.function(steps, autograph=False, jit_compile=self.xla)
        return graph.get_concrete_function(order, number, number)

    def _batch(self, order: Any, step: Any, rows: int) -> tuple[Any, Any]:
        chosen = tf.slice(order, [step * self.batch_size], [rows])  # (batch,)
        return tf.gather(self._x, chosen), tf.gather(self._y, chosen)

    def _steps(self, rows: int, order: Any, first: Any, last: Any) -> Any:
        def body(step: Any, bad: Any, _: Any) -> tuple[Any, Any, Any]:
            loss = self.model.train_step(self._batch(order, step, rows))["batch_loss"]
            return step + 1, _first_bad(bad, step, loss), loss

        _, bad, batch_loss = tf.while_loop(
            lambda step, *_: step < last, body, (first, tf.constant(-1), tf.constant(0.0))
        )
        return {**self.model.get_metrics_result(), "batch_loss": batch_loss}, bad

    def _carried_steps(self, rows: int, order: Any, first: Any, last: Any) -> Any:
        carried = Carried([variable for _, variable in named_variables(self.model)])

        def body(step: Any, bad: Any, _: Any, values: Any) -> tuple[Any, Any, Any, Any]:
            batch = self._batch(order, step, rows)
            logs, values = carried.step(self.model.train_step, batch, values)
            loss = logs["batch_loss"]
            return step + 1, _first_bad(bad, step, loss), loss, values

        _, bad, batch_loss, values = tf.while_loop(
            lambda step, *_: step < last,
            body,
            (first, tf.constant(-1), tf.constant(0.0), carried.read()),
        )
        carried.write(values)
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


def _first_bad(bad: Any, step: Any, loss: Any) -> Any:
    """Returns `bad`, or `step` where its loss is the first that is not finite."""
    return tf.where(~tf.math.is_finite(loss) & (bad < 0), step, bad)


def _create_variables(model: TapeModel, rows: Rows) -> None:
    """Creates every variable of the metrics now: a graph's loop cannot create any."""
    x, y = tf.constant(rows.x[:2]), tf.constant(rows.y[:2])
    y_pred = model(x)
    model.compute_loss(x=x, y=y, y_pred=y_pred)
    model.compute_metrics(x, y, y_pred)
    model.reset_metrics()
