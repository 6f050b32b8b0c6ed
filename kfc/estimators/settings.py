"""Turns the arguments of an estimator into a spec."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kfc.errors import Finding, SpecError
from kfc.spec import ScheduleSpec, Spec, load_spec, monitors, settle_preset, shown_value

FEWEST_VALIDATION_ROWS = 20
"""Fewer rows choose no epoch, unless the caller asks for it: by chance, one of many epochs is
right on all of them."""

_FEWEST_ASKED = 2
"""Fewest validation rows of a caller who asks for them: R2 of a single row does not exist."""

_PATIENCE = 10
"""Epochs without improvement of `early_stopping=True`, as in scikit-learn's MLPClassifier."""

_CONTINUED_EPOCHS = 2**31 - 1
"""Epochs of a training by `partial_fit`, which has no end: the most that a spec takes."""


@dataclass(frozen=True)
class Settings:
    """Arguments of an estimator, see `kfc.Classifier` and `kfc.Regressor`."""

    task: str
    spec: Any = None
    preset: str | None = None
    hidden: Any = None
    activation: Any = None
    learning_rate: Any = None
    epochs: int | None = None
    batch_size: int | None = None
    early_stopping: Any = None
    class_weight: Any = None
    members: int | None = None
    calibrate: Any = None
    interval_coverage: float | None = None
    n_jobs: int | None = None

    def resolve(self, seed: int | None) -> Spec:
        """Returns the spec of these arguments, without the values that depend on rows.

        Args:
            seed: Seed of all random numbers; None for the spec's.

        Raises:
            SpecError: If an argument has a wrong value.
        """
        base = _base(self.spec, self.preset, self.task)
        values = {
            "data.source": None,
            "data.test": "none",
            "network.hidden": _hidden(self.hidden),
            "network.activation": self.activation,
            "training.epochs": _whole(self.epochs),
            "training.batch_size": _whole(self.batch_size),
            "training.members": _whole(self.members),
            "training.calibrate": "temperature" if self.calibrate is True else self.calibrate,
            "training.interval_coverage": self.interval_coverage,
            "training.threads": _threads(self.n_jobs),
            "seed": seed,
        }
        kept = ("data.source", "data.test")
        overrides = {k: v for k, v in values.items() if v is not None or k in kept}
        if overrides.get("training.calibrate") is False:
            overrides["training.calibrate"] = None
        if overrides.get("training.members") == 1:
            del overrides["training.members"]  # the spec may name more of them
        if self.learning_rate is not None:
            overrides |= _rate(base, self.learning_rate)
        if self.early_stopping is not None:
            overrides |= _stopping(base, self.early_stopping)
        if self.class_weight is not None:
            overrides |= self._weighting(base)
        return load_spec(base, overrides)

    def _weighting(self, base: Spec) -> dict[str, Any]:
        """Returns the class weights, and the choice of the epoch that agrees with them."""
        weight = self.class_weight
        values: dict[str, Any] = {"training.class_weight": weight}
        if isinstance(weight, Mapping):
            values["training.class_weight"] = {str(k): v for k, v in weight.items()}
        stopping = base.training.early_stopping
        chosen = self.early_stopping is None and bool(
            self._said(("training", "early_stopping"))
        )
        if not chosen and stopping is not None and stopping.monitor == "val_accuracy":
            # The accuracy would choose an epoch as if all classes had the same weight.
            by = "training.early_stopping"
            if weight == "balanced":
                values[f"{by}.monitor"] = "val_balanced_accuracy"
            elif self.early_stopping is None:
                values[by] = None
        return values

    @property
    def names_seed(self) -> bool:
        """Whether the spec itself names the seed."""
        return self._said(("seed",)) is not None

    def asks_validation(self, spec: Spec) -> bool:
        """Returns whether the caller, and no preset, asks for something of validation rows.

        Args:
            spec: Spec of these arguments.
        """
        stopping = self.early_stopping or self._said(("training", "early_stopping"))
        return bool(
            self._said(("data", "validation"))
            or _computes_on_validation(spec)
            or (stopping and _monitors_validation(spec))
        )

    def _said(self, path: tuple[str, ...]) -> Any:
        """Returns the value that the spec itself, and no preset, has at a path, or None."""
        node: Any = self._spec_values()
        for key in path:
            if not isinstance(node, Mapping) or key not in node:
                return None
            node = node[key]
        return node

    def _spec_values(self) -> Any:
        """Returns the values that the spec itself has."""
        if self.spec is None or isinstance(self.spec, Mapping):
            return self.spec
        spec = load_spec(self.spec)
        return spec.model_dump(exclude_unset=True) if spec.said is None else spec.said


def with_validation(spec: Spec, settings: Settings, rows: int, smallest: int | None) -> Spec:
    """Returns a spec whose validation rows can be split off, or which has none.

    Where only the preset asks for them, a share of the rows chooses the best epoch if that
    makes at least 20 rows, and if each class has rows for both parts. Otherwise all rows
    train, and the last epoch is taken; so they do where nothing needs validation rows. A
    caller who asks for them gets them, or the reason why they cannot be split off.

    Args:
        spec: Spec of the arguments.
        settings: The arguments.
        rows: Number of rows.
        smallest: Number of rows of the smallest class; None for a regression.

    Raises:
        SpecError: If the arguments ask for something that needs validation rows.
    """
    share = spec.data.validation
    share = 0.1 if share is None else share
    if not isinstance(share, float):
        remedy = "Set a share such as 0.1, or pass eval_set to fit."
        got = shown_value(share)
        raise SpecError(Finding("data.validation", "a share of the rows", got, remedy))
    second = int(np.ceil(share * rows))
    if settings.asks_validation(spec):
        if 0 < second < _FEWEST_ASKED or (not second and settings.early_stopping):
            expected = f"at least {_FEWEST_ASKED} rows to choose the epoch by"
            got = f"{second} of {rows:,} rows, by data.validation = {share:g}"
            remedy = "Set a larger share, pass eval_set to fit, or leave early_stopping out."
            raise SpecError(Finding("early_stopping", expected, got, remedy))
        return spec  # the checks of the split refuse a part without a class
    splits = smallest is None or smallest * min(share, 1 - share) >= 1
    if _monitors_validation(spec) and second >= FEWEST_VALIDATION_ROWS and splits:
        return spec
    return without_validation(spec)


def without_validation(spec: Spec) -> Spec:
    """Returns a spec that trains on all rows, and in which nothing monitors others."""
    values: dict[str, Any] = {"data.validation": 0.0}
    if _monitors_validation(spec):
        values["training.early_stopping"] = None
    return load_spec(spec, values)


def continued(spec: Spec) -> Spec:
    """Returns a spec for `partial_fit`: one epoch after another, without an end.

    The learning rate stays what it is at the start, since a schedule needs an end.
    """
    schedule = spec.training.optimizer.schedule()
    values: dict[str, Any] = {"training.epochs": _CONTINUED_EPOCHS}
    if spec.training.engine == "auto":  # it would compile by XLA for so many epochs
        values["training.engine"] = "graph"
    if schedule is not None:
        values["training.optimizer.learning_rate"] = _initial(schedule)
    return load_spec(without_validation(spec), values)


def _computes_on_validation(spec: Spec) -> bool:
    """Returns whether something but the choice of the epoch needs validation rows."""
    training = spec.training
    watched = {path for path, metric in monitors(spec) if str(metric).startswith("val_")}
    uncertain = training.calibrate is not None or training.interval_coverage is not None
    return (
        uncertain
        or bool(training.metrics)
        or bool(watched - {"training.early_stopping.monitor"})
    )


def _monitors_validation(spec: Spec) -> bool:
    stopping = spec.training.early_stopping
    return stopping is not None and stopping.monitor.startswith("val_")


def _base(spec: Any, preset: str | None, task: str) -> Spec:
    """Returns the spec with the values of its preset, or of the given one, for a task."""
    if spec is None:
        return _of_preset(preset, task)
    valid = load_spec(spec)
    if valid.data.task not in (None, task):
        remedy = "Use kfc.Regressor for numbers, kfc.Classifier for classes."
        raise SpecError(Finding("data.task", task, shown_value(valid.data.task), remedy))
    overrides: dict[str, Any] = {"data.task": task}
    if valid.preset is None and preset is not None:
        overrides["preset"] = preset
    return _settled(load_spec(spec, overrides), task)


@functools.lru_cache(maxsize=16)
def _of_preset(preset: str | None, task: str) -> Spec:
    name = task.removesuffix("ion").replace("classificat", "classifier")
    return _settled(load_spec({"name": name, "preset": preset, "data": {"task": task}}), task)


def _settled(spec: Spec, task: str) -> Spec:
    return settle_preset(spec, classification=task == "classification")


def _hidden(hidden: Any) -> Any:
    if hidden is None:
        return None
    if isinstance(hidden, (int, np.integer)):
        return [int(hidden)]
    if isinstance(hidden, (str, Mapping)) or not isinstance(hidden, Iterable):
        return hidden  # the check of the key refuses it
    return [int(each) if isinstance(each, np.integer) else each for each in hidden]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, np.integer) else value


def _threads(n_jobs: int | None) -> int | None:
    return None if n_jobs in (None, -1) else _whole(n_jobs)


def _initial(schedule: ScheduleSpec) -> float:
    return float(schedule.model_dump()["initial_learning_rate"])


def _rate(base: Spec, rate: Any) -> dict[str, Any]:
    """Returns the learning rate as a constant, or as the initial one of the schedule."""
    key = "training.optimizer.learning_rate"
    if isinstance(rate, (np.integer, np.floating)):
        rate = rate.item()
    if base.training.optimizer.schedule() is None or isinstance(rate, Mapping):
        return {key: rate}
    return {f"{key}.initial_learning_rate": rate}


def _stopping(base: Spec, stopping: Any) -> dict[str, Any]:
    """Returns early stopping: off, on, after so many epochs, or its keys."""
    key, known = "training.early_stopping", base.training.early_stopping
    if stopping is False:
        return {key: None}
    keys = {} if known is None else known.model_dump()
    if isinstance(stopping, Mapping):
        return {key: {**keys, **stopping}}
    patience = _PATIENCE if stopping is True else _whole(stopping)
    return {key: {**keys, "patience": patience}}
