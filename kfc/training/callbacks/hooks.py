"""Calls of the hooks of callbacks, where Keras's `fit` calls them."""

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
    TEST_HOOKS,
    batch_hook_interval,
    may_change_training,
    need_single_epochs,
    only_stops,
)

_DISK_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
    *(errno.EIO, errno.EACCES, errno.EPERM),
}
"""Error numbers of an operating system for a disk that cannot be written."""


class _History(keras.callbacks.History):
    """The history of `fit`, which Keras calls after all other callbacks."""

    only_reads = True


class Hooks:
    """The callbacks of a training, in the order in which they are called.

    As in Keras's `fit`, `model.history` is a `History`: the caller's own, or one that is
    called last, so that it holds the entries that other callbacks have added to `logs`.

    Args:
        callbacks: Keras callbacks.
        model: Model that trains.
        params: Entries of the callbacks' `params`.
        history: Metric -> one value for each epoch that an earlier process has trained.
        epoch: Number of epochs that an earlier process has trained.
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
        # The history: the caller's, or one of our own with the epochs before a resume.
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
        self.intervals = [batch_hook_interval(callback) for callback in self._callbacks]
        # A callback that may change the model before or during a test sees it evaluated
        # after its hooks; one that acts within or between epochs ends an execution there.
        self.may_disturb_a_test = self._may_change(*BATCH_HOOKS, *TEST_HOOKS)
        self.read_epochs = any(only_stops(callback) for callback in self._callbacks)
        self.need_single_epochs = need_single_epochs(self._callbacks)

    def begin(self) -> None:
        """Calls `on_train_begin`, after a resume too, since callbacks open files there."""
        self.call("on_train_begin", {})
        if self._own:
            self._own.epoch = self._epochs

    def call(self, hook: str, *arguments: object) -> None:
        """Calls a hook of each callback; each sees the values that others added to `logs`."""
        for callback in self._callbacks:
            call_hook(callback, hook, *arguments)

    def begin_batch(self, step: int) -> None:
        """Calls `on_train_batch_begin` of the callbacks that are called at every step."""
        for callback, interval in zip(self._callbacks, self.intervals, strict=True):
            if interval == 1:
                call_hook(callback, "on_train_batch_begin", step, {})

    def end_batch(
        self, step: int, logs: dict[str, float], *, done: int, evaluated: bool
    ) -> None:
        """Calls `on_train_batch_end` of the callbacks that are due.

        Args:
            step: Step of the epoch, from 0.
            logs: Means over the epoch so far.
            done: Number of steps of the training so far.
            evaluated: Whether an evaluation followed the step; a log records it.
        """
        for callback, interval in zip(self._callbacks, self.intervals, strict=True):
            is_multiple = isinstance(interval, int) and done % interval == 0
            due = interval == "execution" or is_multiple
            if due or (evaluated and hasattr(callback, "called_every")):
                call_hook(callback, "on_train_batch_end", step, logs)

    def end_execution(self, step: int, logs: dict[str, float]) -> None:
        """Calls `on_train_batch_end` of the callbacks with `called_every = "execution"`."""
        for callback, interval in zip(self._callbacks, self.intervals, strict=True):
            if interval == "execution":
                call_hook(callback, "on_train_batch_end", step, logs)

    def next_due(self, epoch: int) -> int | None:
        """Returns the number of epochs after which an execution has to end; None for any.

        Args:
            epoch: Number of epochs so far.
        """
        logs = [each for each in self._callbacks if hasattr(each, "next_due")]
        due = [each.next_due(epoch) for each in logs]
        return min((each for each in due if each is not None), default=None)

    def flush(self) -> None:
        """Lets logs write the lines that they have collected."""
        for callback in self._callbacks:
            if getattr(callback, "only_reads", False) is True and hasattr(callback, "flush"):
                call_hook(callback, "flush")

    def closers(self) -> Iterator[Any]:
        """Yields a function for each callback, the last one first, that closes its files."""
        for callback in reversed(self._callbacks):
            yield lambda callback=callback: _guarded(
                callback, lambda: keras_state.close(callback)
            )

    def _may_change(self, *hooks: str) -> bool:
        return any(may_change_training(callback, hooks) for callback in self._callbacks)


def call_hook(callback: keras.callbacks.Callback, hook: str, *arguments: object) -> None:
    """Calls a hook, or another method, of a callback.

    Raises:
        DiskError: If the disk is full.
    """
    _guarded(callback, lambda: getattr(callback, hook)(*arguments))


def _guarded(callback: keras.callbacks.Callback, call: Any) -> None:
    """Calls a function that writes the files of a callback.

    Raises:
        DiskError: If the disk is full, which TensorFlow's writers report by other errors.
    """
    try:
        call()
    except KfcError:
        raise
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
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
