"""A monitored metric -> when to stop, and with which weights.

Keras callbacks that work on any model. Their state is saved with a run: `get_state`
returns what `set_state` takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kfc.errors import Finding, SpecError
from kfc.spec import METRICS

Logs = Mapping[str, float] | None


def direction(metric: str, mode: str = "auto") -> str:
    """Returns `min` or `max`: which way a metric becomes better.

    Args:
        metric: Its name, with or without `val_`.
        mode: `min`, `max`, or `auto` for a metric that kfc records.

    Raises:
        SpecError: If `mode` is none of these, or is `auto` for an unknown metric.
    """
    if mode in ("min", "max"):
        return mode
    name = metric.removeprefix("val_")
    if mode != "auto" or name not in METRICS:
        raise SpecError(
            Finding(
                "monitor",
                f"one of {', '.join(METRICS)} (or val_...), or mode='min' or 'max'",
                f"{metric!r} with mode={mode!r}",
                "Say in which direction other metrics become better.",
            )
        )
    return METRICS[name]


class EarlyStopping(keras.callbacks.Callback):
    """Stops when a metric has not become better for some epochs; its state is saved.

    Better means by more than `min_delta`, in the metric's own direction. Prechelt, "Early
    stopping - but when?", 1998, https://doi.org/10.1007/3-540-49430-8_3.

    Args:
        monitor: A recorded metric, such as `val_loss` or `val_accuracy`.
        patience: Epochs without progress before the stop, of at least 0; as in Keras, 0
            means the same as 1: the first epoch without progress is the last.
        min_delta: Smallest progress that counts, of at least 0.
        restore_best_weights: Whether training ends with the best epoch's weights.
        mode: `min` or `max`: which way the metric becomes better; `auto` knows kfc's own.
    """

    called_every = None

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best_weights: bool = True,
        mode: str = "auto",
    ) -> None:
        super().__init__()
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.restore_best_weights = restore_best_weights
        self._sign = 1.0 if direction(monitor, mode) == "min" else -1.0
        self._resumed = False
        self._forget()

    def _forget(self) -> None:
        self.best, self.best_epoch, self.wait = math.inf, -1, 0
        self.best_weights: list[np.ndarray] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forgets an earlier training, unless its state was just put back."""
        if not self._resumed:
            self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compares, and asks for a stop when patience is over."""
        self._resumed = False
        value = self._sign * _monitored(self.monitor, logs)
        self.wait += 1
        better = value + self.min_delta < self.best
        if better:
            self.best, self.wait = value, 0
        if better or self.best_epoch < 0:  # the first epoch is best even if it is NaN
            self.best_epoch = epoch
            self.best_weights = self.model.get_weights() if self.restore_best_weights else []
        if self.wait >= max(1, self.patience) and epoch > 0:
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Puts the best epoch's weights back."""
        if self.best_weights:
            self.model.set_weights(self.best_weights)

    def get_state(self) -> dict[str, Any]:
        """Returns what a resumed training needs to stop at the same epoch."""
        state = {"best": self.best, "best_epoch": self.best_epoch, "wait": self.wait}
        return {**state, **{f"weight_{i}": w for i, w in enumerate(self.best_weights)}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_state` returned."""
        self.best, self.wait = float(state["best"]), int(state["wait"])
        self.best_epoch, self._resumed = int(state["best_epoch"]), True
        weights = [key for key in state if key.startswith("weight_")]
        self.best_weights = [np.asarray(state[f"weight_{i}"]) for i in range(len(weights))]


class BestWeights(EarlyStopping):
    """Ends training with the weights of the best epoch, without stopping early.

    Args:
        monitor: A recorded metric, such as `val_loss` or `val_accuracy`.
        mode: `min` or `max`: which way the metric becomes better; `auto` knows kfc's own.
    """

    def __init__(self, monitor: str = "val_loss", mode: str = "auto") -> None:
        super().__init__(monitor, restore_best_weights=True, mode=mode)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keeps the weights of a better epoch."""
        self.wait = -1  # never so long that it would stop
        super().on_epoch_end(epoch, logs)


def _monitored(monitor: str, logs: Logs) -> float:
    if not logs or monitor not in logs:
        known = ", ".join(logs or {}) or "nothing"
        raise SpecError(
            Finding(
                "monitor",
                f"one of the recorded metrics: {known}",
                repr(monitor),
                "Name one of them.",
            )
        )
    return float(logs[monitor])
