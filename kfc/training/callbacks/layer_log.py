"""Logs the signal, the gradient and the update of each layer while a network trains."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kfc.data import Rows, evenly
from kfc.system import atomic
from kfc.training.callbacks.logs import Log, Logs
from kfc.training.history_values import for_json, from_json
from kfc.training.layer_numbers import LayerNumbers, LayerProbe
from kfc.training.update_trial import trial_update

LAYERS_FILE = "layers.jsonl"
"""Name of the log in a run folder."""

_SHARE = 0.03
"""At most this share of the training time is spent on measurements."""

_FIRST_SECONDS = 0.2
"""Seconds of the first measurement, which runs each operation for the first time: 0.17 for
MNIST's network and 0.22 for one of eight members, measured on two cores."""

_FIRST_BY_OTHERS = 2
"""Time of the first measurement by that of a later one: 5 and 2 of these networks."""

_ROWS = 256


class LayerLog(Log):
    """Writes a JSON line with numbers of each layer after some of the epochs.

    They are those of `LayerNumbers` on a batch of training rows: signal, gradient, and the
    update of one step with that batch, which is taken back. A measurement takes place once
    its time is at most 3 % of that of the training so far, so a training of less than seven
    seconds has none, and a long one has one after each epoch. Nothing of the training
    changes: each variable has its bits back.

    Args:
        filename: File to append to.
        rows: Encoded training rows, of which up to 256 are measured; None measures nothing.

    Attributes:
        last: Epoch, from 1, and numbers of the last measurement of this process; None before.
    """

    def __init__(self, filename: str | Path, rows: Rows | None) -> None:
        super().__init__(Path(filename))
        self.path = Path(filename)
        self._rows = rows and rows.take(evenly(len(rows), _ROWS)).loaded()
        self._probe: LayerProbe | None = None
        self._due: int | None = None
        self._spent, self._next = 0.0, _FIRST_SECONDS
        self.last: tuple[int, list[LayerNumbers]] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Notes that an epoch has ended; `flush` measures, when the weights are there."""
        self._due = epoch + 1

    def flush(self) -> None:
        """Measures the layers if an epoch has ended and the time allows it, and writes."""
        due, self._due = self._due, None
        if due is not None and self._rows is not None and self._has_time():
            began = time.monotonic()
            self._measure(due, self._rows)
            took = time.monotonic() - began
            self._next = took if self._spent else took / _FIRST_BY_OTHERS
            self._spent += took
        super().flush()

    def _has_time(self) -> bool:
        return self._spent + self._next <= _SHARE * self._now()

    def get_state(self) -> dict[str, Any]:
        """Returns the state of the log, and the seconds spent on measurements."""
        return {**super().get_state(), "spent": self._spent}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores the state that `get_state` has returned."""
        super().set_state(state)
        self._spent = float(state["spent"])

    def _measure(self, epoch: int, rows: Rows) -> None:
        if self._probe is None:
            self._probe = LayerProbe(self.model)
            # Members with rows of their own expect them one member after the other.
            members = self.model.num_orders
            self._x = np.concatenate([np.asarray(rows.x)] * members)
            self._y = np.concatenate([rows.y] * members)
        found = self._probe.measure(self._x, self._loss, self._update)
        self.last = epoch, found
        line = {"epoch": epoch, "step": self._steps_done(), "layers": _as_json(found)}
        self._append(self.path, json.dumps(line, allow_nan=False))

    def _loss(self, outputs: tf.Tensor) -> tf.Tensor:
        return self.model.compute_loss(x=self._x, y=self._y, y_pred=outputs, training=False)

    def _update(self, gradients: Sequence[Any]) -> list[np.ndarray]:
        """Returns the change of each weight in one step, which is taken back."""
        return trial_update(self.model.optimizer, gradients, self.model.trainable_variables)


def read_layers(folder: Path) -> list[tuple[int, list[LayerNumbers]]]:
    """Returns what a run has logged of its layers: epoch, from 1, and numbers of each layer.

    Args:
        folder: Run folder; one without the log gives an empty list.
    """
    path = folder / LAYERS_FILE
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in atomic.read_text(path).splitlines()]
    return [(line["epoch"], [_numbers(each) for each in line["layers"]]) for line in lines]


def _numbers(values: Mapping[str, Any]) -> LayerNumbers:
    known = {field.name for field in fields(LayerNumbers)}
    kept = {name: value for name, value in values.items() if name in known}
    return LayerNumbers(
        **{name: v if name == "layer" else from_json(v) for name, v in kept.items()}
    )


def _as_json(found: Sequence[LayerNumbers]) -> list[dict[str, Any]]:
    return [
        {
            name: for_json(float(f"{value:.6g}")) if isinstance(value, float) else value
            for name, value in asdict(each).items()
        }
        for each in found
    ]
