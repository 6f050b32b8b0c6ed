"""The names of all metrics: their direction, the task that has them, how they are computed.

Some are recorded by the graph that trains, on training rows and on held-out rows. The others
are computed by scikit-learn from the outputs of the network on held-out rows, if a key asks
for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kfc.spec.keras_signatures import signatures

if TYPE_CHECKING:
    from kfc.spec.schema import Spec

METRICS = {
    **{"loss": "min", "accuracy": "max", "mae": "min", "r2": "max"},
    **{"log_loss": "min", "auc": "max", "balanced_accuracy": "max", "f1": "max"},
    **{"average_precision": "max", "mcc": "max"},
    **{"rmse": "min", "median_absolute_error": "min", "pinball": "min"},
}
"""Direction of each metric; that of the validation rows has the prefix `val_`."""

IN_GRAPH = ("loss", "accuracy", "mae", "r2")
"""Metrics of every epoch, of training rows and of held-out rows."""

OF_OUTPUTS = tuple(name for name in METRICS if name not in IN_GRAPH)
"""Metrics of held-out rows only, computed by scikit-learn from the outputs of the network."""

MONITORED = [*IN_GRAPH, *(f"val_{name}" for name in METRICS)]
"""Names of all metrics that can be monitored."""

_OF_TASK = {
    "classification": (
        *("loss", "accuracy", "log_loss", "auc", "balanced_accuracy", "f1"),
        *("average_precision", "mcc"),
    ),
    "regression": (*("loss", "mae", "r2", "rmse", "median_absolute_error", "pinball"),),
}


def metrics_of(task: str | None) -> tuple[str, ...]:
    """Returns the names of the metrics of a task, or of all if it is not known yet.

    Args:
        task: `classification`, `regression` or None.
    """
    return tuple(METRICS) if task is None else _OF_TASK[task]


def monitored_of(task: str | None) -> list[str]:
    """Returns the names of the metrics that a training of a task can monitor.

    Args:
        task: `classification`, `regression` or None.
    """
    names = metrics_of(task)
    recorded = [name for name in names if name in IN_GRAPH]
    return [*recorded, *(f"val_{name}" for name in names)]


def monitors(spec: Spec) -> Iterator[tuple[str, Any]]:
    """Yields the path of each key that names a metric to monitor, and the metric."""
    if spec.training.early_stopping:
        yield "training.early_stopping.monitor", spec.training.early_stopping.monitor
    for index, callback in enumerate(spec.training.callbacks):
        if callback.name in signatures("callback") and "monitor" in callback.options:
            yield f"training.callbacks[{index}].monitor", callback.options["monitor"]


def metrics_of_outputs(spec: Spec, others: Iterable[str] = ()) -> tuple[str, ...]:
    """Returns the metrics that each epoch of a training computes from the outputs.

    These are the ones that `training.metrics` lists, and those that something monitors.

    Args:
        spec: A checked spec.
        others: Further names, with or without `val_`; those of other metrics are left out.
    """
    asked = [*spec.training.metrics, *(str(name) for _, name in monitors(spec)), *others]
    plain = [name.removeprefix("val_") for name in asked]
    return tuple(name for name in OF_OUTPUTS if name in plain)
