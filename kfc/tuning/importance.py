"""Trials -> the share of each hyperparameter in explaining how they rank."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from scipy import stats
from sklearn.ensemble import RandomForestRegressor

from kfc.tuning.trial import Trial, direction

_FEWEST = 8
_TREES = 100


def importance(trials: Sequence[Trial], objective: str) -> dict[str, float]:
    """Returns hyperparameter -> its share, from 0 to 1 and 1 in sum, the largest first.

    A forest of trees learns the rank of the score, the diverged last, from the trials'
    points. Of each tree, the rows it did not learn from are predicted as they are and with
    one hyperparameter's values shuffled; the share of a hyperparameter is its part of
    what the squared error then grows by. Trees cut ranges in two, so neither logarithms
    nor the size of a score matter. It is deterministic, whatever the order of the trials.

    Sources: F. Hutter, H. Hoos, K. Leyton-Brown, "An efficient approach for assessing
    hyperparameter importance", 2014, for the forest on a search's trials; L. Breiman,
    "Random forests", 2001, for the permutation. It is not their functional ANOVA: it
    averages over where the search went, not over the space, and an effect of two
    hyperparameters together counts for both. Nor does it say which value is good, or how
    much better a trial would be: it says what explains this search's ranking, in which a
    few diverging trials may be most of the story.

    Args:
        trials: Of one search, in any order.
        objective: A recorded metric, such as `val_accuracy`.

    Returns:
        Nothing for fewer than 8 trials, for equal scores, and where the forest explains
        nothing, so that no hyperparameter is blamed for noise.
    """
    trials = sorted(trials, key=lambda trial: (trial.number, trial.seed))
    names = sorted({name for trial in trials for name in trial.point})
    if len(trials) < _FEWEST or not names:
        return {}
    ranks = _ranks(trials, objective)
    columns = [_numbers([trial.point for trial in trials], name) for name in names]
    rows = np.column_stack(columns).astype(np.float32)  # (trials, hyperparameters)
    grown = _grown_errors(rows, ranks)
    if grown is None or not grown.sum() > 0:
        return {}
    shares = dict(zip(names, (grown / grown.sum()).tolist(), strict=True))
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _ranks(trials: Sequence[Trial], objective: str) -> np.ndarray:
    """Returns the rank of each trial, equal scores sharing one, the diverged the worst."""
    sign = 1 if direction(objective) == "max" else -1
    scores = [
        -np.inf if trial.status == "diverged" else sign * trial.score for trial in trials
    ]
    return np.asarray(stats.rankdata(scores), np.float64)


def _grown_errors(rows: np.ndarray, ranks: np.ndarray) -> np.ndarray | None:
    """Returns by how much shuffling each column makes held-out rows worse, 0 at least.

    None if the forest predicts rows it did not learn from no better than their mean does.
    """
    forest = RandomForestRegressor(_TREES, random_state=0, oob_score=True)
    forest.fit(rows, ranks)
    if not forest.oob_score_ > 0:
        return None
    generator = np.random.default_rng(0)
    grown = np.zeros(rows.shape[1])
    for tree, learned in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        held = np.setdiff1d(np.arange(len(rows)), learned)
        if not held.size:
            continue  # it drew every row of a short search
        # Not the tree's own `predict`, which checks its input at ten times the cost.
        predict = tree.tree_.predict
        error = np.square(predict(rows[held])[:, 0] - ranks[held]).sum()
        for column in range(rows.shape[1]):
            shuffled = rows[held]
            shuffled[:, column] = generator.permutation(shuffled[:, column])
            grown[column] += np.square(predict(shuffled)[:, 0] - ranks[held]).sum() - error
    return grown.clip(min=0)


def _numbers(points: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Returns a column: numbers as they are, other values by place in their order.

    A trial without the hyperparameter has a number below all others.
    """
    values = [point[name] for point in points if name in point]
    if not all(isinstance(value, Real) for value in values):
        order = sorted({json.dumps(value, sort_keys=True) for value in values})
        places = {text: place for place, text in enumerate(order)}
        points = [
            {name: places[json.dumps(point[name], sort_keys=True)]} if name in point else {}
            for point in points
        ]
        values = list(places.values())
    absent = float(min(values)) - 1
    return np.array([float(point.get(name, absent)) for point in points])
