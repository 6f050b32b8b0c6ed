"""Many training steps, over one or more epochs, as one function of tensors.

Written with Python's loops, the function would be:

    for epoch in range(num_epochs):
        reset the metrics
        for step in range(steps_per_epoch):
            rows = row_orders[epoch, step * batch_size : (step + 1) * batch_size]
            model.train_step((x[rows], y[rows]))
            stop if the loss is NaN or infinite
        evaluate the held-out rows
        epoch_metrics[name][epoch] = metric, for every metric

A graph can hold it because its loops are `tf.while_loop`, whose state is given to each round
and returned by it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from kfc.compat import without_graph_rewriting
from kfc.training.engine.evaluation import Evaluator
from kfc.training.engine.variables import StatefulVariables, StatelessVariables, Tensors
from kfc.training.step import TapeModel

_NO_STEP = -1


class MultiStepInputs(NamedTuple):
    """Inputs of one call.

    Steps are counted from the first epoch of `row_orders`.

    Args:
        values: Values of the stateless variables; empty where variables are assigned.
        train: Training inputs, targets and perhaps sample weights, (rows, ...) each: all
            rows, or a window of them.
        held_out: Held-out inputs and targets, (rows, ...) each, or nothing.
        row_orders: Row numbers in the order of training, int32: (epochs, rows), or
            (epochs, members, rows) if each member of the network has an order of its own.
        window_first_step: Step of an epoch that uses the first rows of `train`, ().
        first_step: First step to run, ().
        end_step: Step before which to stop, ().
        evaluate: Whether to evaluate the held-out rows at the end of each epoch, ().
    """

    values: Tensors
    train: Tensors
    held_out: Tensors
    row_orders: tf.Tensor
    window_first_step: tf.Tensor
    first_step: tf.Tensor
    end_step: tf.Tensor
    evaluate: tf.Tensor


class MultiStepOutputs(NamedTuple):
    """Outputs of one call.

    Args:
        values: Values of the stateless variables after the last step.
        logs: Metrics of the last epoch so far, and `batch_loss` of the last step, () each.
        epoch_metrics: Metrics of each epoch, (epochs,) each; valid for finished epochs,
            held-out metrics only if `evaluate`.
        bad_step: First step whose loss is NaN or infinite, or -1, ().
        epoch_values: Values of the stateless variables at the end of each epoch, (epochs, ...)
            each; empty unless they are kept.
    """

    values: Tensors
    logs: dict[str, tf.Tensor]
    epoch_metrics: dict[str, tf.Tensor]
    bad_step: tf.Tensor
    epoch_values: Tensors


class _EpochRows(NamedTuple):
    """The rows of one epoch, or of a window of it."""

    train: Tensors  # (rows, ...) each
    order: tf.Tensor  # row numbers, (rows,) or (members, rows)
    first_step: tf.Tensor  # step that uses the first of these rows, ()


class _Steps(NamedTuple):
    """State of the inner loop, over the steps of one epoch."""

    step: tf.Tensor  # (), from 0
    values: Tensors
    bad_step: tf.Tensor  # (), or -1
    batch_loss: tf.Tensor  # ()


_RunSteps = Callable[[_EpochRows, _Steps, tf.Tensor], _Steps]
"""Runs steps of an epoch, from a state, up to a step."""


class MultiStep:
    """Runs `TapeModel.train_step` on one batch after the other, and evaluates epochs.

    Args:
        model: Compiled model whose variables all exist.
        variables: Whether variables are assigned, or are tensors within the call.
        num_rows: Number of rows that an epoch visits.
        batch_size: Number of rows per step; the last step of an epoch may have fewer.
        evaluator: Evaluates the held-out rows, if there are any.
        prefix: Prefix of the names of held-out metrics, such as `val`.
        keep_epochs: Whether to return the variables at the end of each epoch, too.
        compile_steps: Whether XLA compiles the loop over the full batches of an epoch, alone.
    """

    def __init__(
        self,
        model: TapeModel,
        variables: StatelessVariables | StatefulVariables,
        *,
        num_rows: int,
        batch_size: int,
        evaluator: Evaluator | None = None,
        prefix: str = "val",
        keep_epochs: bool = False,
        compile_steps: bool = False,
    ) -> None:
        self.keep_epochs, self._compile_steps = keep_epochs, compile_steps
        self.model, self.variables, self.evaluator = model, variables, evaluator
        self.num_rows, self.batch_size = num_rows, batch_size
        self.steps_per_epoch = -(-num_rows // batch_size)  # rounded up
        # The names are read here: in a graph, this would read the value of every metric.
        held_out = evaluator.model.get_metrics_result() if evaluator else {}
        self.held_out_names = [f"{prefix}_{name}" for name in held_out]
        self._names = [*model.get_metrics_result(), *self.held_out_names]
        self._full_batches: _RunSteps | None = None

    def __call__(self, inputs: MultiStepInputs) -> MultiStepOutputs:
        """Runs the steps from `first_step` to before `end_step`, or to a bad loss."""
        steps_per_epoch = self.steps_per_epoch
        first_step, end_step = inputs.first_step, inputs.end_step

        def one_epoch(
            epoch: tf.Tensor,
            values: Tensors,
            epoch_metrics: dict[str, tf.Tensor],
            epoch_values: Tensors,
            bad_step: tf.Tensor,
            batch_loss: tf.Tensor,
        ) -> tuple[Any, ...]:
            # A call may begin and end within an epoch: its steps of this epoch.
            first = tf.maximum(first_step - epoch * steps_per_epoch, 0)
            end = tf.minimum(end_step - epoch * steps_per_epoch, steps_per_epoch)

            # Metrics are means over an epoch, so they are reset where one begins.
            values = self.variables.call_if(first == 0, self.model.reset_metrics, values)

            # The steps. In XLA, full batches first, then the short one: see `_loops`.
            rows = _EpochRows(inputs.train, inputs.row_orders[epoch], inputs.window_first_step)
            state = _Steps(first, values, tf.constant(_NO_STEP), batch_loss)
            for run_steps, loop_end in self._loops():
                state = run_steps(rows, state, tf.minimum(end, loop_end))

            # At the end of the epoch, evaluate. An epoch that was cut short, by `end_step`
            # or by a bad step, is computed too, and its numbers are ignored: a condition
            # would take longer to trace than these few operations take to run.
            finished = (state.step == steps_per_epoch) & (state.bad_step < 0)
            values, metrics = self._epoch_metrics(
                state.values, inputs.held_out, finished & inputs.evaluate
            )
            epoch_metrics = {  # name -> (epochs,)
                name: tf.tensor_scatter_nd_update(column, [[epoch]], [metrics[name]])
                for name, column in epoch_metrics.items()
            }
            epoch_values = [  # (epochs, ...) each
                tf.tensor_scatter_nd_update(stack, [[epoch]], value[None])
                for stack, value in zip(epoch_values, values, strict=False)
            ]

            # Steps of the inner loop are counted from this epoch, those of the call are not.
            bad_in_call = epoch * steps_per_epoch + state.bad_step
            bad_step = tf.where(state.bad_step < 0, bad_step, bad_in_call)
            return (
                *(epoch + 1, values, epoch_metrics, epoch_values),
                *(bad_step, state.batch_loss),
            )

        # The outer loop, over epochs.
        num_epochs = tf.shape(inputs.row_orders)[:1]  # (1,)
        networks = tf.constant(self.variables.batch_shape, tf.int32)  # (1,), or (0,) for one
        of_epochs = tf.concat([num_epochs, networks], axis=0)
        epoch_metrics = {name: tf.zeros(of_epochs) for name in self._names}
        epoch_values = [
            tf.zeros(tf.concat([num_epochs, tf.shape(value)], axis=0), value.dtype)
            for value in (inputs.values if self.keep_epochs else ())
        ]
        _, values, epoch_metrics, epoch_values, bad_step, batch_loss = tf.while_loop(
            lambda epoch, values, metrics, kept, bad_step, loss: (
                (epoch * steps_per_epoch < end_step) & (bad_step < 0)
            ),
            one_epoch,
            (
                *(first_step // steps_per_epoch, inputs.values, epoch_metrics, epoch_values),
                *(tf.constant(_NO_STEP), tf.zeros(networks)),
            ),
        )

        # Means over the last epoch so far: a log line within an epoch shows them.
        logs, values = self.variables.call(self.model.get_metrics_result, values)
        logs = {**logs, "batch_loss": batch_loss}
        return MultiStepOutputs(values, logs, epoch_metrics, bad_step, epoch_values)

    def begin_compiling(self, inputs: MultiStepInputs, signature: MultiStepInputs) -> None:
        """Lets XLA compile the loop over full batches in a thread, if `compile_steps`.

        The compilation takes about half a second, most of it without Python. Meanwhile the
        caller traces the graph around the loop, which finds it compiled.

        Args:
            inputs: Inputs of a call.
            signature: Their shapes and dtypes as the graph takes them.
        """
        if not (self._compile_steps and self.num_rows >= self.batch_size):
            return
        compiled = self._full_batches = self._loop_of_full_batches()

        def loop_of(inputs: MultiStepInputs) -> _Steps:
            rows = _EpochRows(inputs.train, inputs.row_orders[0], inputs.window_first_step)
            networks = tf.zeros(self.variables.batch_shape)
            state = _Steps(tf.constant(0), inputs.values, tf.constant(_NO_STEP), networks)
            return compiled(rows, state, inputs.end_step)

        # Within a graph, as the loop is called in the one that is traced: XLA compiles a
        # function again that is called from outside of one.
        graph = tf.function(loop_of, autograph=False).get_concrete_function(signature)
        no_step = inputs._replace(end_step=tf.constant(0))

        def compile_loop() -> None:
            # An error comes back where the caller calls the loop.
            with without_graph_rewriting(), suppress(Exception):
                graph(no_step)

        # Nobody waits for it: the call of the graph does, within XLA's own cache.
        threading.Thread(target=compile_loop).start()

    def stacked(self, networks: int) -> MultiStep:
        """Returns the same steps for several networks of this shape, each with its own rows.

        Inputs and outputs have an axis for the networks: the first one of values and logs,
        the second one of row orders, epoch metrics and epoch values. Held-out rows have a
        third part, the numbers of each network's rows, (rows, networks). A call ends with the
        first step in which any loss is NaN or infinite.

        Args:
            networks: Number of networks.
        """
        if not isinstance(self.variables, StatelessVariables):
            raise TypeError("expected variables as tensors, got variables that are assigned")
        of_all = copy.copy(self)
        of_all.variables = self.variables.stacked(networks)
        of_all._full_batches = None
        return of_all

    def _loop_of_full_batches(self) -> _RunSteps:
        """Returns the inner loop over full batches, as a function that XLA compiles alone."""
        run_steps: _RunSteps = partial(self._run_steps, size=self.batch_size)
        if not self._compile_steps:
            return run_steps
        compiled: _RunSteps = tf.function(run_steps, autograph=False, jit_compile=True)
        return compiled

    def _loops(self) -> list[tuple[_RunSteps, int]]:
        """Returns the inner loops, and the step before which each of them ends.

        A plain graph takes batches of any size in one loop. XLA compiles for fixed shapes, so
        the short last batch has a loop of its own, of one step.
        """
        if not (self.variables.fixed_shapes or self._compile_steps):
            return [(partial(self._run_steps, size=None), self.steps_per_epoch)]
        num_full, short_rows = divmod(self.num_rows, self.batch_size)
        loops: list[tuple[_RunSteps, int]] = []
        if num_full:
            # Kept no longer than needed: it has this object, and so the model and its memory.
            run_steps = self._full_batches or self._loop_of_full_batches()
            self._full_batches = None
            loops.append((run_steps, num_full))
        if short_rows:
            size = short_rows if self.variables.fixed_shapes else None
            loops.append((partial(self._run_steps, size=size), self.steps_per_epoch))
        return loops

    def _run_steps(
        self, rows: _EpochRows, state: _Steps, end: tf.Tensor, *, size: int | None
    ) -> _Steps:
        """Runs steps of `size` rows each, up to the step `end` or a bad one."""

        def one_step(
            step: tf.Tensor, values: Tensors, bad_step: tf.Tensor, batch_loss: tf.Tensor
        ) -> _Steps:
            # The numbers of the batch's rows. A window holds the rows of some steps only.
            begin = (step - rows.first_step) * self.batch_size
            if size is None:
                rows_left = self.num_rows - rows.first_step * self.batch_size
                end_row = tf.minimum(begin + self.batch_size, rows_left)
                chosen = rows.order[..., begin:end_row]  # (..., batch), the last one shorter
            else:
                # Not a slice: XLA would compile it again for each `window_first_step`.
                chosen = tf.gather(rows.order, begin + tf.range(size), axis=-1)

            # Forward, gradient, update and metrics.
            logs, values = self.variables.call(self._train, values, rows.train, own=[chosen])

            # The condition below reads `bad_step`, so the loop ends with this step.
            batch_loss = logs["batch_loss"]
            finite = tf.math.is_finite(batch_loss)
            if self.variables.batch_shape:
                finite = tf.reduce_all(finite)
            bad_step = tf.where(finite, bad_step, step)
            return _Steps(step + 1, values, bad_step, batch_loss)

        return _Steps(
            *tf.while_loop(
                lambda step, values, bad_step, loss: (step < end) & (bad_step < 0),
                lambda *before: tuple(one_step(*before)),
                tuple(state),
            )
        )

    def _train(self, train: Tensors, chosen: tf.Tensor) -> dict[str, Any]:
        """Trains on the rows with the numbers `chosen`, (batch,) or (members, batch)."""
        # Of several orders, the rows of the first one first, see `rows_of_step`.
        if chosen.shape.rank > 1:
            chosen = tf.reshape(chosen, [-1])  # (members * batch,)

        # The batch: x (batch, ...), y (batch,) or (batch, outputs), weights (batch,). Of
        # several replicas, each has the inputs of its own rows alone.
        x, *others = train
        own = self.model.replicas.own(chosen)
        batch = (tf.gather(x, own), *(tf.gather(part, chosen) for part in others))
        logs: dict[str, Any] = self.model.train_step(batch)
        return logs

    def _epoch_metrics(
        self, values: Tensors, held_out: Tensors, evaluate: tf.Tensor
    ) -> tuple[Tensors, dict[str, tf.Tensor]]:
        """Returns the variables' values, and the metrics of an epoch by name, () each."""
        logs, values = self.variables.call(self.model.get_metrics_result, values)
        if self.evaluator is None:
            return values, logs
        # The evaluator has metrics of its own, so those of the training rows are kept.
        _, values = self.variables.call(self.evaluator.model.reset_metrics, values)
        measured, values = self.evaluator.evaluate_in_graph(
            self.variables, values, *held_out, wanted=evaluate
        )
        return values, {
            **logs,
            **dict(zip(self.held_out_names, measured.values(), strict=True)),
        }
