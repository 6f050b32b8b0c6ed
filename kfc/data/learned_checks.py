"""Checks that train a small forest on the rows: the stage `learned_parts`, of the doctor.

The forest is extremely randomized trees of scikit-learn: Geurts, Ernst and Wehenkel,
"Extremely randomized trees", 2006, https://doi.org/10.1007/s10994-006-6226-1. It needs no
scaling, and no setting changes its findings here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kfc.data.evenly_spaced import evenly
from kfc.data.part_checks import Parts, PlainColumns
from kfc.data.rows import Rows
from kfc.errors import Finding
from kfc.findings import find_by, run_checks

_MOST_ROWS = 2000  # of each part: the AUC is then known to 0.01
_LEAST_ROWS = 50
_TREES = 60
_DRIFT = 0.75  # AUC: three of four pairs of rows are ranked right
_ERRORS = 4.0  # standard errors of an AUC of 0.5 that chance does not reach
_RELATED = 3.0  # standard errors above chance of targets that inputs tell
_VISIBLE = 0.2  # AUC - 0.5 that must be excluded: AUC 0.7, or a correlation of 0.4
_MOST_COLUMNS = 200  # of which each is compared with the target
_CLASSES = 3  # the most frequent ones, each against all others
_SEED = 0


def check_learned(parts: Parts, accept: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """Runs the checks of the stage `learned_parts`, and looks for leaks in arrays.

    Args:
        parts: Encoded rows.
        accept: Codes or names of the checks that are left out.

    Returns:
        The findings, which are warnings.
    """
    found = run_checks("learned_parts", parts, accept=accept)
    if parts.of_table or parts.pixels or parts.train.on_disk:
        return found
    columns = PlainColumns.of(parts.train)
    if columns.num_numbers > _MOST_COLUMNS:
        return found
    rows = replace(parts.train, x=parts.train.x[:].reshape(len(parts.train), -1))
    leaks = find_by("target_in_column", columns, rows, {}, accept=accept)
    remedy = "Leave the input out if it is not known before the target."
    return found + tuple(replace(each, remedy=remedy, cure={}) for each in leaks)


def parts_differ(parts: Parts) -> list[Finding]:
    """Finds held-out rows that a classifier distinguishes from training rows.

    Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", 2017,
    https://arxiv.org/abs/1610.06545. Rows that were split at random give an AUC of 0.5.
    """
    found = []
    for where, rows in parts.others.items() if not parts.by_time else ():
        x = [_some(part) for part in (parts.train, rows)]
        sizes = [len(each) for each in x]
        if min(sizes) < _LEAST_ROWS:
            continue
        auc = _auc(np.concatenate(x), np.repeat([0, 1], sizes))
        error = np.sqrt((sum(sizes) + 1) / (12 * sizes[0] * sizes[1]))
        if auc > max(_DRIFT, 0.5 + _ERRORS * error):
            found.append(
                Finding(
                    where,
                    "rows like the training rows",
                    f"rows that a small forest tells from them, AUC {auc:.2f}",
                    "Look for what has changed between the parts, or split at random.",
                    evidence={"auc": auc, "rows": sizes[1]},
                )
            )
    return found


def targets_unrelated(parts: Parts) -> Finding | None:
    """Finds targets that a forest cannot predict better than by chance, as shuffled ones."""
    x, y = _some(parts.train), _some_targets(parts.train)
    if len(x) < _LEAST_ROWS or np.ptp(y) == 0:
        return None
    score, error = _classes_score(x, y) if parts.class_names else _numbers_score(x, y)
    # With few rows of a class, no relation would be seen either.
    visible = _VISIBLE if parts.class_names else 2 * _VISIBLE
    if not score < _RELATED * error or score + 2 * error > visible:
        return None
    what = "AUC - 0.5" if parts.class_names else "correlation"
    return Finding(
        "training rows",
        "targets that depend on the inputs",
        f"targets that a small forest predicts no better than by chance ({what}: {score:.3f})",
        "Check that inputs and targets have the same order: were they shuffled apart?",
        evidence={"score": score, "standard_error": error, "rows": len(x)},
    )


def _some(rows: Rows) -> np.ndarray:
    x = np.asarray(rows.take(evenly(len(rows), _MOST_ROWS)).x[:])
    return np.nan_to_num(x.reshape(len(x), -1).astype(np.float32))


def _some_targets(rows: Rows) -> np.ndarray:
    y = np.asarray(rows.y).reshape(len(rows), -1)
    return y[evenly(len(rows), _MOST_ROWS), 0]


def _classes_score(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Returns how far the mean AUC of the most frequent classes is above 0.5, and an error.

    The error is that of one comparison, which is larger than that of their mean.
    """
    names, counts = np.unique(y, return_counts=True)
    scores, errors = [], []
    for name in names[np.argsort(-counts)][:_CLASSES]:
        one = y == name
        scores.append(_auc(x, one.astype(np.int64)) - 0.5)
        positive = int(one.sum())
        errors.append(np.sqrt((len(y) + 1) / (12 * positive * (len(y) - positive))))
    return float(np.mean(scores)), float(np.mean(errors))


def _numbers_score(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Returns the rank correlation of predictions with the targets, and its error."""
    from scipy.stats import spearmanr
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.model_selection import cross_val_predict

    forest = ExtraTreesRegressor(_TREES, min_samples_leaf=3, random_state=_SEED)
    guess = cross_val_predict(forest, x, y, cv=_folds(False))
    found = spearmanr(guess, y).statistic
    return float(np.nan_to_num(found)), float(1 / np.sqrt(len(y)))


def _auc(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the AUC of a forest for two classes, on rows that it has not seen."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    if min(np.bincount(y, minlength=2)) < 2:
        return 0.5
    forest = ExtraTreesClassifier(_TREES, min_samples_leaf=3, random_state=_SEED)
    probability = cross_val_predict(forest, x, y, cv=_folds(True), method="predict_proba")
    return float(roc_auc_score(y, probability[:, 1]))


def _folds(stratified: bool) -> Any:
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = StratifiedKFold if stratified else KFold
    return kind(2, shuffle=True, random_state=_SEED)
