"""An engine and callbacks -> epochs: the order of rows, the hooks, the evaluations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras

from kfc.data import Rows
from kfc.data.order import epoch_order
from kfc.errors import Fault, NumbersError
from kfc.spec.schema import Training
from kfc.training.callbacks import wants_batches
from kfc.training.checkpoint import Progress
from kfc.training.engine import Block, Engine, Evaluator

_BLOCK_OPERATIONS = 4e9
"""Multiplications per graph call, about half a second: short enough for a bar that moves
and a keyboard that stops, long enough to make the call's own cost vanish."""

_STEP_OPERATIONS = 2e6
"""What a step costs besides, in the same unit: the smallest takes some 0.2 ms."""


@dataclass
class Loop:
    """Trains epoch by epoch, calling Keras callbacks where Keras would.

    Args:
        engine: Runs the steps.
        evaluator: Measures validation (or test) rows.
        training: Epochs, shuffling, and how often to log, evaluate and commit.
        seed: Of the order of rows.
        callbacks: Keras callbacks, in the order they are called.
        held_out: Prefix and rows to evaluate on: `val` or `test`.
        commit: Called with the progress where it is time for a commit.
    """

    engine: Engine
    evaluator: Evaluator
    training: Training
    seed: int
    callbacks: Sequence[keras.callbacks.Callback]
    held_out: tuple[str, Rows]
    commit: Callable[[Progress], None]

    def run(self, progress: Progress) -> Progress:
        """Trains from `progress` to the end, or until a callback asks for a stop.

        Raises:
            NumbersError: If a loss or a weight is NaN or infinite.
        """
        model, steps = self.engine.model, self.engine.steps_per_epoch
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params({"epochs": self.training.epochs, "steps": steps, "verbose": 0})
        model.stop_training = progress.stopped
        self._committed = time.monotonic()
        try:
            self._call("on_train_begin", {})
            while progress.epoch < self.training.epochs and not model.stop_training:
                self._epoch(progress)
            progress.stopped = bool(model.stop_training)
            # As Keras's `fit` ends: with `use_ema` the averages become the weights.
            model.optimizer.finalize_variable_values(model.trainable_variables)
            last = {name: values[-1] for name, values in progress.history.items()}
            self._call("on_train_end", last)
        finally:
            for callback in self.callbacks:
                getattr(callback, "close", lambda: None)()
        return progress

    def _epoch(self, progress: Progress) -> None:
        model, epoch = self.engine.model, progress.epoch
        shuffle = self.training.shuffle
        rows = self.engine.num_rows
        self.engine.begin_epoch(
            epoch_order(rows, seed=self.seed, epoch=epoch, shuffle=shuffle)
        )
        if progress.step == 0:
            model.reset_metrics()
        self._call("on_epoch_begin", epoch, {})
        block = Block({}, -1)
        while progress.step < self.engine.steps_per_epoch and not model.stop_training:
            block = self._block(progress)
        logs = {**block.logs, **self._evaluate()}
        logs.pop("batch_loss", None)
        if not self.engine.weights_are_finite():
            raise _not_finite(epoch, progress.step - 1, "weights")
        check_finite(logs, f"training, epoch {epoch + 1}")
        for name, value in logs.items():
            progress.history.setdefault(name, []).append(value)
        self._call("on_epoch_end", epoch, logs)
        progress.epoch, progress.step = epoch + 1, 0
        self._commit_if_due(progress)

    def _block(self, progress: Progress) -> Block:
        """Runs steps up to the next one at which anybody wants to be called."""
        epoch, first = progress.epoch, progress.step
        last = self._next_stop(epoch, first)
        begin = [callback for callback in self.callbacks if wants_batches(callback) == 1]
        for callback in begin:
            callback.on_train_batch_begin(first, {})
        block = self.engine.run(first, last)
        done = epoch * self.engine.steps_per_epoch + last  # steps of the whole training
        progress.step = last

        logs = dict(block.logs)
        every = self.training.evaluate_every
        # The epoch's last step is evaluated by the epoch itself.
        evaluated = bool(every and done % every == 0 and last < self.engine.steps_per_epoch)
        if evaluated:
            logs |= self._evaluate()
        for callback in self.callbacks:
            wanted = wants_batches(callback)
            due = wanted == "block" or (isinstance(wanted, int) and done % wanted == 0)
            if due or (evaluated and hasattr(callback, "called_every")):
                callback.on_train_batch_end(last - 1, logs)
        if block.first_bad_step >= 0:
            raise _not_finite(epoch, block.first_bad_step, "loss")
        # A stop within an epoch ends it early: only then is the state one to go on from.
        if last < self.engine.steps_per_epoch and not self.engine.model.stop_training:
            self._commit_if_due(progress)
        return block

    def _next_stop(self, epoch: int, first: int) -> int:
        """Returns the step of the epoch before which the next block ends."""
        steps, done = self.engine.steps_per_epoch, epoch * self.engine.steps_per_epoch
        stops = [steps, first + self._block_steps()]
        wanted = [wants_batches(callback) for callback in self.callbacks]
        for every in (*wanted, self.training.evaluate_every):
            if isinstance(every, int):
                stops.append(((done + first) // every + 1) * every - done)
        return min(stops)

    def _block_steps(self) -> int:
        weights = self.engine.model.count_params()
        operations = 3 * weights * self.engine.batch_size  # forward, and two for gradients
        return max(1, int(_BLOCK_OPERATIONS / (operations + _STEP_OPERATIONS)))

    def _evaluate(self) -> dict[str, float]:
        prefix, rows = self.held_out
        self._call("on_test_begin", {})
        logs = self.evaluator.evaluate(rows)
        self._call("on_test_end", logs)
        return {f"{prefix}_{name}": value for name, value in logs.items()}

    def _commit_if_due(self, progress: Progress) -> None:
        if time.monotonic() - self._committed >= self.training.commit_seconds:
            progress.stopped = bool(self.engine.model.stop_training)
            self.commit(progress)
            self._committed = time.monotonic()

    def _call(self, hook: str, *arguments: object) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)


def check_finite(metrics: Mapping[str, float], where: str) -> None:
    """Refuses numbers that would be reported as a success.

    Raises:
        NumbersError: If a metric is NaN or infinite.
    """
    faults = [
        Fault(
            f"{where}, {name}",
            "a finite number",
            str(value),
            "Look at the size of the targets and the outputs; a loss may be finite while "
            "its squares are not.",
        )
        for name, value in metrics.items()
        if not math.isfinite(value)
    ]
    if faults:
        raise NumbersError(*faults)


def _not_finite(epoch: int, step: int, what: str) -> NumbersError:
    return NumbersError(
        Fault(
            f"training, epoch {epoch + 1}, step {step + 1}",
            f"a finite {what}" if what == "loss" else f"finite {what}",
            "NaN or infinity",
            "Lower training.optimizer.learning_rate, scale the inputs (data.scale), or "
            "start from smaller weights (network.init).",
        )
    )
