"""Checks that train a small forest on the rows: the stage `learned_parts`, of the doctor.

The forest is extremely randomized trees of scikit-learn: Geurts, Ernst and Wehenkel,
"Extremely randomized trees", 2006, https://doi.org/10.1007/s10994-006-6226-1. It needs no
scaling, and no setting changes its findings here. Each tree learns a bootstrap sample, and
the answer for a row is that of the trees which have not learned it: Breiman, "Out-of-bag
estimation", 1996, https://www.stat.berkeley.edu/~breiman/OOBestimation.pdf.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from kfc.data.evenly_spaced import evenly
from kfc.data.part_checks import Parts, PlainColumns
from kfc.data.rows import Rows
from kfc.errors import Finding
from kfc.findings import find_by, run_checks

_MOST_ROWS = 2000  # of each part: the AUC is then known to 0.01
_PART_ROWS = 1000  # of each of two parts, whose AUC is then known to 0.013
_LEAST_ROWS = 50
_TREES = 60
_DRIFT = 0.75  # AUC: three of four pairs of rows are ranked right
_ERRORS = 4.0  # standard errors of an AUC of 0.5 that chance does not reach
_RELATED = 3.0  # standard errors above chance of targets that inputs tell
_CLEAR = 0.3  # of a score, by which it must be lower in other rows
_VISIBLE = 0.2  # AUC - 0.5 that must be excluded: AUC 0.7, or a correlation of 0.4
_MOST_COLUMNS = 200  # of which each is compared with the target
_CLASSES = 3  # the most frequent ones, each against all others
_SEED = 0


@dataclass(frozen=True)
class LearnedParts:
    """Parts of the data, with a forest that has learned the targets of training rows.

    Args:
        parts: Encoded rows.
    """

    parts: Parts

    @cached_property
    def x(self) -> np.ndarray:
        """Inputs of some training rows, (rows, features)."""
        return _some(self.parts.train)

    @cached_property
    def y(self) -> np.ndarray:
        """Their targets, (rows,)."""
        return _some_targets(self.parts.train)

    @cached_property
    def forest(self) -> Any:
        """The forest."""
        return _forest(self.x, self.y, of_classes=bool(self.parts.class_names))

    @property
    def is_learnable(self) -> bool:
        """Whether there are rows enough, and targets that differ."""
        return len(self.x) >= _LEAST_ROWS and bool(np.ptp(self.y) > 0)

    @cached_property
    def guess(self) -> np.ndarray:
        """Predicted targets of `x`, by trees that have not learned them, (rows,)."""
        if not self.parts.class_names:
            return np.asarray(self.forest.oob_prediction_)
        return self.forest.classes_[self.forest.oob_decision_function_.argmax(axis=1)]


def check_learned(parts: Parts, accept: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """Runs the checks of the stage `learned_parts`, and looks for leaks in arrays.

    Args:
        parts: Encoded rows.
        accept: Codes or names of the checks that are left out.

    Returns:
        The findings, which are warnings.
    """
    found = run_checks("learned_parts", LearnedParts(parts), accept=accept)
    drifted = {each.where for each in found if each.name == "parts_differ"}
    found = tuple(
        each
        for each in found  # of other inputs other targets follow
        if each.name != "held_out_targets_differ" or each.where not in drifted
    )
    if parts.of_table or parts.pixels or parts.train.on_disk:
        return found
    columns = PlainColumns.of(parts.train)
    if columns.num_numbers > _MOST_COLUMNS:
        return found
    rows = replace(parts.train, x=parts.train.x[:].reshape(len(parts.train), -1))
    leaks = find_by("target_in_column", columns, rows, {}, accept=accept)
    remedy = "Leave the input out if it is not known before the target."
    return found + tuple(replace(each, remedy=remedy, cure={}) for each in leaks)


def parts_differ(learned: LearnedParts) -> list[Finding]:
    """Finds held-out rows that a classifier distinguishes from training rows.

    Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", 2017,
    https://arxiv.org/abs/1610.06545. Rows that were split at random give an AUC of 0.5.
    """
    found, parts = [], learned.parts
    for where, rows in parts.others.items() if not parts.by_time else ():
        x = [_some(part, _PART_ROWS) for part in (parts.train, rows)]
        sizes = [len(each) for each in x]
        if min(sizes) < _LEAST_ROWS:
            continue
        is_other = np.repeat([0, 1], sizes)
        forest = _forest(np.concatenate(x), is_other, of_classes=True)
        auc = _auc(is_other, forest.oob_decision_function_[:, 1])
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


def targets_unrelated(learned: LearnedParts) -> Finding | None:
    """Finds targets that a forest cannot predict better than by chance, as shuffled ones."""
    if not learned.is_learnable:
        return None
    class_names = learned.parts.class_names
    score, error = _classes_score(learned) if class_names else _numbers_score(learned)
    # With few rows of a class, no relation would be seen either.
    visible = _VISIBLE if class_names else 2 * _VISIBLE
    if not score < _RELATED * error or score + 2 * error > visible:
        return None
    what = "AUC - 0.5" if class_names else "correlation"
    return Finding(
        "training rows",
        "targets that depend on the inputs",
        f"targets that a small forest predicts no better than by chance ({what}: {score:.3f})",
        "Check that inputs and targets have the same order: were they shuffled apart?",
        evidence={"score": score, "standard_error": error, "rows": len(learned.x)},
    )


def held_out_targets_differ(learned: LearnedParts) -> list[Finding]:
    """Finds held-out rows whose targets do not follow from the inputs as those of training do.

    A forest that has learned the training rows predicts them no better than by chance: their
    targets are in another order, or their classes have other numbers.
    """
    found: list[Finding] = []
    parts, of_classes = learned.parts, bool(learned.parts.class_names)
    others = {where: rows for where, rows in parts.others.items() if len(rows) >= _LEAST_ROWS}
    if not others or parts.by_time or not learned.is_learnable:
        return found
    score = _score(learned.guess, learned.y, of_classes)
    for where, rows in others.items():
        there = _score(learned.forest.predict(_some(rows)), _some_targets(rows), of_classes)
        error = _ERRORS / np.sqrt(len(_some_targets(rows)))
        if there < min(error, score / 2) and score - there > max(_CLEAR, error):
            found.append(
                Finding(
                    where,
                    "targets that depend on the inputs as those of the training rows",
                    f"targets that a small forest predicts with a score of {there:.2f}, in "
                    f"training rows {score:.2f}; chance gives 0",
                    "Check the order of these targets, and the numbers of their classes.",
                    evidence={"score": there, "training_score": score, "rows": len(rows)},
                )
            )
    return found


def _score(guess: np.ndarray, y: np.ndarray, of_classes: bool) -> float:
    """Returns Cohen's kappa of classes, or the rank correlation of numbers; chance gives 0.

    Cohen, "A coefficient of agreement for nominal scales", 1960,
    https://doi.org/10.1177/001316446002000104.
    """
    if of_classes:
        from sklearn.metrics import cohen_kappa_score

        return float(np.nan_to_num(cohen_kappa_score(y, guess)))
    from scipy.stats import spearmanr

    return float(np.nan_to_num(spearmanr(guess, y).statistic))


def _some(rows: Rows, most: int = _MOST_ROWS) -> np.ndarray:
    x = np.asarray(rows.take(evenly(len(rows), most)).x[:])
    return np.nan_to_num(x.reshape(len(x), -1).astype(np.float32))


def _some_targets(rows: Rows) -> np.ndarray:
    y = np.asarray(rows.y).reshape(len(rows), -1)
    return y[evenly(len(rows), _MOST_ROWS), 0]


def _classes_score(learned: LearnedParts) -> tuple[float, float]:
    """Returns how far the mean AUC of the most frequent classes is above 0.5, and an error.

    The error is that of one comparison, which is larger than that of their mean.
    """
    y, probabilities = learned.y, learned.forest.oob_decision_function_
    names, counts = np.unique(y, return_counts=True)
    scores, errors = [], []
    for place in np.argsort(-counts)[:_CLASSES]:
        scores.append(_auc(y == names[place], probabilities[:, place]) - 0.5)
        positive = int(counts[place])
        errors.append(np.sqrt((len(y) + 1) / (12 * positive * (len(y) - positive))))
    return float(np.mean(scores)), float(np.mean(errors))


def _numbers_score(learned: LearnedParts) -> tuple[float, float]:
    """Returns the rank correlation of predictions with the targets, and its error."""
    return _score(learned.guess, learned.y, False), float(1 / np.sqrt(len(learned.y)))


def _auc(is_one: np.ndarray, probability: np.ndarray) -> float:
    """Returns the area under the ROC curve."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_one, probability))


def _forest(x: np.ndarray, y: np.ndarray, *, of_classes: bool) -> Any:
    """Returns a forest that has learned rows, and knows its out-of-bag answers for them."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    kind = ExtraTreesClassifier if of_classes else ExtraTreesRegressor
    options: dict[str, Any] = {"min_samples_leaf": 3, "random_state": _SEED}
    return kind(_TREES, bootstrap=True, oob_score=True, **options).fit(x, y)
