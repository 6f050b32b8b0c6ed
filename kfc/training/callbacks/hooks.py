"""Callbacks -> their hooks, called as Keras's `fit` calls them."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kfc.errors import DiskError, Finding, KfcError
from kfc.training.callbacks import keras_state
from kfc.training.callbacks.from_spec import (
    BATCH_HOOKS,
    EPOCH_HOOKS,
    TEST_HOOKS,
    may_act,
    wants_batches,
)

_OF_DISKS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
    *(errno.EIO, errno.EACCES, errno.EPERM),
}
"""What an operating system says of a disk that cannot be written."""


class _History(keras.callbacks.History):
    """The history of `fit`, which Keras calls after all other callbacks."""

    only_reads = True


class Hooks:
    """The callbacks of a training, in the order in which they are called.

    As in Keras's `fit`, `model.history` is a `History`: the caller's own, or one that is
    called last and so holds what the callbacks before it have added to `logs`.

    Args:
        callbacks: Keras callbacks.
        model: What trains.
        params: What callbacks find in their `params`.
        history: Metric -> a value for each epoch that an earlier process has trained.
        epoch: Epochs that it has trained.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        params: Mapping[str, Any],
        history: Mapping[str, list[Any]],
        epoch: int,
    ) -> None:
        self._callbacks = list(callbacks)
        given = [each for each in callbacks if isinstance(each, keras.callbacks.History)]
        self._own = None if given else _History()
        if self._own:
            self._callbacks.append(self._own)
            self._own.history = {name: list(values) for name, values in history.items()}
        self._epochs = list(range(epoch))[-max(map(len, history.values()), default=0) :]
        model.history = given[-1] if given else self._own
        for callback in self._callbacks:
            keras_state.set_model(callback, model)
            callback.set_params(params)
        self.wanted = [wants_batches(callback) for callback in self._callbacks]
        # What acts at the end of a batch, or of a test, does so before, or in, the test.
        self.may_disturb_a_test = self._may_act(*BATCH_HOOKS, *TEST_HOOKS)
        self.may_act_within = self._may_act(*BATCH_HOOKS, *EPOCH_HOOKS, *TEST_HOOKS)

    def begin(self) -> None:
        """Calls `on_train_begin`, also for a training that goes on: callbacks open files."""
        self.call("on_train_begin", {})
        if self._own:
            self._own.epoch = self._epochs

    def call(self, hook: str, *arguments: object) -> None:
        """Calls a hook of each callback; what one of them puts into `logs` the next sees."""
        for callback in self._callbacks:
            call_hook(callback, hook, *arguments)

    def begin_batch(self, step: int) -> None:
        """Calls those that want to be called at every step."""
        for callback, wanted in zip(self._callbacks, self.wanted, strict=True):
            if wanted == 1:
                call_hook(callback, "on_train_batch_begin", step, {})

    def end_batch(
        self, step: int, logs: dict[str, float], *, done: int, evaluated: bool
    ) -> None:
        """Calls those that are to be called after a step.

        Args:
            step: Of the epoch, from 0.
            logs: Means over the epoch so far.
            done: Steps of the whole training.
            evaluated: Whether it was followed by an evaluation, which logs write down.
        """
        for callback, wanted in zip(self._callbacks, self.wanted, strict=True):
            due = wanted == "block" or (isinstance(wanted, int) and done % wanted == 0)
            if due or (evaluated and hasattr(callback, "called_every")):
                call_hook(callback, "on_train_batch_end", step, logs)

    def end_block(self, step: int, logs: dict[str, float]) -> None:
        """Calls those that want to be called whenever a block of steps is over."""
        for callback, wanted in zip(self._callbacks, self.wanted, strict=True):
            if wanted == "block":
                call_hook(callback, "on_train_batch_end", step, logs)

    def flush(self) -> None:
        """Lets logs write what they have collected."""
        for callback in self._callbacks:
            if getattr(callback, "only_reads", False) is True and hasattr(callback, "flush"):
                call_hook(callback, "flush")

    def closers(self) -> Iterator[Any]:
        """Yields for each callback the function that closes its files, the last one first."""
        for callback in reversed(self._callbacks):
            yield lambda callback=callback: _guarded(
                callback, lambda: keras_state.close(callback)
            )

    def _may_act(self, *hooks: str) -> bool:
        return any(may_act(callback, hooks) for callback in self._callbacks)


def call_hook(callback: keras.callbacks.Callback, hook: str, *arguments: object) -> None:
    """Calls a hook of a callback, or another method of it.

    Raises:
        DiskError: If it meets a full disk.
    """
    _guarded(callback, lambda: getattr(callback, hook)(*arguments))


def _guarded(callback: keras.callbacks.Callback, call: Any) -> None:
    """Calls a function of a callback, which may meet a full disk.

    Raises:
        DiskError: If it does; TensorFlow's writers have errors of their own.
    """
    try:
        call()
    except KfcError:
        raise
    except OSError as error:
        if error.errno not in _OF_DISKS:
            raise
        raise _full(callback, error.filename, error.strerror or str(error)) from error
    except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:
        raise _full(callback, None, error.message.rpartition("; ")[2]) from error


def _full(callback: keras.callbacks.Callback, path: Any, reason: str) -> DiskError:
    where = type(callback).__name__ + (f", {path}" if path else "")
    return DiskError(
        Finding(
            where,
            "a place that can be written",
            reason,
            "Free space or change the permissions, or name another folder.",
        )
    )
