"""Keras's own callbacks: their state, their files, and those that kfc refuses.

Keras saves no callback with a training. `kfc.compat` knows which attributes of each of its
classes change during training; a subclass of one needs `get_state` and `set_state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kfc.compat import close_tensorboard, state_attributes
from kfc.training.checkpoints import Appended

REFUSED = {
    "OrbaxCheckpoint": "kfc saves the complete state itself: `kfc.resume` continues from it.",
}
"""Class -> what to do instead."""


def is_known(callback: keras.callbacks.Callback) -> bool:
    """Returns whether a callback is of a class of Keras's whose state is saved here."""
    return state_attributes(callback) is not None


def state(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Returns the state of a callback of Keras's: plain values and arrays."""
    saved: dict[str, Any] = {}
    for name in state_attributes(callback) or ():
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
    if unknown := values.keys() - set(state_attributes(callback) or ()):
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
        close_tensorboard(callback)
    elif callable(own := getattr(callback, "close", None)):
        own()


def _log(callback: keras.callbacks.Callback) -> Appended | None:
    if type(callback) is keras.callbacks.CSVLogger:
        return Appended(Path(callback.filename))
    return None
