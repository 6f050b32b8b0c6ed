"""Estimates the importance of each hyperparameter for the ranking of the trials."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from scipy import stats
from sklearn.ensemble import RandomForestRegressor

from kfc.tuning.trial import Trial, objective_direction

_MIN_TRIALS = 8
_TREES = 100


def importance(trials: Sequence[Trial], objective: str) -> dict[str, float]:
    """Returns hyperparameter -> importance, the largest first; importances add up to 1.

    It is permutation importance in a random forest. The forest learns the rank of the score
    from the hyperparameters of the trials; diverged trials rank last. Each tree predicts the
    trials that it has not learned from, once as they are and once with the values of one
    hyperparameter permuted. The importance of the hyperparameter is the increase of the
    squared error, as a share of the increases of all hyperparameters:

        importance(h) = max(0, error(h permuted) - error) / sum over all hyperparameters

    Trees split ranges in two, and the forest learns ranks, so the result does not depend on
    logarithmic scales or on the size of a score. It is deterministic and does not depend on
    the order of the trials.

    Sources: F. Hutter, H. Hoos, K. Leyton-Brown, "An efficient approach for assessing
    hyperparameter importance", ICML 2014, https://proceedings.mlr.press/v32/hutter14.html,
    for a forest on the trials of a search; L. Breiman, "Random forests", Machine Learning
    45, 2001, https://doi.org/10.1023/A:1010933404324, for the permutation. It is not the
    functional ANOVA of Hutter et al.: it averages over the trials of the search, not over
    the search space, and a joint effect of two hyperparameters counts for both. It does not
    tell which value is good, or how much a better value would improve the score. It explains
    the ranking of this search, which may depend mostly on a few diverged trials.

    Args:
        trials: Trials of one search, in any order.
        objective: Recorded metric, such as `val_accuracy`.

    Returns:
        An empty dict for fewer than 8 trials, for equal scores, and if the forest explains
        nothing, so that noise is not attributed to a hyperparameter.
    """
    trials = sorted(trials, key=lambda trial: (trial.number, trial.seed))
    names = sorted({name for trial in trials for name in trial.point})
    if len(trials) < _MIN_TRIALS or not names:
        return {}
    ranks = _ranks(trials, objective)  # (trials,)
    columns = [_numbers([trial.point for trial in trials], name) for name in names]
    rows = np.column_stack(columns).astype(np.float32)  # (trials, hyperparameters)
    increases = _error_increases(rows, ranks)
    if increases is None or not increases.sum() > 0:
        return {}
    shares = dict(zip(names, (increases / increases.sum()).tolist(), strict=True))
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _ranks(trials: Sequence[Trial], objective: str) -> np.ndarray:
    """Returns the rank of each trial, the worst first; equal scores share their mean rank."""
    sign = 1 if objective_direction(objective) == "max" else -1
    scores = [
        -np.inf if trial.status == "diverged" else sign * trial.score for trial in trials
    ]
    return np.asarray(stats.rankdata(scores), np.float64)


def _error_increases(rows: np.ndarray, ranks: np.ndarray) -> np.ndarray | None:
    """Returns the increase of the squared error by permuting each column, at least 0.

    None if the forest predicts the trials that a tree has not learned from (the out-of-bag
    rows) no better than their mean does.

    Args:
        rows: Hyperparameters of the trials, (trials, hyperparameters).
        ranks: Ranks of the trials, (trials,).
    """
    forest = RandomForestRegressor(_TREES, random_state=0, oob_score=True)
    forest.fit(rows, ranks)
    if not forest.oob_score_ > 0:
        return None
    generator = np.random.default_rng(0)
    increases = np.zeros(rows.shape[1])
    for tree, learned in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        held_out = np.setdiff1d(np.arange(len(rows)), learned)
        if not held_out.size:
            continue  # the bootstrap sample has all rows of a short search
        # Not the tree's own `predict`, which checks its input and takes ten times as long.
        predict = tree.tree_.predict
        error = np.square(predict(rows[held_out])[:, 0] - ranks[held_out]).sum()
        for column in range(rows.shape[1]):
            permuted = rows[held_out]
            permuted[:, column] = generator.permutation(permuted[:, column])
            permuted_error = np.square(predict(permuted)[:, 0] - ranks[held_out]).sum()
            increases[column] += permuted_error - error
    return increases.clip(min=0)


def _numbers(points: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Returns the column of a hyperparameter, (trials,).

    Values that are not all numbers are replaced by their index in sorted order. A trial
    without the hyperparameter gets a number below all others.
    """
    values = [point[name] for point in points if name in point]
    if not all(isinstance(value, Real) for value in values):
        order = sorted({json.dumps(value, sort_keys=True) for value in values})
        index = {text: i for i, text in enumerate(order)}
        points = [
            {name: index[json.dumps(point[name], sort_keys=True)]} if name in point else {}
            for point in points
        ]
        values = list(index.values())
    absent = float(min(values)) - 1
    return np.array([float(point.get(name, absent)) for point in points])
