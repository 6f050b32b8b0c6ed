"""Measures a finished network on labelled rows, beside a baseline."""

from __future__ import annotations

from collections.abc import Collection

import keras

from kfc.data import Prepared, Rows, Task
from kfc.runs.scores import baseline_scores, further_scores, scores
from kfc.spec import Spec
from kfc.training import check_finite, compile_for_evaluation
from kfc.training.engine import Evaluator


def measure_rows(
    evaluator: Evaluator, rows: Rows, task: Task, further: Collection[str] = ()
) -> dict[str, float]:
    """Returns the metrics that training records, and those of `kfc.runs.scores.scores`.

    Args:
        evaluator: Evaluator of the trained network.
        rows: Encoded rows with targets.
        task: Task that the network was trained for.
        further: Names of further metrics.
    """
    recorded = evaluator.evaluate(rows)
    # A metric that both compute has the recorded value, which the history has too.
    return recorded | scores(evaluator.outputs(rows.x), rows.y, task, further) | recorded


def measure_given(
    network: keras.Model, spec: Spec, task: Task, rows: Rows
) -> dict[str, float]:
    """Returns the metrics of a trained network on rows that are not those of its run.

    Args:
        network: Trained network.
        spec: Its resolved spec.
        task: Its task.
        rows: Encoded rows with targets.

    Raises:
        NumbersError: If a metric is NaN or infinite.
    """
    evaluator = compile_for_evaluation(network, spec, task)
    metrics = measure_rows(evaluator, rows, task, further_scores(spec))
    check_finite(metrics, "rows to evaluate")
    return metrics


def baseline_of(
    prepared: Prepared, part: str, further: Collection[str] = ()
) -> dict[str, float]:
    """Returns the scores of a constant prediction, computed once for all runs on these rows.

    Args:
        prepared: Data of a run.
        part: Part of the held-out rows: `val` or `test`.
        further: Names of further metrics.
    """
    key, train, rows = (
        ("baseline", part, *sorted(further)),
        prepared.train,
        prepared.held_out[part],
    )
    y, found = prepared.kept.get(key, (None, {}))
    if y is not train.y:  # a copy of the data may have other targets
        found = baseline_scores(train, rows, prepared.task, further)
        prepared.kept[key] = train.y, found
    return dict(found)


def measure_finished(
    evaluator: Evaluator, prepared: Prepared, further: Collection[str] = ()
) -> tuple[dict[str, float], dict[str, float]]:
    """Measures a finished network on all held-out rows, beside a baseline.

    Args:
        evaluator: Evaluator of the trained network.
        prepared: Data of the run.
        further: Names of further metrics.

    Returns:
        The metrics of the network, and the same metrics of a constant prediction. Their names
        have the prefixes of `Prepared.held_out`, as in `test_accuracy`.

    Raises:
        NumbersError: If a metric is NaN or infinite.
    """
    metrics: dict[str, float] = {}
    baseline: dict[str, float] = {}
    for part, rows in prepared.held_out.items():
        found = measure_rows(evaluator, rows, prepared.task, further)
        metrics |= {f"{part}_{name}": value for name, value in found.items()}
        constant = baseline_of(prepared, part, further)
        baseline |= {f"{part}_{name}": value for name, value in constant.items()}
    check_finite(metrics, "the final weights")
    return metrics, baseline
