"""Early stopping and the best weights, by a monitored metric.

These are Keras callbacks for any model. Their state is saved with a run, by `get_state` and
`set_state`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from kfc.errors import Finding, SpecError
from kfc.spec import METRICS

Logs = Mapping[str, float] | None


def monitor_mode(metric: str, mode: str = "auto") -> str:
    """Returns `min` or `max`, the direction in which a metric improves.

    Args:
        metric: Name of the metric, with or without `val_`.
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
                "Set mode to the direction in which this metric improves.",
            )
        )
    return METRICS[name]


class EarlyStopping(keras.callbacks.Callback):
    """Stops training when a metric has stopped improving; its state is saved with a run.

    An improvement is a change of more than `min_delta` in the direction of the metric.
    Prechelt, "Early stopping - but when?", 1998, https://doi.org/10.1007/3-540-49430-8_3.

    Args:
        monitor: Name of a recorded metric, such as `val_loss` or `val_accuracy`.
        patience: Number of epochs without an improvement before the stop, at least 0. As in
            Keras, 0 means the same as 1: the first epoch without an improvement is the last.
            None never stops, and only finds the best epoch.
        min_delta: Smallest change that is an improvement, at least 0.
        restore_best_weights: Whether training ends with the weights of the best epoch.
        mode: Direction in which the metric improves, `min` or `max`; `auto` knows it for the
            metrics that kfc records.
        ties: Best epoch among equally good ones, `first` or `last`. An epoch that only equals
            the best one does not count as an improvement for `patience`.
    """

    called_every = None
    only_stops = True

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int | None = 5,
        min_delta: float = 0.0,
        restore_best_weights: bool = True,
        mode: str = "auto",
        ties: str = "first",
    ) -> None:
        super().__init__()
        if ties not in ("first", "last"):
            got = repr(ties)
            raise SpecError(Finding("ties", "first or last", got, "Choose one of them."))
        self.ties = ties
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.restore_best_weights = restore_best_weights
        self._sign = 1.0 if monitor_mode(monitor, mode) == "min" else -1.0
        self._resumed = False
        self._forget()

    def _forget(self) -> None:
        self.best, self.best_epoch, self.wait = math.inf, -1, 0
        self.best_weights: list[np.ndarray] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forgets an earlier training, unless its state was just restored."""
        if not self._resumed:
            self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compares the metric with the best one, and stops the training after `patience`."""
        self._resumed = False
        value = self._sign * _monitored(self.monitor, logs)
        self.wait += 1
        better = value + self.min_delta < self.best
        if better:
            self.best, self.wait = value, 0
        # The first epoch is the best so far even if its metric is NaN.
        equal = self.ties == "last" and value == self.best
        if better or equal or self.best_epoch < 0:
            self.best_epoch = epoch
            self.best_weights = self._weights() if self.restore_best_weights else []
        if self.patience is not None and self.wait >= max(1, self.patience) and epoch > 0:
            self.model.stop_training = True

    def _weights(self) -> list[np.ndarray]:
        """Returns copies of the weights, which an optimizer may change in place."""
        # kfc's loop may have trained several epochs before it calls the hooks of the first.
        read = (self.params or {}).get("weights", self.model.get_weights)
        weights: list[np.ndarray] = read()
        return weights

    def on_train_end(self, logs: Logs = None) -> None:
        """Restores the weights of the best epoch."""
        if self.best_weights:
            self.model.set_weights(self.best_weights)

    def get_state(self) -> dict[str, Any]:
        """Returns the state with which a resumed training stops at the same epoch."""
        state = {"best": self.best, "best_epoch": self.best_epoch, "wait": self.wait}
        return {**state, **{f"weight_{i}": w for i, w in enumerate(self.best_weights)}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores the state that `get_state` has returned."""
        self.best, self.wait = float(state["best"]), int(state["wait"])
        self.best_epoch, self._resumed = int(state["best_epoch"]), True
        weights = [key for key in state if key.startswith("weight_")]
        self.best_weights = [np.asarray(state[f"weight_{i}"]) for i in range(len(weights))]


class BestWeights(EarlyStopping):
    """Ends training with the weights of the best epoch, without stopping early.

    Args:
        monitor: Name of a recorded metric, such as `val_loss` or `val_accuracy`.
        mode: Direction in which the metric improves, `min` or `max`; `auto` knows it for the
            metrics that kfc records.
        ties: Best epoch among equally good ones, `first` or `last`.
    """

    only_stops = True

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", ties: str = "first"
    ) -> None:
        super().__init__(monitor, None, restore_best_weights=True, mode=mode, ties=ties)


def restored_epoch(callbacks: Iterable[keras.callbacks.Callback]) -> int | None:
    """Returns the epoch, from 1, whose weights a finished training has restored.

    Args:
        callbacks: Callbacks of the training.

    Returns:
        None if no callback restores weights: they are those of the last epoch.
    """
    kinds = (EarlyStopping, keras.callbacks.EarlyStopping)
    stopping = [callback for callback in callbacks if isinstance(callback, kinds)]
    epochs = [int(callback.best_epoch) + 1 for callback in stopping if callback.best_weights]
    return epochs[-1] if epochs else None


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
