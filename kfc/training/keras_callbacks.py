"""Keras's callbacks that a spec can name -> the same, with a state that a resume puts back."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kfc.training.appended import Appended

_SAVED = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    "ModelCheckpoint": ("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
    "ReduceLROnPlateau": ("best", "wait", "cooldown_counter"),
    "SwapEMAWeights": ("_ema_weights_in_model",),
}
"""Class -> the attributes that change while it is trained with."""


class _Saved:
    """Saves those attributes; most are set anew in `on_train_begin`, so they come after it."""

    _resumed: Mapping[str, Any] | None = None

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Begins as Keras's does, and then puts back what was saved."""
        super().on_train_begin(logs)  # type: ignore[misc]  # of Keras's class, the next in line
        for name, value in (self._resumed or {}).items():
            setattr(self, name, value)
        self._resumed = None

    def get_state(self) -> dict[str, Any]:
        """Returns what a resumed training needs to go on as if it had not stopped."""
        state: dict[str, Any] = {}
        for name in _SAVED[type(self).__name__]:
            value = getattr(self, name, None)  # some are there from the first epoch on
            if isinstance(value, list):
                state |= {f"{name}/{number}": part for number, part in enumerate(value)}
            else:
                state[name] = value
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_state` returned."""
        resumed = {name: state[name] for name in state if "/" not in name}
        parts = sorted(
            (key for key in state if "/" in key), key=lambda k: int(k.split("/")[1])
        )
        for key in parts:
            resumed.setdefault(key.split("/")[0], []).append(np.asarray(state[key]))
        if unknown := resumed.keys() - set(_SAVED[type(self).__name__]):
            raise ValueError(f"unknown {', '.join(sorted(unknown))}")
        self._resumed = resumed


class _CSVLogger(keras.callbacks.CSVLogger):
    """Appends on a resume, to the rows that the commit counts."""

    def get_state(self) -> dict[str, Any]:
        """Returns how much of its file a resumed training does not repeat."""
        return Appended(Path(self.filename)).state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Cuts off what a resumed training repeats."""
        Appended(Path(self.filename)).cut(state)
        self.append = True

    def close(self) -> None:
        """Closes its file, also when training ends with an error."""
        self.on_train_end()


@functools.cache
def resumable(kind: type[keras.callbacks.Callback]) -> type[keras.callbacks.Callback]:
    """Returns a class of Keras's with its state saved, where kfc knows what that is."""
    if kind is keras.callbacks.CSVLogger:
        return type(kind.__name__, (_CSVLogger,), {})
    return type(kind.__name__, (_Saved, kind), {}) if kind.__name__ in _SAVED else kind
