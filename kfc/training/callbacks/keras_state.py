"""State and files of Keras's own callbacks, and the callbacks that kfc refuses.

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
from kfc.training.checkpoints import LogFiles

REFUSED = {
    "OrbaxCheckpoint": "kfc saves the complete state itself: `kfc.resume` continues from it.",
}
"""Class -> remedy."""


def is_known(callback: keras.callbacks.Callback) -> bool:
    """Returns whether the class of a callback is one of Keras's own, with a known state."""
    return state_attributes(callback) is not None


def state_of(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Returns the state of a Keras callback: plain values and arrays."""
    saved: dict[str, Any] = {}
    for name in state_attributes(callback) or ():
        value = getattr(callback, name, None)
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            saved |= {f"{name}/{number}": part for number, part in enumerate(value)}
        elif keras.ops.is_tensor(value):
            saved[name] = np.asarray(value)
        elif hasattr(callback, name):  # the first epoch creates some
            saved[name] = value
    if log := _log(callback):
        saved |= log.state()
    return saved


def truncate_log(callback: keras.callbacks.Callback, saved: Mapping[str, Any]) -> None:
    """Truncates the file of a callback to its length at a checkpoint, before it is opened.

    Raises:
        CheckpointError: If the file does not begin with the bytes of the checkpoint.
    """
    if log := _log(callback):
        log.truncate_to(saved)
        callback.append = True


def restore_attributes(callback: keras.callbacks.Callback, saved: Mapping[str, Any]) -> None:
    """Restores a state after `on_train_begin`, in which most Keras callbacks reset theirs.

    Raises:
        ValueError: If it is not the state of such a callback.
    """
    # A list of arrays was saved as `name/0`, `name/1`, ...
    values = {name: value for name, value in saved.items() if name != "files"}
    parts = sorted((key for key in values if "/" in key), key=lambda k: int(k.split("/")[1]))
    for key in parts:
        values.setdefault(key.split("/")[0], []).append(np.asarray(values.pop(key)))
    if unknown := values.keys() - set(state_attributes(callback) or ()):
        raise ValueError(f"unknown {', '.join(sorted(unknown))}")
    for name, value in values.items():
        setattr(callback, name, value)


def discard_log(callback: keras.callbacks.Callback, folder: Path) -> None:
    """Removes the file in a run folder whose training begins from the start again."""
    if log := _log(callback):
        log.remove_in(folder)


def set_model(callback: keras.callbacks.Callback, model: Any) -> None:
    """Sets the model of a callback; TensorBoard draws the plain network that it trains."""
    if isinstance(callback, keras.callbacks.TensorBoard):
        callback.set_model(model.plain)  # it draws only models of Keras's own classes
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


def _log(callback: keras.callbacks.Callback) -> LogFiles | None:
    if type(callback) is keras.callbacks.CSVLogger:
        return LogFiles(Path(callback.filename))
    return None
