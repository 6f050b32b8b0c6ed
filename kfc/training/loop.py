"""An engine and callbacks -> epochs: the order of rows, the hooks, the evaluations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kfc.compat import initial_epoch
from kfc.data import Rows
from kfc.errors import Finding, NumbersError
from kfc.spec import TrainingSpec
from kfc.system import Interrupts
from kfc.training.callbacks import Hooks
from kfc.training.checkpoints import Checkpoint, Progress, restore
from kfc.training.engine import Block, Engine, Evaluator
from kfc.training.row_order import epoch_order

_CHECKPOINT_SHARE = 0.03
"""At most this share of training time is spent on writing checkpoints; slow ones are written
less often than `checkpoint_seconds` says."""

_WRITTEN_PER_SECOND = 75e6
"""Bytes of a checkpoint, until one was timed: measured on two cores of a virtual machine."""

_FIRST = 60.0
"""Seconds that the first checkpoint waits at most, however much it has to write."""


@dataclass
class Loop:
    """Trains epoch by epoch, calling Keras callbacks where Keras would.

    What callbacks find in `params` besides Keras's entries: `began`, the monotonic time at
    which the training began, or would have in one piece; `seconds` from then to the end of
    the epoch whose hook is called; and `flushed`, that `flush` will be called on those that
    have it, so that they may collect what they write until then.

    Ctrl-C and SIGTERM wait for the end of the steps that run, and for a checkpoint.

    Args:
        engine: Runs the steps.
        evaluator: Measures validation (or test) rows.
        training: Epochs, shuffling, and how often to log, evaluate and checkpoint.
        seed: Of the order of rows.
        callbacks: Keras callbacks, in the order they are called.
        held_out: Prefix and rows to evaluate on: `val` or `test`.
        save_checkpoint: Called with the progress where it is time for a checkpoint: after
            `training.checkpoint_seconds`, at the end of an epoch or within a long one.
        checkpoint_bytes: What it will write, about; that says when the first one may come.
    """

    engine: Engine
    evaluator: Evaluator
    training: TrainingSpec
    seed: int
    callbacks: Sequence[keras.callbacks.Callback]
    held_out: tuple[str, Rows]
    save_checkpoint: Callable[[Progress], None]
    checkpoint_bytes: int = 0

    def run(
        self,
        progress: Progress,
        until: int | None = None,
        *,
        state: Checkpoint | None = None,
        checkpoint_first: bool = False,
    ) -> Progress:
        """Trains from `progress` to the end, or until a callback asks for a stop.

        `on_train_begin` is called in each process that trains, since callbacks open their
        files there; what it changes in a training that goes on is undone by `state`. All
        other hooks are called once for what they are called for, as without a pause.

        Args:
            progress: How far the training has come.
            until: Pause after so many epochs: what is done once at the end of a training,
                such as putting the best weights back, is then left to a later call.
            state: The captured state that `progress` is of, put back after
                `on_train_begin`.
            checkpoint_first: Whether to checkpoint before the first step.

        Returns:
            The same object, advanced.

        Raises:
            NumbersError: If a loss or a weight is NaN or infinite.
            CheckpointError: If `state` is of another training.
            DiskError: If a callback meets a full disk.
        """
        model, steps = self.engine.model, self.engine.steps_per_epoch
        self._last_epoch = min(until or self.training.epochs, self.training.epochs)
        self._params: dict[str, Any] = {
            "epochs": self.training.epochs,
            "steps": steps,
            "verbose": 0,
            "began": time.monotonic() - progress.seconds,
            "seconds": progress.seconds,
            "flushed": True,
        }
        self._began, self._checkpointed = self._params["began"], time.monotonic()
        self._checkpoint_took = min(
            self.checkpoint_bytes / _WRITTEN_PER_SECOND, _CHECKPOINT_SHARE * _FIRST
        )
        model.stop_training = progress.stopped
        self._hooks = Hooks(
            self.callbacks, model, self._params, progress.history, progress.epoch
        )
        with ExitStack() as stack:  # what is opened is closed, whatever else fails
            for close in self._hooks.closers():
                stack.callback(close)
            stack.callback(self._hooks.flush)
            self._hooks.begin()
            if state is not None:
                restore(state, model, self.callbacks)
            else:  # Keras's BackupAndRestore has perhaps put the weights of an epoch back
                backed_up = min(initial_epoch(model), self.training.epochs)
                progress.epoch = max(progress.epoch, backed_up)
            if checkpoint_first:
                self.save_checkpoint(progress)
            self._train(progress)
        return progress

    def _train(self, progress: Progress) -> None:
        model = self.engine.model
        with Interrupts() as self._interrupts:
            while progress.epoch < self._last_epoch and not progress.stopped:
                self._epochs(progress)
        progress.seconds = time.monotonic() - self._began
        if progress.stopped or progress.epoch == self.training.epochs:
            # As Keras's `fit` ends: with `use_ema` the averages become the weights.
            model.optimizer.finalize_variable_values(model.trainable_variables)
            self._hooks.call("on_train_end", dict(progress.logs))

    def _epochs(self, progress: Progress) -> None:
        """Trains one epoch, or several at once where nobody acts in between."""
        first, steps = progress.epoch, self.engine.steps_per_epoch
        count = self._epochs_at_once(progress)
        self.engine.begin(np.stack([self._order(first + number) for number in range(count)]))
        if progress.step == 0:
            self._hooks.call("on_epoch_begin", first, {})
        block = self._block(progress, count)
        while (
            progress.step < count * steps
            and block.first_bad_step < 0
            and not self.engine.model.stop_training
        ):
            block = self._block(progress, count)
        if block.first_bad_step < 0:
            if not block.epochs:  # stopped within an epoch
                block.epochs.append(block.logs)
            if not self.engine.weights_are_finite():
                raise _not_finite(first + len(block.epochs) - 1, steps - 1, "weights")
        began, now = self._params["seconds"], time.monotonic() - self._began
        for number, logs in enumerate(block.epochs, start=1):
            if number > 1:
                self._hooks.call("on_epoch_begin", progress.epoch, {})
            if count > 1:
                self._hooks.end_block(steps - 1, self._trained(logs))
            self._params["seconds"] = began + (now - began) * number / len(block.epochs)
            self._end_of_epoch(progress, logs)
        self._hooks.flush()
        if block.first_bad_step >= 0:
            epoch, step = divmod(block.first_bad_step, steps)
            raise _not_finite(first + epoch, step, "loss")
        progress.stopped = bool(self.engine.model.stop_training)
        self._checkpoint_if_due(progress)

    def _end_of_epoch(self, progress: Progress, logs: dict[str, float]) -> None:
        prefix = f"{self.held_out[0]}_"
        measured = {
            name.removeprefix(prefix): value
            for name, value in logs.items()
            if name.startswith(prefix)
        }
        if measured:
            self._hooks.call("on_test_begin", {})
            self._hooks.call("on_test_end", measured)
        else:
            logs = {**logs, **self._evaluate()}
            self._params["seconds"] = time.monotonic() - self._began
        logs.pop("batch_loss", None)
        check_finite(logs, f"training, epoch {progress.epoch + 1}")
        seen = dict(logs)
        self._hooks.call("on_epoch_end", progress.epoch, seen)
        progress.end_epoch(logs, seen)

    def _block(self, progress: Progress, count: int) -> Block:
        """Runs steps up to the next one at which anybody wants to be called."""
        first, steps = progress.step, self.engine.steps_per_epoch
        before = progress.epoch * steps  # steps of the whole training
        last = self._next_stop(before, first) if count == 1 else count * steps
        self._hooks.begin_batch(first)
        block = self.engine.run(first, last, evaluate=not self._hooks.may_disturb_a_test)
        done = before + last
        progress.step = last

        logs = dict(block.logs)
        every = self.training.evaluate_every
        # The epoch's last step is evaluated by the epoch itself.
        evaluated = bool(every and done % every == 0 and last < steps)
        if evaluated:
            logs |= self._evaluate()
        if count == 1:
            self._hooks.end_batch(last - 1, logs, done=done, evaluated=evaluated)
        # A stop within an epoch ends it early: only then is the state one to go on from.
        stopped = self.engine.model.stop_training or block.first_bad_step >= 0
        if last < steps and not stopped:
            self._hooks.flush()
            self._checkpoint_if_due(progress)
        return block

    def _trained(self, logs: dict[str, float]) -> dict[str, float]:
        """Returns the means over an epoch without those of held-out rows."""
        prefix = f"{self.held_out[0]}_"
        return {name: v for name, v in logs.items() if not name.startswith(prefix)}

    def _epochs_at_once(self, progress: Progress) -> int:
        if (
            progress.step
            or self.engine.window_rows
            or self.training.evaluate_every
            or self.engine.model.stop_training
            or any(isinstance(every, int) for every in self._hooks.wanted)
            or self._hooks.may_act_within
        ):
            return 1
        return min(self.engine.epochs_at_once, self._last_epoch - progress.epoch)

    def _order(self, epoch: int) -> np.ndarray:
        rows, shuffle = self.engine.num_rows, self.training.shuffle
        window = self.engine.window_rows
        return epoch_order(rows, seed=self.seed, epoch=epoch, shuffle=shuffle, window=window)

    def _next_stop(self, done: int, first: int) -> int:
        """Returns the step of the epoch before which the next block ends."""
        if self.engine.model.stop_training:  # before a batch, after which Keras's `fit` looks
            return first + 1
        stops = [self.engine.steps_per_epoch, first + self.engine.steps_at_once]
        for every in (*self._hooks.wanted, self.training.evaluate_every):
            if isinstance(every, int):
                stops.append(((done + first) // every + 1) * every - done)
        return min(stops)

    def _evaluate(self) -> dict[str, float]:
        prefix, rows = self.held_out
        self._hooks.call("on_test_begin", {})
        logs = self.evaluator.evaluate(rows)
        self._hooks.call("on_test_end", dict(logs))
        return {f"{prefix}_{name}": value for name, value in logs.items()}

    def _checkpoint_if_due(self, progress: Progress) -> None:
        began = time.monotonic()
        apart = max(
            self.training.checkpoint_seconds, self._checkpoint_took / _CHECKPOINT_SHARE
        )
        if self._interrupts.heard or began - self._checkpointed >= apart:
            if progress.step and not self.engine.weights_are_finite():
                raise _not_finite(progress.epoch, progress.step - 1, "weights")
            progress.stopped = bool(self.engine.model.stop_training)
            progress.seconds = began - self._began
            self.save_checkpoint(progress)
            self._checkpointed = time.monotonic()
            self._checkpoint_took = self._checkpointed - began
        self._interrupts.obey()


def check_finite(metrics: Mapping[str, float], where: str) -> None:
    """Refuses numbers that would be reported as a success.

    Raises:
        NumbersError: If a metric is NaN or infinite.
    """
    findings = [
        Finding(
            f"{where}, {name}",
            "a finite number",
            str(value),
            "Look at the size of the targets and the outputs; a loss may be finite while "
            "its squares are not.",
        )
        for name, value in metrics.items()
        if not math.isfinite(value)
    ]
    if findings:
        raise NumbersError(*findings)


def _not_finite(epoch: int, step: int, what: str) -> NumbersError:
    return NumbersError(
        Finding(
            f"training, epoch {epoch + 1}, step {step + 1}",
            f"a finite {what}" if what == "loss" else f"finite {what}",
            "NaN or infinity",
            "Lower training.optimizer.learning_rate, scale the inputs (data.scale), or "
            "start from smaller weights (network.init).",
        )
    )
