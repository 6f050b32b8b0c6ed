"""Many training steps, over one or more epochs, as one function that a graph can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kfc.training.engine.evaluation import Evaluator
from kfc.training.engine.variables import Carried, InPlace
from kfc.training.step import TapeModel


class Span:
    """Applies `TapeModel.train_step` to batch after batch, and measures at epochs' ends.

    Args:
        model: A compiled model, all its variables created.
        variables: How they are kept: in place, or carried as tensors.
        num_rows: Training rows.
        batch_size: Rows per step; the last step of an epoch may have fewer.
        evaluator: Measures the held-out rows, if there are any.
        prefix: Of the names of what it measures, such as `val`.
    """

    def __init__(
        self,
        model: TapeModel,
        variables: Carried | InPlace,
        *,
        num_rows: int,
        batch_size: int,
        evaluator: Evaluator | None = None,
        prefix: str = "val",
    ) -> None:
        self.model, self.variables, self.evaluator = model, variables, evaluator
        self.num_rows, self.batch_size = num_rows, batch_size
        self.steps_per_epoch = -(-num_rows // batch_size)
        # Asked for here, because in a graph the question would read every metric.
        measured = evaluator.model.get_metrics_result() if evaluator else {}
        self.measured_metrics = [f"{prefix}_{name}" for name in measured]
        self._metrics = [*model.get_metrics_result(), *self.measured_metrics]

    def __call__(
        self,
        values: list[Any],
        train: list[Any],
        held_out: list[Any],
        orders: Any,
        offset: Any,
        first: Any,
        last: Any,
        evaluate: Any,
    ) -> tuple[Any, ...]:
        """Runs the steps `first` to `last` - 1, or up to one whose loss is not finite.

        Args:
            values: What `variables` carries.
            train: Inputs, targets and perhaps weights, (rows, ...): all, or a window of them.
            held_out: Inputs and targets to measure, or nothing.
            orders: Numbers of these rows, (epochs, rows).
            offset: The step of an epoch to which the first of them belong.
            first: A step, counted from the first of these epochs.
            last: A step, counted likewise.
            evaluate: Whether to measure where an epoch ends.

        Returns:
            The values after it; the metrics of the last epoch so far, and `batch_loss` of
            the last step; for each metric a column, (epochs,), which counts for the epochs
            that have ended, and if it is measured, where that was asked for; and the
            number of the step with the bad loss, or -1.
        """
        apply, steps = self.variables.apply, self.steps_per_epoch
        whole, short = divmod(self.num_rows, self.batch_size)
        # Rows of a batch, and up to which step batches have so many.
        sizes: Sequence[tuple[int | None, int]] = [(None, steps)]
        if self.variables.fixed_shapes:
            sizes = [(self.batch_size, whole)] * (whole > 0) + [(short, steps)] * (short > 0)

        def epoch(number: Any, values: Any, table: Any, bad: Any, loss: Any) -> Any:
            begin = tf.maximum(first - number * steps, 0)
            end = tf.minimum(last - number * steps, steps)
            values = self.variables.apply_if(begin == 0, self.model.reset_metrics, values)
            state = begin, values, tf.constant(-1), loss
            for rows, most in sizes:
                until = tf.minimum(end, most)
                state = self._steps(rows, train, orders[number], offset, state, until)
            step, values, bad_step, loss = state
            ended = (step == steps) & (bad_step < 0)
            values, row = self._end_of_epoch(values, held_out, ended & evaluate)
            table = {
                name: tf.tensor_scatter_nd_update(column, [[number]], [row[name]])
                for name, column in table.items()
            }
            bad = tf.where(bad_step < 0, bad, number * steps + bad_step)
            return number + 1, values, table, bad, loss

        epochs = tf.shape(orders)[:1]
        table = {name: tf.zeros(epochs) for name in self._metrics}
        _, values, table, bad, loss = tf.while_loop(
            lambda number, values, table, bad, loss: (number * steps < last) & (bad < 0),
            epoch,
            (first // steps, values, table, tf.constant(-1), tf.constant(0.0)),
        )
        logs, values = apply(self.model.get_metrics_result, values)
        return values, {**logs, "batch_loss": loss}, table, bad

    def _steps(
        self,
        rows: int | None,
        train: list[Any],
        order: Any,
        offset: Any,
        state: Any,
        last: Any,
    ) -> Any:
        """Runs steps of `rows` rows each, up to `last` or a bad one."""

        def body(step: Any, values: Any, bad: Any, loss: Any) -> Any:
            begin = (step - offset) * self.batch_size
            if rows is None:
                end = tf.minimum(
                    begin + self.batch_size, self.num_rows - offset * self.batch_size
                )
                chosen = order[begin:end]  # (batch,), the last one shorter
            else:
                # Not a slice, for which XLA would compile anew for each `offset`.
                chosen = tf.gather(order, begin + tf.range(rows))
            batch = tuple(tf.gather(part, chosen) for part in train)
            logs, values = self.variables.apply(self.model.train_step, values, batch)
            loss = logs["batch_loss"]
            return step + 1, values, tf.where(tf.math.is_finite(loss), bad, step), loss

        return tf.while_loop(
            lambda step, values, bad, loss: (step < last) & (bad < 0), body, state
        )

    def _end_of_epoch(self, values: Any, held_out: list[Any], evaluate: Any) -> Any:
        """Returns the values, and an epoch's numbers by name, which count if it has ended."""
        logs, values = self.variables.apply(self.model.get_metrics_result, values)
        if self.evaluator is None:
            return values, logs
        _, values = self.variables.apply(self.evaluator.model.reset_metrics, values)
        numbers, values = self.evaluator.measure(
            self.variables, values, *held_out, wanted=evaluate
        )
        return values, {
            **logs,
            **dict(zip(self.measured_metrics, numbers.values(), strict=True)),
        }
