"""Measures a finished network on labelled rows, beside a baseline."""

from __future__ import annotations

import keras

from kfc.data import Prepared, Rows, Task
from kfc.runs.scores import baseline_scores, compute_outputs, scores
from kfc.training import check_finite
from kfc.training.engine import Evaluator


def measure_rows(
    network: keras.Model, evaluator: Evaluator, rows: Rows, task: Task
) -> dict[str, float]:
    """Returns the metrics that training records, and those of `kfc.runs.scores.scores`.

    Args:
        network: Trained network that takes raw rows.
        evaluator: Evaluator of the metrics that training records.
        rows: Encoded rows with targets.
        task: Task that the network was trained for.
    """
    recorded = evaluator.evaluate(rows)
    # A metric that both compute has the recorded value, which the history has too.
    return recorded | scores(compute_outputs(network, rows.x), rows.y, task) | recorded


def measure_finished(
    network: keras.Model, evaluator: Evaluator, prepared: Prepared
) -> tuple[dict[str, float], dict[str, float]]:
    """Measures a finished network on all held-out rows, beside a baseline.

    Args:
        network: Trained network that takes raw rows.
        evaluator: Evaluator of the metrics that training records.
        prepared: Data of the run.

    Returns:
        The metrics of the network, and the same metrics of a constant prediction. Their names
        have the prefixes of `Prepared.held_out`, as in `test_accuracy`.

    Raises:
        NumbersError: If a metric is NaN or infinite.
    """
    metrics: dict[str, float] = {}
    baseline: dict[str, float] = {}
    for part, rows in prepared.held_out.items():
        found = measure_rows(network, evaluator, rows, prepared.task)
        metrics |= {f"{part}_{name}": value for name, value in found.items()}
        constant = baseline_scores(prepared.train, rows, prepared.task)
        baseline |= {f"{part}_{name}": value for name, value in constant.items()}
    check_finite(metrics, "the final weights")
    return metrics, baseline
