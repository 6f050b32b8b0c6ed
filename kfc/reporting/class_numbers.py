"""Computes the numbers about classes that a page shows, all by scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn import metrics
from sklearn.calibration import calibration_curve

from kfc.runs import calibration


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Args:
        precision: Share of the rows with this answer that are of the class.
        recall: Share of the rows of the class with this answer.
        f1: Harmonic mean of precision and recall.
        support: Number of rows of the class.
    """

    precision: float
    recall: float
    f1: float
    support: int


def class_scores(y: np.ndarray, predicted: np.ndarray, classes: int) -> list[ClassScore]:
    """Returns the scores of each class, by `precision_recall_fscore_support`; 0 for 0 / 0.

    Args:
        y: Class numbers, (rows,).
        predicted: Numbers of the predicted classes, (rows,).
        classes: Number of classes.
    """
    found = metrics.precision_recall_fscore_support(
        y, predicted, labels=range(classes), zero_division=0
    )
    return [
        ClassScore(float(p), float(r), float(f), int(s))
        for p, r, f, s in zip(*found, strict=True)
    ]


def confusion(y: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Returns the number of rows of each class with each answer, (classes, classes)."""
    return np.asarray(metrics.confusion_matrix(y, predicted, labels=range(classes)))


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve of one class against all others.

    Args:
        x: Horizontal values: false positive rate, or recall.
        y: Vertical values: true positive rate, or precision.
        area: Area under the ROC curve, or average precision.
        of_class: Number of the class.
    """

    x: np.ndarray
    y: np.ndarray
    area: float
    of_class: int


def curved_classes(y: np.ndarray, classes: int) -> list[int]:
    """Returns the classes that have a curve: those with rows, of two classes the second."""
    present = [each for each in range(classes) if 0 < np.count_nonzero(y == each) < len(y)]
    return present[-1:] if classes == 2 else present


def roc_curves(y: np.ndarray, probabilities: np.ndarray) -> list[Curve]:
    """Returns the ROC curve of each class against the others, by `roc_curve`.

    Args:
        y: Class numbers, (rows,).
        probabilities: Probability of each class, (rows, classes).
    """
    curves = []
    for each in curved_classes(y, probabilities.shape[1]):
        x, above, _ = metrics.roc_curve(y == each, probabilities[:, each])
        area = metrics.roc_auc_score(y == each, probabilities[:, each])
        curves.append(Curve(x, above, float(area), each))
    return curves


def precision_recall_curves(y: np.ndarray, probabilities: np.ndarray) -> list[Curve]:
    """Returns the precision-recall curve of each class, by `precision_recall_curve`.

    Args:
        y: Class numbers, (rows,).
        probabilities: Probability of each class, (rows, classes).
    """
    curves = []
    for each in curved_classes(y, probabilities.shape[1]):
        precision, recall, _ = metrics.precision_recall_curve(
            y == each, probabilities[:, each]
        )
        area = metrics.average_precision_score(y == each, probabilities[:, each])
        curves.append(Curve(recall, precision, float(area), each))
    return curves


@dataclass(frozen=True)
class Reliability:
    """Accuracy of answers by their probability.

    Args:
        probability: Mean probability of the answers in each bin that has rows, (bins,).
        accuracy: Share of right answers in each of these bins, (bins,).
        rows: Number of rows in each of these bins, (bins,).
        error: Expected calibration error, in [0, 1].
    """

    probability: np.ndarray
    accuracy: np.ndarray
    rows: np.ndarray
    error: float


def reliability(y: np.ndarray, probabilities: np.ndarray) -> Reliability:
    """Returns the accuracy of the likeliest class in bins of its probability.

    The curve is scikit-learn's `calibration_curve` with bins of equal width; the error is
    `kfc.runs.calibration.calibration_error`.

    Args:
        y: Class numbers, (rows,).
        probabilities: Probability of each class, (rows, classes).
    """
    top = np.minimum(probabilities.max(axis=1).astype(np.float64), 1.0)
    right = probabilities.argmax(axis=1) == y
    if right.all() or not right.any():
        # `calibration_curve` refuses rows that are all right.
        accuracy, mean = np.array([float(right[0])]), np.array([top.mean()])
        rows = np.array([len(y)])
    else:
        accuracy, mean = calibration_curve(right, top, n_bins=calibration.BINS)
        edges = np.linspace(0.0, 1.0, calibration.BINS + 1)
        counts = np.bincount(np.searchsorted(edges[1:-1], top), minlength=calibration.BINS)
        rows = counts[counts > 0]
    error = calibration.calibration_error(probabilities, y)
    return Reliability(mean, accuracy, rows, error)
