"""Measures how much a run depends on each column: permutation importance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn import metrics

from kfc.data import Task, evenly
from kfc.reporting.run_facts import Answers
from kfc.runs import Run, from_outputs, scores

_REPEATS = 5
_ROWS = (100, 1000)
_WORK = 15_000_000_000
"""Weights times rows: fewer rows are permuted where a network is large."""
_COLUMNS = 100
"""Columns that are permuted: each costs five times the answers for all rows."""


@dataclass(frozen=True)
class ColumnImportance:
    """Importance of one column.

    Args:
        column: Name of the column.
        mean: Mean increase of the loss.
        spread: Standard deviation of the increase over the repeats.
    """

    column: str
    mean: float
    spread: float


def loss_name(task: Task) -> str:
    """Returns the name of the loss whose increase is the importance."""
    return "log loss" if task.classification else "root mean squared error"


def column_places(task: Task) -> dict[str, list[int]]:
    """Returns column -> places of its inputs in an encoded row."""
    if task.encoding is not None:
        return dict(task.encoding.places)
    return {name: [place] for place, name in enumerate(task.feature_names)}


def column_importance(run: Run, answers: Answers) -> list[ColumnImportance]:
    """Returns the importance of each column, the largest first.

    The importance of a column is the increase of the loss of held-out rows when the cells of
    this column are permuted among the rows, so that they say nothing about their row:

        importance(c) = mean over 5 permutations of  loss(c permuted) - loss

    The loss is the log loss, or the root of the mean squared error in units of the target.
    All inputs that a column is encoded as are permuted together. Columns that tell the same
    share their importance, since the network still has the other one.

    Source: L. Breiman, "Random forests", Machine Learning 45, 2001,
    https://doi.org/10.1023/A:1010933404324.

    Args:
        run: Run on columns with names.
        answers: Its answers for the rows.

    Returns:
        An empty list for rows without names of columns, and for very many columns.
    """
    places = column_places(run.task)
    if not 1 < len(places) <= _COLUMNS or len(run.task.input_shape) != 1:
        return []
    work = len(places) * _REPEATS * max(run.network.count_params(), 1)
    chosen = evenly(len(answers.y), int(np.clip(_WORK // work, *_ROWS)))
    x, y = np.asarray(answers.x[chosen]), answers.y[chosen]
    before = _loss(answers.outputs[chosen], y, run.task)
    orders = [np.random.default_rng(seed).permutation(len(x)) for seed in range(_REPEATS)]
    found = []
    for name, own in places.items():
        columns = np.asarray(own)
        permuted = np.concatenate([x] * _REPEATS)
        for repeat, order in enumerate(orders):
            rows = np.arange(len(x)) + repeat * len(x)
            permuted[np.ix_(rows, columns)] = x[np.ix_(order, columns)]
        outputs = scores.compute_outputs(run.network, permuted).reshape(_REPEATS, len(x), -1)
        increases = [_loss(each, y, run.task) - before for each in outputs]
        found.append(
            ColumnImportance(name, float(np.mean(increases)), float(np.std(increases, ddof=1)))
        )
    return sorted(found, key=lambda each: -each.mean)


def _loss(outputs: np.ndarray, y: np.ndarray, task: Task) -> float:
    if task.classification:
        probabilities = from_outputs(outputs, task).probabilities.astype(np.float64)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return float(metrics.log_loss(y, probabilities, labels=range(len(task.class_names))))
    return float(metrics.root_mean_squared_error(y, outputs.astype(np.float64)))
