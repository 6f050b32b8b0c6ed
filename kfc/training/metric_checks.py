"""Finds metrics that have no value on the rows on which they are measured."""

from __future__ import annotations

import numpy as np

from kfc.data import Prepared
from kfc.errors import Finding
from kfc.spec import IN_GRAPH, Spec, monitors
from kfc.training.output_metrics import undefined_metrics


def monitor_undefined(
    spec: Spec, prepared: Prepared, *, processes: int = 1, networks: int | None = None
) -> list[Finding]:
    """Finds recorded or monitored metrics without a value on the rows they are measured on.

    The coefficient of determination has none where all targets are the same, and a ranking
    of classes has none where a class is missing.

    Args:
        spec: Spec that knows its task.
        prepared: Data of the spec.
        processes: Number of processes that train, which makes no difference here.
        networks: Number of networks in each, which makes none either.
    """
    if prepared.watched is None:
        return [
            Finding(
                f"training.metrics[{index}], {name}",
                "held-out rows to measure it on",
                "neither validation nor test rows",
                "Set data.validation to 0.1, or leave the metric out.",
            )
            for index, name in enumerate(spec.training.metrics)
        ]
    watched, _ = prepared.watched
    listed = [
        (f"training.metrics[{index}]", f"{watched}_{name}")
        for index, name in enumerate(spec.training.metrics)
    ]
    return [
        finding
        for where, metric in (*monitors(spec), *listed)
        if (finding := _undefined(where, metric, prepared))
    ]


def objective_undefined(objective: str, prepared: Prepared) -> Finding | None:
    """Finds an objective of a search without a value on the validation rows.

    Args:
        objective: Metric that ranks the trials, such as `val_auc`.
        prepared: Data of the search.
    """
    return _undefined("search.objective", objective, prepared)


def _undefined(where: str, metric: str, prepared: Prepared) -> Finding | None:
    """Returns the finding about a metric that has no value on its rows, or None."""
    part, _, name = ("", "", metric) if metric in IN_GRAPH else metric.partition("_")
    rows = prepared.held_out.get(part) if part else prepared.train
    if rows is None or name not in undefined_metrics(rows.y, prepared.task):
        return None
    words = {"": "training", "val": "validation", "test": "test"}[part]
    expected, got = f"{words} rows with targets that differ", "with one and the same target"
    if prepared.task.classification:
        counts = np.bincount(rows.y, minlength=len(prepared.task.class_names))
        missing = prepared.task.class_names[int(counts.argmin())]
        expected, got = f"{words} rows of every class", f"without the class {missing!r}"
    return Finding(
        f"{where}, {metric}",
        expected,
        f"{len(rows)} {got}",
        f"Name {part}_loss, or hold out other rows." if part else "Monitor loss.",
        evidence={"rows": len(rows)},
    )
