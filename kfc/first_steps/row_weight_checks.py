"""Checks of the weights of rows, by which their losses are multiplied."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kfc.errors import Finding
from kfc.first_steps.cures import loss_cure
from kfc.first_steps.start import Start
from kfc.first_steps.subject import Subject

_HARDLY = 0.01  # of the mean weight of all rows: a hundred rows of the class count as one
_COUNTING = 0.05  # share of the rows that others do not outweigh
_FEWEST = 50  # rows of which a share is judged
_TIMES = 10.0  # larger or smaller updates, of which the weights are the cause
_UPDATE = 1.0  # share of the weights that one update changes, as in `update_too_large`
_MOVED = 0.01  # share of the weights that all updates together change at least


def class_hardly_counts(subject: Subject) -> Finding | None:
    """Finds a class whose rows have hardly any weight beside those of other classes.

    A class that the loss ignores has none.
    """
    classes, ignored = _classes(subject), subject.loss.ignored_class
    if classes is None or (subject.weights is None and ignored is None):
        return None
    weights = np.ones(len(classes)) if subject.weights is None else subject.weights
    weights = weights if ignored is None else weights * (classes != ignored)
    if not weights.any():
        return None
    names, counts = np.unique(classes, return_counts=True)
    means = np.array([weights[classes == name].mean() for name in names]) / weights.mean()
    silent = np.flatnonzero(means < _HARDLY)
    if not silent.size:
        return None
    first = int(silent[counts[silent].argmax()])
    share, weight = counts[first] / len(classes), means[first] * counts[first] / len(classes)
    more = "" if len(silent) == 1 else f", and {len(silent) - 1} more classes hardly any"
    remedy = "Use balanced, which gives each class the same sum of weights, or no weights."
    by_loss = names[first] == ignored
    return Finding(
        "ignore_class" if by_loss else _where(subject),
        "weights with which every class counts",
        f"class {subject.class_name(names[first])!r} has {share:.0%} of the rows and "
        f"{weight:.2g} of the weight{more}",
        "Leave ignore_class out." if by_loss else remedy,
        evidence={"share": float(share), "weight": float(weight), "classes": len(silent)},
        cure=loss_cure(subject.spec) if by_loss else _without(subject),
    )


def few_rows_count(subject: Subject) -> Finding | None:
    """Finds weights with which few rows outweigh all others, the weights of classes aside.

    Weights w count as (sum w)^2 / sum w^2 rows of equal weight. Kish, "Survey sampling", 1965,
    section 11.7.
    """
    weights = subject.weights
    if weights is None or len(weights) < _FEWEST or not weights.any():
        return None
    counted, classes = weights.astype(np.float64), _classes(subject)
    for name in () if classes is None else np.unique(classes):
        usual = float(np.median(counted[classes == name]))
        counted[classes == name] /= usual or 1.0  # what the class as a whole counts
    share = float(counted.mean() ** 2 / np.square(counted).mean())
    if share >= _COUNTING:
        return None
    return Finding(
        _where(subject),
        "weights with which most rows count",
        f"weights of {weights.min():.3g} to {weights.max():.3g}, with which {len(weights):,} "
        f"rows count as much as {share * len(weights):.3g} rows of equal weight",
        "Use weights around 1, perhaps their logarithm or root.",
        evidence={"share": share},
        cure=_without(subject),
    )


def weights_scale_updates(start: Start) -> Finding | None:
    """Finds weights whose size multiplies the gradient, so that the learning rate is wrong.

    Adam and its kin divide a factor of the gradient out, and are then not named.
    """
    weights = start.subject.weights
    factor = 1.0 if weights is None else float(weights.mean())
    if factor in (0.0, 1.0) or not math.isfinite(start.loss):
        return None
    plain, weighted = (start.largest_update(of) for of in (1.0, factor))
    if not plain > 0 or 1 / _TIMES < weighted / plain < _TIMES:
        return None
    if weighted * start.subject.longest > _MOVED and weighted < _UPDATE:
        return None
    return Finding(
        _where(start.subject),
        "weights with a mean of about 1",
        f"a mean of {factor:.3g}, by which the gradient is multiplied: one update changes the "
        f"network by {weighted:.2g} of its weights, and by {plain:.2g} without them",
        f"Divide the weights by {factor:.3g}.",
        evidence={"mean": factor, "update_to_weight": weighted},
        cure=_without(start.subject),
    )


def _classes(subject: Subject) -> np.ndarray | None:
    """Returns the number of the class of each row; None for numbers."""
    if not subject.num_classes:
        return None
    rows = subject.y.reshape(len(subject.y), -1)
    return rows.argmax(axis=1) if rows.shape[1] > 1 else rows[:, 0]


def _where(subject: Subject) -> str:
    of_classes = subject.spec is not None and subject.spec.training.class_weight
    return "training.class_weight" if of_classes else "weights of the rows"


def _without(subject: Subject) -> dict[str, Any]:
    """Returns the change that leaves class weights out; those of rows are the caller's."""
    spec = subject.spec
    return {} if spec is None or not spec.training.class_weight else _NO_WEIGHTS


_NO_WEIGHTS = {"training.class_weight": None}
