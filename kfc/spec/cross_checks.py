"""Checks the keys of a spec that depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kfc.errors import Finding, nearest
from kfc.registry import BLOCKS
from kfc.spec.fold_fields import arranged_twice
from kfc.spec.metric_names import (
    IN_GRAPH,
    METRICS,
    MONITORED,
    OF_OUTPUTS,
    metrics_of,
    monitored_of,
    monitors,
)
from kfc.spec.source_fields import OWN

if TYPE_CHECKING:
    from kfc.spec.schema import Spec


def conflicting_keys(spec: Spec) -> Iterator[Finding]:
    """Yields findings about keys that are valid one by one and contradict each other."""
    yield from _no_other_rows(spec)
    yield from arranged_twice(spec)
    yield from _several_restore(spec)
    for where, metric in monitors(spec):
        yield from _not_recorded(spec, where, metric)
    yield from _not_of_task(spec)
    if spec.search:
        yield from _no_objective(spec, spec.search.objective)
    yield from _several_set_the_rate(spec)
    yield from _uncertain(spec)
    yield from _not_of_members(spec)
    if spec.data.scale == "quantile" and spec.data.categories.scale:
        yield Finding(
            "data.categories.scale",
            "a scaling of 0 and 1, beside data.scale",
            "true beside the scale 'quantile'",
            "Set data.categories.scale to false.",
        )


def _not_of_members(spec: Spec) -> Iterator[Finding]:
    """Checks that the hidden layers can be shared by members, if there are any."""
    network = spec.network
    if network.members == 1:
        return
    if network.block.name not in BLOCKS.builtins:
        yield Finding(
            "network.members",
            "1 beside a plug-in's block, which takes rows of units",
            f"{network.members} beside the block {network.block.name!r}",
            f"Use a block of kfc: {', '.join(BLOCKS.builtins)}.",
        )
    if any(layer.normalization == "batch" for layer in network.layers()):
        yield Finding(
            "network.members",
            "1 beside normalization batch, whose statistics would mix the members",
            f"{network.members}",
            "Use the normalization layer or none.",
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


def _uncertain(spec: Spec) -> Iterator[Finding]:
    """Checks that the task has such an uncertainty, and rows to estimate it from."""
    training, task, none_held_out = spec.training, spec.data.task, spec.data.validation == 0
    for key, wanted, value, remedy in (
        ("calibrate", "classification", training.calibrate, "Use interval_coverage."),
        ("interval_coverage", "regression", training.interval_coverage, "Use calibrate."),
    ):
        if value is None:
            continue
        if task is not None and task != wanted:
            where, got = f"training.{key}", f"{value!r} for a {task}"
            yield Finding(where, f"null, or a {wanted}", got, remedy)
        elif none_held_out:
            yield Finding(
                f"training.{key}",
                "validation rows to fit it on",
                f"{value!r} while data.validation is 0",
                "Set data.validation to 0.1.",
            )


def _of_task(spec: Spec) -> str:
    """Returns words that name the task of the spec, if it is known."""
    return "" if spec.data.task is None else f" of a {spec.data.task}"


def _not_recorded(spec: Spec, where: str, metric: str) -> Iterator[Finding]:
    recorded = monitored_of(spec.data.task)
    if metric in metrics_of(spec.data.task) and metric in OF_OUTPUTS:
        yield Finding(
            where,
            "a metric that is recorded",
            f"{metric!r} of training rows, on which it is not computed",
            f"Name val_{metric}, that of the validation rows.",
        )
    elif metric not in recorded:
        yield Finding(
            where,
            f"a recorded metric{_of_task(spec)}",
            _named(metric),
            f"{nearest(metric, recorded)}Known: {', '.join(recorded)}.",
        )
    elif metric.startswith("val_") and spec.data.validation == 0:
        name = metric.removeprefix("val_")
        of_training = f"{name!r}" if name in IN_GRAPH else "'loss'"
        yield Finding(
            where,
            "a metric that is recorded",
            f"{metric!r} while data.validation is 0",
            f"Set data.validation to 0.1, or name {of_training}.",
        )


def _not_of_task(spec: Spec) -> Iterator[Finding]:
    """Checks that the task of the spec has each of the metrics that it lists."""
    known = [name for name in metrics_of(spec.data.task) if name in OF_OUTPUTS]
    wrong = [name for name in spec.training.metrics if name not in known]
    if wrong:
        remedy = f"{nearest(wrong[0], known)}Known: {', '.join(known)}."
        if wrong[0] in IN_GRAPH:
            remedy = f"Leave {wrong[0]} out: every training records it."
        yield Finding(
            "training.metrics",
            f"further metrics{_of_task(spec)}, without a prefix",
            ", ".join(map(_named, wrong)),
            remedy,
        )


def _named(metric: str) -> str:
    """Returns the name of a metric, with a note if there is no such metric."""
    exists = metric in METRICS or metric in MONITORED
    return repr(metric) if exists else f"{metric!r}, a metric that does not exist"


def _no_objective(spec: Spec, objective: str | None) -> Iterator[Finding]:
    """Checks that trials are ranked by a metric of rows that they were not trained on."""
    metrics = metrics_of(spec.data.task)
    measured = [f"val_{name}" for name in metrics]
    if objective is not None and objective not in measured:
        remedy = f"{nearest(objective, measured)}Known: {', '.join(measured)}."
        if objective in metrics:
            remedy = f"Name val_{objective}: training rows favour networks that overfit."
        yield Finding(
            "search.objective",
            f"a recorded metric{_of_task(spec)} on validation rows",
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
