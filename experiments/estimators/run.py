"""Compares kfc's estimators with scikit-learn's MLP on the five sets inside scikit-learn.

Five folds of each set, shuffled with the seed 0, stratified for classes. Both estimators have
their default arguments and the seed 0; the MLP stands behind a StandardScaler. The score is
the accuracy, or R2 of the diabetes set, whose targets are numbers.

    python experiments/estimators/run.py [--json results.json] [SET ...]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import kfc

SETS = ("iris", "wine", "breast_cancer", "digits", "diabetes")


def contenders(name: str) -> dict[str, Any]:
    """Returns the estimators that are compared on a set, by their names."""
    classes = name != "diabetes"
    ours = kfc.Classifier if classes else kfc.Regressor
    mlp = MLPClassifier if classes else MLPRegressor
    return {
        "kfc": ours(random_state=0),
        "mlp": make_pipeline(StandardScaler(), mlp(random_state=0)),
    }


def fold_scores(name: str, folds: int = 5) -> dict[str, dict[str, list[float]]]:
    """Returns the score and the seconds of each fold, by contender.

    Args:
        name: One of `SETS`.
        folds: Number of folds.
    """
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    kind = KFold if name == "diabetes" else StratifiedKFold
    found: dict[str, dict[str, list[float]]] = {}
    for train, test in kind(folds, shuffle=True, random_state=0).split(x, y):
        for contender, estimator in contenders(name).items():
            began = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                fitted = clone(estimator).fit(x[train], y[train])
            seconds = time.perf_counter() - began
            of = found.setdefault(contender, {"score": [], "seconds": []})
            of["score"].append(round(float(fitted.score(x[test], y[test])), 6))
            of["seconds"].append(round(seconds, 2))
    return found


def main() -> None:
    """Prints a line for each set, and writes all numbers if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(SETS), metavar="SET")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {}
    for name in arguments.sets:
        results[name] = fold_scores(name)
        ours, mlp = (np.array(results[name][each]["score"]) for each in ("kfc", "mlp"))
        print(
            f"{name:14} kfc {ours.mean():.4f} +- {ours.std(ddof=1):.4f}   "
            f"mlp {mlp.mean():.4f} +- {mlp.std(ddof=1):.4f}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
