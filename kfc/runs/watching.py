"""Looks at a training while it runs, and says each suspicious thing once.

The checks are those of the finished training, `kfc.runs.trained_checks`, on the numbers that
each epoch records anyhow and on the layers that the log of the layers has measured. Nothing
is computed in the graph, and no weight is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras
import numpy as np

from kfc.data import Prepared, Rows
from kfc.errors import Finding
from kfc.findings import run_checks
from kfc.runs.scores import constant_outputs
from kfc.runs.trained_checks import Trained
from kfc.spec import Spec
from kfc.training import LayerNumbers, build_loss
from kfc.training.callbacks import LayerLog, Log, restored_epoch

_SHARE = 0.01
"""At most this share of the training time is spent on the checks."""

_FIRST_SECONDS = 0.001
"""Seconds of the first look at five epochs: 0.0004 measured on two cores."""

_WATCHED = ("loss", "val_loss", "val_accuracy", "val_r2", "test_loss", "test_accuracy")
"""Recorded metrics that the checks read."""


@dataclass(frozen=True)
class Watched:
    """A finding of a watch.

    Args:
        finding: The finding, with the numbers of its first epoch.
        epoch: First epoch, from 1, after which it held.
    """

    finding: Finding
    epoch: int

    @property
    def dated(self) -> Finding:
        """The finding, with its first epoch in its evidence."""
        return with_first_epoch(self.finding, self.epoch)


class TrainingWatch(Log):
    """Runs the checks of a training after its epochs, and prints each finding once.

    Several short epochs in one execution are looked at together, after the last one. Where
    something is found, the epochs since the last look are searched for the first that shows
    it. A look takes place if all looks together took at most 1 % of the training time, and at
    the end. No bit of the training changes.

    Args:
        spec: Resolved spec.
        prepared: Data of the training.
        callbacks: The other callbacks of the training.
        say: Function that prints a line.

    Attributes:
        found: Findings so far, by the name of the check, in the order of their epochs.
    """

    def __init__(
        self,
        spec: Spec,
        prepared: Prepared,
        callbacks: Sequence[keras.callbacks.Callback],
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._spec, self._callbacks, self._say_line = spec, callbacks, say
        self._prepared = prepared
        self._num_rows = {name: len(rows) for name, rows in prepared.held_out.items()}
        self._history: dict[str, list[float]] = {}
        self._baseline: dict[str, float] | None = None
        self._looked, self._spent, self._next = 0, 0.0, _FIRST_SECONDS
        self.found: dict[str, Watched] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keeps the metrics of the epoch; `flush` looks at them."""
        for name in _WATCHED:
            if logs and name in logs:
                self._history.setdefault(name, []).append(float(logs[name]))

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Looks at the epochs that no look has seen."""
        self._look()
        super().on_train_end(logs)

    def flush(self) -> None:
        """Looks at the epochs that have ended, if the time allows it."""
        if self._spent + self._next <= _SHARE * self._now():
            self._look()
        super().flush()

    def get_state(self) -> dict[str, Any]:
        """Returns the findings, and the number of epochs that were looked at."""
        found = [{"epoch": w.epoch, "finding": asdict(w.finding)} for w in self.found.values()]
        return {**super().get_state(), "looked": self._looked, "found": found}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores the state that `get_state` has returned, and the epochs of the history."""
        super().set_state(state)
        recorded = self.model.history.history
        self._history = {
            name: list(map(float, recorded[name])) for name in _WATCHED if name in recorded
        }
        self._looked = int(state["looked"])
        for each in state["found"]:
            finding = Finding(**each["finding"])
            self.found[finding.name] = Watched(finding, int(each["epoch"]))

    def _look(self) -> None:
        """Looks at all epochs so far; prints each new finding with its first epoch."""
        count, began = len(self._history.get("loss", ())), time.monotonic()
        if count == self._looked:
            return
        values = {name: np.asarray(each) for name, each in self._history.items()}
        for name in [each.name for each in self._findings(values, count)]:
            if name not in self.found:
                self.found[name] = self._first(name, values, count)
                self._say_line(f"warning: epoch {_sentence(self.found[name])}")
        self._looked = count
        self._next = time.monotonic() - began
        self._spent += self._next

    def _first(self, name: str, values: Mapping[str, np.ndarray], count: int) -> Watched:
        """Returns a finding in the first epoch that shows it, of those not looked at."""
        for number in range(self._looked + 1, count + 1):
            for finding in self._findings(values, number):
                if finding.name == name:
                    return Watched(finding, self._epoch_of(number))
        raise KeyError(name)

    def _epoch_of(self, number: int) -> int:
        # Keras's BackupAndRestore may begin at a later epoch than the first.
        return self._epoch + 1 - len(self._history["loss"]) + number

    def _findings(self, values: Mapping[str, np.ndarray], number: int) -> tuple[Finding, ...]:
        """Returns the findings in the first epochs of a training."""
        past = {name: each[:number] for name, each in values.items()}
        trained = Trained(
            self._spec,
            past,
            {name: float(each[-1]) for name, each in past.items() if len(each)},
            self._constant(),
            self._num_rows,
            restored_epoch(self._callbacks),
            [each for each in self._measured() if each[0] <= self._epoch_of(number)],
            finished=False,
        )
        return run_checks("trained", trained, accept=self._spec.accept)

    def _measured(self) -> list[tuple[int, list[LayerNumbers]]]:
        logs = [each for each in self._callbacks if isinstance(each, LayerLog)]
        return [each.last for each in logs if each.last is not None]

    def _constant(self) -> dict[str, float]:
        if self._baseline is None:
            watched = self._prepared.watched
            self._baseline = {}
            if watched is not None:
                part, rows = watched
                found = _constant_metrics(self._spec, self._prepared, rows)
                self._baseline = {f"{part}_{name}": value for name, value in found.items()}
        return self._baseline


def with_first_epoch(finding: Finding, epoch: int) -> Finding:
    """Returns a finding whose evidence says after which epoch, from 1, it held first."""
    return replace(finding, evidence={**finding.evidence, "first_epoch": epoch})


def _sentence(watched: Watched) -> str:
    return f"{watched.epoch}: {watched.finding.labelled()}"


def _constant_metrics(spec: Spec, prepared: Prepared, rows: Rows) -> dict[str, float]:
    """Returns loss and accuracy of a constant prediction, as an epoch records them.

    Nothing for a loss whose best constant is another one, and for weighted rows.
    """
    task, loss = prepared.task, spec.training.loss
    if loss is None:  # that of a resolved spec has a value
        return {}
    if rows.sample_weight is not None or loss.options.keys() - {"reduction"}:
        return {}
    name, constant = loss.full_name(loss.name), constant_outputs(prepared.train, task)
    if task.classification and name.endswith("crossentropy"):
        accuracy = float(np.mean(rows.y == np.argmax(constant)))
        return {"loss": float(-constant[rows.y].mean()), "accuracy": accuracy}
    if not task.classification and name == "mean_squared_error":
        outputs = np.broadcast_to(constant, rows.y.shape).astype(np.float32)
        return {"loss": float(build_loss(loss, task)(rows.y, outputs))}
    return {}
