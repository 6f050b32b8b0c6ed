"""Training epoch by epoch: the order of rows, the calls of hooks, the evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np

from kfc.compat import initial_epoch
from kfc.data import Rows
from kfc.findings import run_check
from kfc.spec import TrainingSpec
from kfc.system import interrupts_here, own_seconds
from kfc.training.callbacks import Hooks
from kfc.training.checkpoints import Checkpoint, Progress, restore
from kfc.training.distributing import agree_on_signal, check_same_pace
from kfc.training.engine import Engine, Evaluator, ExecutionResult
from kfc.training.finite_checks import check_finite
from kfc.training.output_metrics import OutputMetrics
from kfc.training.row_order import epoch_order

_CHECKPOINT_SHARE = 0.03
"""At most this share of training time is spent on writing checkpoints; slow ones are written
less often than `checkpoint_seconds` says."""

_BYTES_PER_SECOND = 75e6
"""Speed at which a checkpoint is written, until one was timed: measured on two cores."""

_FIRST_CHECKPOINT_SECONDS = 60.0
"""Latest time of the first checkpoint, even if its size suggests a later one."""


@dataclass
class Loop:
    """Trains epoch by epoch, calling Keras callbacks where Keras would.

    The `params` of the callbacks have five entries besides Keras's own: `began`, the
    monotonic time at which the training began, less the time before a resume; `seconds` from
    then to the end of the epoch whose hook is called; `weights`, a function that returns
    copies of the weights at the end of this epoch; `samples`, the number of training rows of
    all epochs together; and `flushed`, which says that the loop
    calls `flush`, so that a log may collect its lines until then.

    Ctrl-C and SIGTERM are obeyed after the running steps and a checkpoint.

    Args:
        engine: Engine that runs the steps.
        evaluator: Evaluator of the validation (or test) rows.
        training: Number of epochs, shuffling, and the intervals of logs, evaluations and
            checkpoints.
        seed: Seed of the order of rows.
        callbacks: Keras callbacks, in the order of their calls.
        held_out: Prefix, `val` or `test`, and rows to evaluate on; None where there are none.
        save_checkpoint: Function that is called with the progress when a checkpoint is due:
            after `training.checkpoint_seconds`, at the end of an epoch or within a long one.
        checkpoint_bytes: Estimated size of a checkpoint, which delays the first one.
        output_metrics: Further metrics of `held_out`, which are computed outside of the
            graph, for each epoch with its weights.
    """

    engine: Engine
    evaluator: Evaluator
    training: TrainingSpec
    seed: int
    callbacks: Sequence[keras.callbacks.Callback]
    held_out: tuple[str, Rows] | None
    save_checkpoint: Callable[[Progress], None]
    checkpoint_bytes: int = field(default=0, kw_only=True)
    output_metrics: OutputMetrics | None = field(default=None, kw_only=True)

    def run(
        self,
        progress: Progress,
        last_epoch: int | None = None,
        *,
        state: Checkpoint | None = None,
        checkpoint_first: bool = False,
    ) -> Progress:
        """Trains from `progress` to the end, or until a callback asks for a stop.

        `on_train_begin` is called in each process that trains, since callbacks open their
        files there; `state` undoes its changes in a resumed training. Every other hook is
        called as often as in a training without a pause.

        Args:
            progress: Progress of the training so far.
            last_epoch: Number of epochs after which to pause. The end of a training, such as
                the return of the best weights, is then left to a later call.
            state: Checkpoint at this progress, restored after `on_train_begin`.
            checkpoint_first: Whether to checkpoint before the first step.

        Returns:
            The same progress, advanced.

        Raises:
            NumbersError: If a loss or a weight is NaN or infinite.
            CheckpointError: If `state` belongs to another training.
            DiskError: If a callback meets a full disk.
        """
        # Entries of the callbacks' `params`, and times.
        model, steps = self.engine.model, self.engine.steps_per_epoch
        self._last_epoch = min(last_epoch or self.training.epochs, self.training.epochs)
        self._params: dict[str, Any] = {
            "epochs": self.training.epochs,
            "steps": steps,
            "verbose": 0,
            "began": time.monotonic() - progress.seconds,
            "seconds": progress.seconds,
            "weights": model.get_weights,
            "samples": self.training.epochs * self.engine.num_rows,
            "flushed": True,
        }
        self._began, self._checkpointed = self._params["began"], time.monotonic()
        self._own_began = own_seconds() - progress.seconds
        self._checkpoint_took = min(
            self.checkpoint_bytes / _BYTES_PER_SECOND,
            _CHECKPOINT_SHARE * _FIRST_CHECKPOINT_SECONDS,
        )

        # Callbacks get the model, then `on_train_begin`, then the state of a checkpoint.
        model.stop_training = progress.stopped
        self._hooks = Hooks(
            self.callbacks, model, self._params, progress.history, progress.epoch
        )
        with ExitStack() as stack:  # files are closed even if another close fails
            for close in self._hooks.closers():
                stack.callback(close)
            stack.callback(self.engine.drop_begun)
            stack.callback(self._hooks.flush)
            self._hooks.begin()
            if state is not None:
                restore(state, model, self.callbacks)
            else:  # Keras's BackupAndRestore may have restored the weights of an epoch
                backed_up = min(initial_epoch(model), self.training.epochs)
                progress.epoch = max(progress.epoch, backed_up)
            if checkpoint_first:
                self.save_checkpoint(progress)
            check_same_pace(model.replicas, self._pace())
            self._train(progress)
        return progress

    def _train(self, progress: Progress) -> None:
        model = self.engine.model
        with interrupts_here() as self._interrupts:
            while progress.epoch < self._last_epoch and not progress.stopped:
                self._epochs(progress)
        progress.seconds = own_seconds() - self._own_began
        if progress.stopped or progress.epoch == self.training.epochs:
            # As Keras's `fit` ends: with `use_ema` the averages become the weights.
            model.optimizer.finalize_variable_values(model.trainable_variables)
            self._hooks.call("on_train_end", dict(progress.logs))

    def _epochs(self, progress: Progress) -> None:
        """Trains one epoch, or several in one execution if no callback acts in between."""
        # The epochs and their orders of rows, unless the last execution has begun them while
        # its hooks were called.
        first_epoch, steps = progress.epoch, self.engine.steps_per_epoch
        num_epochs = self.engine.epochs_begun
        if not num_epochs:
            num_epochs = 1 if progress.step else self._epochs_per_execution(first_epoch)
            self.engine.set_row_orders(self._row_orders(first_epoch, num_epochs))

        # The steps: one execution, or several up to the end of one epoch.
        if progress.step == 0:
            self._hooks.call("on_epoch_begin", first_epoch, {})
        result = self._execute(progress, num_epochs)
        while (
            progress.step < num_epochs * steps
            and result.first_bad_step < 0
            and not self.engine.model.stop_training
        ):
            result = self._execute(progress, num_epochs)
        if result.first_bad_step < 0:
            if not result.epochs:  # a callback has stopped within the epoch
                result.epochs.append(result.logs)
            last_epoch = first_epoch + len(result.epochs) - 1
            finite = self.engine.weights_are_finite()
            run_check("weights_not_finite", finite, last_epoch, steps - 1)

        self._call_hooks(progress, result.epochs, several=num_epochs > 1)
        self._hooks.flush()
        run_check("loss_not_finite", result.first_bad_step, first_epoch, steps)
        progress.stopped = bool(self.engine.model.stop_training)
        self._checkpoint_if_due(progress)

    def _call_hooks(
        self, progress: Progress, epochs: list[dict[str, float]], *, several: bool
    ) -> None:
        """Calls the hooks of each finished epoch of an execution, up to a stop."""
        model, last_step = self.engine.model, self.engine.steps_per_epoch - 1
        began, now = self._params["seconds"], time.monotonic() - self._began
        for number, logs in enumerate(epochs):
            if several:
                if number:
                    self._hooks.call("on_epoch_begin", progress.epoch, {})
                self._hooks.end_execution(last_step, self._without_held_out(logs))
                if self._reads_epochs:
                    self._params["weights"] = partial(self.engine.weights_of_epoch, number)
                if self._measures_outside:
                    model.set_weights(self._params["weights"]())
            # Several epochs share the seconds evenly.
            self._params["seconds"] = began + (now - began) * (number + 1) / len(epochs)
            self._end_of_epoch(progress, logs)
            if model.stop_training:
                if number + 1 < len(epochs):
                    self.engine.return_to_epoch(number)
                break
        self._params["weights"] = model.get_weights

    def _end_of_epoch(self, progress: Progress, logs: dict[str, float]) -> None:
        # Held-out metrics: of the execution, or measured now.
        prefix = f"{self.held_out[0]}_" if self.held_out else "val_"
        held_out_logs = {
            name.removeprefix(prefix): value
            for name, value in logs.items()
            if name.startswith(prefix)
        }
        if held_out_logs:
            further = self._of_outputs()
            self._hooks.call("on_test_begin", {})
            self._hooks.call("on_test_end", {**held_out_logs, **further})
            logs = {**logs, **{prefix + name: value for name, value in further.items()}}
        else:
            logs = {**logs, **self._evaluate()}
        if self.output_metrics or not held_out_logs:
            self._params["seconds"] = time.monotonic() - self._began
        logs.pop("batch_loss", None)
        check_finite(logs, f"training, epoch {progress.epoch + 1}")
        # Callbacks may add entries, which the history records with the metrics.
        logs_of_hooks = dict(logs)
        self._hooks.call("on_epoch_end", progress.epoch, logs_of_hooks)
        progress.end_epoch(logs, logs_of_hooks)

    def _execute(self, progress: Progress, num_epochs: int) -> ExecutionResult:
        """Runs steps up to the next one after which a hook is called, or several epochs."""
        # Steps are counted from `progress.epoch`; intervals from the start of the training.
        first_step, steps = progress.step, self.engine.steps_per_epoch
        steps_before = progress.epoch * steps
        end_step = num_epochs * steps
        if num_epochs == 1:
            end_step = self._next_stop(steps_before, first_step)

        # The steps.
        self._hooks.begin_batch(first_step)
        whole = first_step == 0 and end_step == num_epochs * steps
        following = partial(self._next_orders, progress.epoch + num_epochs)
        result = self.engine.run(
            first_step,
            end_step,
            evaluate=not self._hooks.may_disturb_a_test,
            next_orders=following if whole else None,
        )
        steps_done = steps_before + end_step
        progress.step = end_step

        # An evaluation within the epoch; its last step is evaluated by the epoch itself.
        logs = dict(result.logs)
        every = self.training.evaluate_every
        evaluated = bool(every and steps_done % every == 0 and end_step < steps)
        if evaluated:
            logs |= self._evaluate()
        if num_epochs == 1:
            self._hooks.end_batch(end_step - 1, logs, done=steps_done, evaluated=evaluated)

        # No checkpoint after a stop within the epoch, which ends the epoch early.
        stopped = self.engine.model.stop_training or result.first_bad_step >= 0
        if end_step < steps and not stopped:
            self._hooks.flush()
            self._checkpoint_if_due(progress)
        return result

    def _without_held_out(self, logs: dict[str, float]) -> dict[str, float]:
        """Returns the metrics of an epoch without those of the held-out rows."""
        if self.held_out is None:
            return dict(logs)
        prefix = f"{self.held_out[0]}_"
        return {name: v for name, v in logs.items() if not name.startswith(prefix)}

    def _epochs_per_execution(self, first_epoch: int) -> int:
        """Returns 1 if anything happens within or between the next epochs, else more."""
        if self._acts_between_epochs:
            return 1
        end = self._last_epoch
        if self.engine.model.replicas.cluster is None:  # only the chief has logs of layers
            end = min(end, self._hooks.next_due(first_epoch) or end)
        return min(self.engine.epochs_per_execution, end - first_epoch)

    @property
    def _acts_between_epochs(self) -> bool:
        """Whether anything happens within or between epochs."""
        return bool(
            self.engine.window_rows
            or self.training.evaluate_every
            or (self._reads_epochs and not self.engine.keeps_epochs)
            or self.engine.model.stop_training
            or self._hooks.need_single_epochs
        )

    def _pace(self) -> str:
        """Returns a text with everything that says after which steps executions end."""
        hooks, engine, training = self._hooks, self.engine, self.training
        called_after = {each for each in hooks.intervals if isinstance(each, int)}
        parts = (
            *(sorted(called_after), training.evaluate_every, self._last_epoch),
            *(hooks.need_single_epochs, hooks.may_disturb_a_test, self._reads_epochs),
            *(engine.steps_per_execution, engine.epochs_per_execution, engine.keeps_epochs),
        )
        return repr(parts)

    @property
    def _measures_outside(self) -> bool:
        """Whether something is measured after each epoch, outside of the graph."""
        if self.held_out is None:
            return False
        return bool(self.output_metrics) or not self.engine.evaluates

    @property
    def _reads_epochs(self) -> bool:
        """Whether something reads the weights of each epoch, outside of the graph."""
        return self._measures_outside or self._hooks.read_epochs

    def _row_orders(self, first_epoch: int, num_epochs: int) -> np.ndarray:
        """Returns the order of each epoch, (epochs, rows) or (epochs, members, rows)."""
        orders = [
            epoch_order(
                self.engine.num_rows,
                seed=self.seed,
                epoch=first_epoch + number,
                shuffle=self.training.shuffle,
                window=self.engine.window_rows,
                num_orders=self.engine.num_orders,
            )
            for number in range(num_epochs)
        ]
        return np.stack(orders)

    def _next_orders(self, first_epoch: int) -> np.ndarray | None:
        """Returns the orders of the next execution, if nothing may happen before it."""
        of_epochs = self.engine.steps_per_execution >= self.engine.steps_per_epoch
        if self._acts_between_epochs or not of_epochs or first_epoch >= self._last_epoch:
            return None
        return self._row_orders(first_epoch, self._epochs_per_execution(first_epoch))

    def _next_stop(self, steps_before: int, first_step: int) -> int:
        """Returns the step of the epoch before which the next execution ends."""
        # A hook before the batch has stopped the training; Keras's `fit` looks after a batch.
        if self.engine.model.stop_training:
            return first_step + 1
        stops = [self.engine.steps_per_epoch, first_step + self.engine.steps_per_execution]
        for interval in (*self._hooks.intervals, self.training.evaluate_every):
            if isinstance(interval, int):
                # The next multiple of the interval, in steps of the training.
                next_multiple = ((steps_before + first_step) // interval + 1) * interval
                stops.append(next_multiple - steps_before)
        return min(stops)

    def _evaluate(self) -> dict[str, float]:
        if self.held_out is None:
            return {}
        prefix, rows = self.held_out
        self._hooks.call("on_test_begin", {})
        logs = {**self.evaluator.evaluate(rows), **self._of_outputs()}
        self._hooks.call("on_test_end", dict(logs))
        return {f"{prefix}_{name}": value for name, value in logs.items()}

    def _of_outputs(self) -> dict[str, float]:
        if self.output_metrics is None or self.held_out is None:
            return {}
        return self.output_metrics.measure(self.held_out[1])

    def _checkpoint_if_due(self, progress: Progress) -> None:
        interrupts, model = self._interrupts, self.engine.model
        interrupts.heard = agree_on_signal(model.replicas, interrupts.heard, model.weights)
        began = time.monotonic()
        # Checkpoints that take long are written less often.
        seconds_between = max(
            self.training.checkpoint_seconds, self._checkpoint_took / _CHECKPOINT_SHARE
        )
        if interrupts.heard or began - self._checkpointed >= seconds_between:
            if progress.step:
                finite = self.engine.weights_are_finite()
                run_check("weights_not_finite", finite, progress.epoch, progress.step - 1)
            progress.stopped = bool(model.stop_training)
            progress.seconds = own_seconds() - self._own_began
            self.save_checkpoint(progress)
            self._checkpointed = time.monotonic()
            self._checkpoint_took = self._checkpointed - began
        interrupts.obey()
