"""The importance of columns, against scikit-learn's own permutations."""

import numpy as np
import pytest
from sklearn.inspection import permutation_importance

from kfc.reporting.column_importance import column_importance
from kfc.reporting.run_facts import RunFacts

REPEATS = 30


class Network:
    """A run as an estimator whose score is minus the root mean squared error."""

    def __init__(self, run):
        self._run = run

    def fit(self, x, y):
        raise NotImplementedError

    def score(self, x, y):
        value = self._run.predict(np.asarray(x, np.float32)).value
        return -float(np.sqrt(np.mean((value.astype(float) - y) ** 2)))


def test_the_importance_is_that_of_scikit_learn(diabetes_run):
    answers = RunFacts.of(diabetes_run).watched
    found = {each.column: each for each in column_importance(diabetes_run, answers)}
    expected = permutation_importance(
        Network(diabetes_run),
        np.asarray(answers.x),
        answers.y.astype(float),
        n_repeats=REPEATS,
        random_state=0,
    )
    names = diabetes_run.task.feature_names
    assert set(found) == set(names)
    for place, name in enumerate(names):
        # Means of 5 and of 30 shuffles differ by chance, by about spread / sqrt(5).
        spread = expected.importances_std[place]
        mean = expected.importances_mean[place]
        assert found[name].mean == pytest.approx(mean, abs=3 * spread / np.sqrt(5) + 1e-3)
    largest = names[int(np.argmax(expected.importances_mean))]
    assert largest == max(found, key=lambda name: found[name].mean)
