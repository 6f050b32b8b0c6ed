"""Keras's own callbacks: their state, their files, and those that kfc refuses.

Keras saves no callback with a training. For each of its classes a table here says which
attributes change while it trains; whoever subclasses one gives it `get_state` and
`set_state`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kfc.training.checkpoints import Appended

_SAVED: dict[str, tuple[str, ...]] = {
    "BackupAndRestore": (
        *("_current_epoch", "_last_batch_seen", "_batches_seen_since_last_saving"),
    ),
    "CSVLogger": ("keys",),
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    "History": ("history", "epoch"),
    "LearningRateScheduler": (),  # the rate is the optimizer's
    "ModelCheckpoint": (
        *("best", "_current_epoch", "_batches_seen_since_last_saving", "_last_batch_seen"),
    ),
    "ProgbarLogger": (),
    "ReduceLROnPlateau": ("best", "wait", "cooldown_counter"),
    "RemoteMonitor": (),
    "SwapEMAWeights": ("_ema_weights_in_model",),
    "TensorBoard": (
        *("_global_train_batch", "_global_test_batch", "_epoch_start_time"),
        "_previous_epoch_iterations",
    ),
    "TerminateOnNaN": (),
}
"""Class -> the attributes that its hooks change and that decide how it goes on."""

REFUSED = {
    "OrbaxCheckpoint": "kfc saves the complete state itself: `kfc.resume` continues from it.",
}
"""Class -> what to do instead."""


def is_known(callback: keras.callbacks.Callback) -> bool:
    """Returns whether a callback is of a class of Keras's whose state is saved here."""
    name = type(callback).__name__
    return name in _SAVED and type(callback) is getattr(keras.callbacks, name, None)


def state(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Returns the state of a callback of Keras's: plain values and arrays."""
    saved: dict[str, Any] = {}
    for name in _SAVED[type(callback).__name__]:
        value = getattr(callback, name, None)
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            saved |= {f"{name}/{number}": part for number, part in enumerate(value)}
        elif keras.ops.is_tensor(value):
            saved[name] = np.asarray(value)
        elif hasattr(callback, name):  # some are there from the first epoch on
            saved[name] = value
    if log := _log(callback):
        saved |= log.state()
    return saved


def prepare(callback: keras.callbacks.Callback, saved: Mapping[str, Any]) -> None:
    """Cuts off the rows of a file that a resumed training repeats, before it is opened.

    Raises:
        CheckpointError: If the file does not begin with the rows of the checkpoint.
    """
    if log := _log(callback):
        log.cut(saved)
        callback.append = True


def put_back(callback: keras.callbacks.Callback, saved: Mapping[str, Any]) -> None:
    """Puts a state back after `on_train_begin`, in which most of Keras's begin anew.

    Raises:
        ValueError: If it is not a state of such a callback.
    """
    values = {name: value for name, value in saved.items() if name != "files"}
    parts = sorted((key for key in values if "/" in key), key=lambda k: int(k.split("/")[1]))
    for key in parts:
        values.setdefault(key.split("/")[0], []).append(np.asarray(values.pop(key)))
    if unknown := values.keys() - set(_SAVED[type(callback).__name__]):
        raise ValueError(f"unknown {', '.join(sorted(unknown))}")
    for name, value in values.items():
        setattr(callback, name, value)


def begin_again(callback: keras.callbacks.Callback, folder: Path) -> None:
    """Removes the file in a run folder of a process that ended before its first checkpoint."""
    if log := _log(callback):
        log.remove(folder)


def set_model(callback: keras.callbacks.Callback, model: Any) -> None:
    """Tells a callback its model; TensorBoard draws the plain network that it trains."""
    if isinstance(callback, keras.callbacks.TensorBoard):
        callback.set_model(model.plain)  # it looks for a class of Keras's own
        keras.callbacks.Callback.set_model(callback, model)
    else:
        callback.set_model(model)


def close(callback: keras.callbacks.Callback) -> None:
    """Closes the files of a callback, also when a training ends with an error."""
    if isinstance(callback, keras.callbacks.CSVLogger) and callback.csv_file:
        callback.csv_file.close()
    elif isinstance(callback, keras.callbacks.TensorBoard):
        # Otherwise a later training in this process would write to this one's files.
        while callback._prev_summary_state:
            callback._pop_writer()
        for writer in callback._writers.values():
            with contextlib.suppress(RuntimeError):  # it was closed by `on_train_end`
                writer.close()
    elif callable(own := getattr(callback, "close", None)):
        own()


def initial_epoch(model: keras.Model) -> int:
    """Returns the epoch at which Keras's `fit` would begin; BackupAndRestore sets it."""
    return int(getattr(model, "_initial_epoch", None) or 0)


def _log(callback: keras.callbacks.Callback) -> Appended | None:
    if type(callback) is keras.callbacks.CSVLogger:
        return Appended(Path(callback.filename))
    return None
