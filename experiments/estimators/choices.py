"""Compares ways to train `kfc.Classifier` on sets of few rows, over seeds.

Five folds of each set, stratified and shuffled with a seed that the estimators get, too. The
differences are paired by fold: to the same fold and seed by kfc's default. german_credit, a
table with text, is a CSV file in the folder that `KFC_DATASETS` names, and no MLP is fitted to
its text; the other sets are inside scikit-learn.

    python experiments/estimators/choices.py [--seeds 4] [--json choices.json] [SET ...]
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import kfc

SETS = ("wine", "breast_cancer", "german_credit")
BY_LOSS = {"training": {"early_stopping": {"monitor": "val_loss"}}}
CHOICES: dict[str, dict[str, Any]] = {
    "default": {},
    "batches of 64 rows": {"batch_size": 64},
    "no validation rows, the last epoch": {"early_stopping": False},
    "the epoch of the smallest validation loss": {"spec": BY_LOSS},
}


def load(name: str) -> tuple[Any, np.ndarray]:
    """Returns the inputs of a set, an array or a frame, and its classes."""
    if name != "german_credit":
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return x, y
    frame = pd.read_csv(Path(os.environ["KFC_DATASETS"], "tables", f"{name}.csv"))
    classes = frame.pop("creditability").to_numpy()
    return frame, classes


def contenders(seed: int, x: Any, n_jobs: int | None = None) -> Iterator[tuple[str, Any]]:
    """Yields the estimators that are compared, by their names.

    Args:
        seed: Seed of each of them.
        x: Inputs.
        n_jobs: Number of TensorFlow's threads; None takes every core.
    """
    if isinstance(x, np.ndarray):
        mlp = MLPClassifier(random_state=seed)
        yield "MLPClassifier", make_pipeline(StandardScaler(), mlp)
    for name, choice in CHOICES.items():
        yield name, kfc.Classifier(random_state=seed, n_jobs=n_jobs, **choice)


def fold_scores(
    name: str, seeds: int, folds: int = 5, n_jobs: int | None = None
) -> dict[str, list[float]]:
    """Returns the accuracy of each fold of each seed, by contender.

    Args:
        name: One of `SETS`, or another set of classes inside scikit-learn.
        seeds: Number of seeds.
        folds: Number of folds.
        n_jobs: Number of TensorFlow's threads; None takes every core.
    """
    x, y = load(name)
    take = x.__getitem__ if isinstance(x, np.ndarray) else x.iloc.__getitem__
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        parts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(y, y)
        for train, test in parts:
            for contender, estimator in contenders(seed, x, n_jobs):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    fitted = clone(estimator).fit(take(train), y[train])
                score = round(float(fitted.score(take(test), y[test])), 6)
                found.setdefault(contender, []).append(score)
    return found


def main() -> None:
    """Prints a line for each choice, and writes all numbers if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(SETS), metavar="SET")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {}
    for name in arguments.sets:
        results[name] = fold_scores(name, arguments.seeds, n_jobs=1)
        default = np.array(results[name]["default"])
        for contender, scores in results[name].items():
            difference = np.array(scores) - default
            error = difference.std(ddof=1) / len(difference) ** 0.5
            print(
                f"{name:14} {contender:42} {np.mean(scores):.4f}   "
                f"{difference.mean():+.4f} +- {error:.4f}",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
