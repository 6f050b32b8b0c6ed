"""Logs the signal, the gradient and the update of each layer while a network trains."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import keras
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

_COPIED_BYTES = 2**25
"""Size of all copies of variables that are kept until the training has ended."""

_SECONDS_AFTERWARDS = 0.5
"""At most this time is spent on the copies: digits has 7 of them, which take 0.3 seconds."""


@dataclass(frozen=True)
class _Copy:
    """Values of all variables after an epoch."""

    epoch: int
    step: int
    values: list[np.ndarray]


class LayerLog(Log):
    """Writes a JSON line with numbers of each layer after some of the epochs.

    They are those of `LayerNumbers` on a batch of training rows: signal, gradient, and the
    update of one step with that batch, which is taken back. A measurement takes place once
    its time is at most 3 % of that of the training so far, so a long training has one after
    each epoch, and one of less than seven seconds has none. Therefore small networks are
    copied after the epochs 1, 2, 4, 8 and so on, and `measure_copies` measures these after
    the end. Nothing of the training changes: each variable has its bits back.

    Args:
        filename: File to append to.
        rows: Encoded training rows, of which up to 256 are measured; None measures nothing.
        copies: Whether small networks are copied.

    Attributes:
        last: Epoch, from 1, and numbers of the last measurement of this process; None before.
    """

    def __init__(
        self, filename: str | Path, rows: Rows | None, *, copies: bool = True
    ) -> None:
        super().__init__(Path(filename))
        self.path = Path(filename)
        self._rows = rows and rows.take(evenly(len(rows), _ROWS)).loaded()
        self._probe: LayerProbe | None = None
        self._due: int | None = None
        self._spent, self._next = 0.0, _FIRST_SECONDS
        self.last: tuple[int, list[LayerNumbers]] | None = None
        self._copies: list[_Copy] = []
        self._takes_copies = copies and rows is not None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Notes that an epoch has ended; `flush` measures, when the weights are there."""
        self._due = epoch + 1

    def next_due(self, epoch: int) -> int | None:
        """Returns the number of epochs after which an execution has to end for a copy.

        Without rows it is None. It is not asked on several workers, of which one may not end
        an execution alone.

        Args:
            epoch: Number of epochs so far.
        """
        return 1 << epoch.bit_length() if self._takes_copies else None  # a power of two

    def flush(self) -> None:
        """Measures or copies the layers if an epoch has ended, and writes."""
        due, self._due = self._due, None
        if due is not None and self._rows is not None:
            if self._spent + self._next <= _SHARE * self._now():
                self._timed_measure(due, self._steps_done(), self._rows)
            elif self._takes_copies and (due == self.next_due(due - 1) or self._is_last(due)):
                self._copy(due)
        super().flush()

    def measure_copies(self) -> None:
        """Measures the copies, as many of them as half a second allows, and writes.

        It is called after the training, which it leaves as it is.
        """
        copies, self._copies = self._copies, []
        if not copies or self._rows is None:
            return
        variables, latest = self._variables(), self._spent + _SECONDS_AFTERWARDS
        before = [np.array(variable) for variable in variables]
        try:
            for copy in _last_first(copies):
                if self._spent + self._next <= latest:
                    _assign(variables, copy.values)
                    self._timed_measure(copy.epoch, copy.step, self._rows)
        finally:
            _assign(variables, before)
        super().flush()

    def get_state(self) -> dict[str, Any]:
        """Returns the state of the log, and the seconds spent on measurements."""
        return {**super().get_state(), "spent": self._spent}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores the state that `get_state` has returned."""
        super().set_state(state)
        self._spent = float(state["spent"])

    def _variables(self) -> list[keras.Variable]:
        """Returns what a step reads and changes: weights, moments, counters."""
        return [*self.model.weights, *self.model.optimizer.variables]

    def _copy(self, epoch: int) -> None:
        """Keeps a copy of the variables, unless all copies would be too large."""
        variables = self._variables()
        num_bytes = sum(math.prod(v.shape) * np.dtype(v.dtype).itemsize for v in variables)
        if (len(self._copies) + 1) * num_bytes <= _COPIED_BYTES:
            values = [np.array(variable) for variable in variables]
            self._copies.append(_Copy(epoch, self._steps_done(), values))

    def _is_last(self, epoch: int) -> bool:
        return bool(epoch == self.params.get("epochs") or self.model.stop_training)

    def _timed_measure(self, epoch: int, step: int, rows: Rows) -> None:
        began = time.monotonic()
        self._measure(epoch, step, rows)
        took = time.monotonic() - began
        self._next = took if self._spent else took / _FIRST_BY_OTHERS
        self._spent += took

    def _measure(self, epoch: int, step: int, rows: Rows) -> None:
        if self._probe is None:
            self._probe = LayerProbe(self.model)
            # Members with rows of their own expect them one member after the other.
            members = self.model.num_orders
            self._x = np.concatenate([np.asarray(rows.x)] * members)
            self._y = np.concatenate([rows.y] * members)
        found = self._probe.measure(self._x, self._loss, self._update)
        self.last = epoch, found
        line = {"epoch": epoch, "step": step, "layers": _as_json(found)}
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
    lines = []
    for line in atomic.read_text(path).splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:  # the last line of a training that was killed while it wrote
            break
    lines.sort(key=lambda line: line["epoch"])  # copies are measured after the training
    return [(line["epoch"], [_numbers(each) for each in line["layers"]]) for line in lines]


def _last_first(copies: Sequence[_Copy]) -> list[_Copy]:
    """Returns the last copy, the first one, and then those between, the widest gaps first."""
    spread = (evenly(len(copies), most)[::-1] for most in range(1, len(copies) + 1))
    numbers = [len(copies) - 1, *itertools.chain.from_iterable(spread)]
    return [copies[number] for number in dict.fromkeys(numbers)]


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


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
