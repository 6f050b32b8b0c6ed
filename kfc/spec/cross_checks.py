"""Checks the keys of a spec that depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kfc.errors import Finding, nearest
from kfc.spec.fold_fields import arranged_twice
from kfc.spec.keras_signatures import signatures
from kfc.spec.source_fields import OWN

if TYPE_CHECKING:
    from kfc.spec.schema import Spec

METRICS = {"loss": "min", "accuracy": "max", "mae": "min", "r2": "max"}
"""Direction of each recorded metric; that of the validation rows has the prefix `val_`."""

RECORDED = [prefix + name for name in METRICS for prefix in ("", "val_")]
"""Names of all metrics that can be monitored."""


def conflicting_keys(spec: Spec) -> Iterator[Finding]:
    """Yields findings about keys that are valid one by one and contradict each other."""
    yield from _no_other_rows(spec)
    yield from arranged_twice(spec)
    yield from _several_restore(spec)
    for where, metric in monitors(spec):
        yield from _not_recorded(spec, where, metric)
    if spec.search:
        yield from _no_objective(spec, spec.search.objective)
    yield from _several_set_the_rate(spec)
    if spec.data.scale == "quantile" and spec.data.categories.scale:
        yield Finding(
            "data.categories.scale",
            "a scaling of 0 and 1, beside data.scale",
            "true beside the scale 'quantile'",
            "Set data.categories.scale to false.",
        )


def _no_other_rows(spec: Spec) -> Iterator[Finding]:
    """Checks that the validation rows exist and are not the training rows."""
    source, validation = spec.data.source, spec.data.validation
    if source is None and isinstance(validation, str) and validation != OWN:
        yield Finding(
            "data.validation",
            "a share of the rows given as data=",
            repr(validation),
            "Name data.source too, or set data.validation to 0.1.",
        )
    elif validation is not None and source == validation:
        yield Finding(
            "data.validation",
            "other rows than the training rows",
            f"{validation!r}, which is data.source",
            "Set data.validation to a share such as 0.1.",
        )


def _several_restore(spec: Spec) -> Iterator[Finding]:
    """Checks that at most one callback restores the weights of the best epoch."""
    stopping = spec.training.early_stopping
    restoring = [
        f"training.callbacks[{index}].name"
        for index, callback in enumerate(spec.training.callbacks)
        if callback.name == "best_weights" or callback.options.get("restore_best_weights")
    ]
    if len(restoring) + bool(stopping and stopping.restore_best_weights) > 1:
        yield Finding(
            restoring[-1],
            "one owner of the final weights",
            "several that restore the weights of the best epoch",
            "Keep one of them; early_stopping has restore_best_weights.",
        )


def _several_set_the_rate(spec: Spec) -> Iterator[Finding]:
    """Checks that no callback changes a learning rate that has a schedule."""
    schedule = spec.training.optimizer.schedule()
    for index, callback in enumerate(spec.training.callbacks):
        if schedule and callback.name == "ReduceLROnPlateau":
            yield Finding(
                f"training.callbacks[{index}].name",
                "one owner of the learning rate",
                f"{callback.name!r} beside the schedule {schedule.name!r}",
                "Remove one of them.",
            )


def monitors(spec: Spec) -> Iterator[tuple[str, Any]]:
    """Yields the path of each key that names a metric, and the metric."""
    if spec.training.early_stopping:
        yield "training.early_stopping.monitor", spec.training.early_stopping.monitor
    for index, callback in enumerate(spec.training.callbacks):
        if callback.name in signatures("callback") and "monitor" in callback.options:
            yield f"training.callbacks[{index}].monitor", callback.options["monitor"]


_OF_TASK = {"classification": ("loss", "accuracy"), "regression": ("loss", "mae", "r2")}


def _metrics(spec: Spec) -> tuple[tuple[str, ...], str]:
    """Returns the metrics of the task of the spec, or all, and words that name the task."""
    if spec.data.task is None:
        return tuple(METRICS), ""
    return _OF_TASK[spec.data.task], f" of a {spec.data.task}"


def _not_recorded(spec: Spec, where: str, metric: str) -> Iterator[Finding]:
    metrics, of_task = _metrics(spec)
    recorded = [prefix + name for name in metrics for prefix in ("", "val_")]
    if metric not in recorded:
        yield Finding(
            where,
            f"a recorded metric{of_task}",
            _named(metric),
            f"{nearest(metric, recorded)}Known: {', '.join(recorded)}.",
        )
    elif metric.startswith("val_") and spec.data.validation == 0:
        yield Finding(
            where,
            "a metric that is recorded",
            f"{metric!r} while data.validation is 0",
            f"Set data.validation to 0.1, or name {metric.removeprefix('val_')!r}.",
        )


def _named(metric: str) -> str:
    """Returns the name of a metric, with a note if there is no such metric."""
    return repr(metric) if metric in RECORDED else f"{metric!r}, a metric that does not exist"


def _no_objective(spec: Spec, objective: str | None) -> Iterator[Finding]:
    """Checks that trials are ranked by a metric of rows that they were not trained on."""
    metrics, of_task = _metrics(spec)
    measured = [f"val_{name}" for name in metrics]
    if objective is not None and objective not in measured:
        remedy = f"{nearest(objective, measured)}Known: {', '.join(measured)}."
        if objective in metrics:
            remedy = f"Name val_{objective}: training rows favour networks that overfit."
        yield Finding(
            "search.objective",
            f"a recorded metric{of_task} on validation rows",
            _named(objective),
            remedy,
        )
    elif spec.data.validation == 0:
        yield Finding(
            "search.objective",
            "validation rows to measure the objective",
            f"{objective!r} while data.validation is 0" if objective else "no validation rows",
            "Set data.validation to 0.1.",
        )
