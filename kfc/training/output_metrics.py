"""Metrics of a network's outputs on held-out rows, computed by scikit-learn in float64.

The end of an epoch and the end of a run use the same functions, so that a metric has one
definition and one name. No row has a weight, as in the evaluation of the loss.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kfc.data import Task

if TYPE_CHECKING:
    from kfc.data import Rows
    from kfc.training.engine import Evaluator

NEED_EVERY_CLASS = ("auc", "average_precision")
"""Metrics that rank the rows of each class before all others, so every class must occur."""

_NEED_DIFFERENCES = ("r2",)
"""Metrics that have no value where all targets are equal."""


@dataclass(frozen=True)
class _Classes:
    """True classes of rows beside their predictions.

    Args:
        y: Class numbers, (rows,).
        probabilities: Probability of each class, (rows, classes), float64.
    """

    y: np.ndarray
    probabilities: np.ndarray

    @functools.cached_property
    def predicted(self) -> np.ndarray:
        """Numbers of the most likely classes, (rows,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def ranked(self) -> np.ndarray:
        """Numbers that rank the rows: of the second of two classes, or of every class."""
        two = self.probabilities.shape[1] == 2
        return self.probabilities[:, 1] if two else self.probabilities


def measure_outputs(
    names: Collection[str], outputs: np.ndarray, y: np.ndarray, task: Task
) -> dict[str, float]:
    """Returns metrics of outputs against targets, by scikit-learn and in float64.

    For classes: `accuracy`; `balanced_accuracy`, the mean recall of the classes that occur;
    `f1`, the unweighted mean of the classes' F1; `auc`, the area under the ROC curve, and
    `average_precision`, each the mean of every class against the rest, or that of the second
    of two classes; `log_loss`, the mean of `-log p` of the true class; and `mcc`, Matthews'
    correlation coefficient. For a regression, in units of the targets and as means over the
    outputs: `mae`, `rmse`, `r2`, `median_absolute_error`, and `pinball`, which is the pinball
    loss of the median.

    Args:
        names: Names of the metrics; those of another task are left out, as are those without
            a value on these rows (see `undefined_metrics`).
        outputs: Logits, (rows, classes), or (rows, 1) for the second of two classes; values,
            (rows, outputs), for a regression.
        y: Class numbers, (rows,); targets, (rows, outputs), for a regression.
        task: Task that the network was trained for.

    Returns:
        Name -> value; NaN for each name if an output is NaN or infinite.
    """
    functions = _of_classes() if task.classification else _of_numbers()
    undefined = undefined_metrics(y, task)
    wanted = [name for name in functions if name in names and name not in undefined]
    outputs = np.asarray(outputs, np.float64)
    if not np.isfinite(outputs).all():  # scikit-learn refuses such numbers, by a ValueError
        return dict.fromkeys(wanted, float("nan"))
    rows: Any = np.asarray(y, np.float64), outputs
    if task.classification:
        rows = (_Classes(np.asarray(y), class_probabilities(outputs)),)
    return {name: float(functions[name](*rows)) for name in wanted}


def class_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Returns the probability of each class, (rows, classes), float64.

    Args:
        outputs: Logits, (rows, classes), or (rows, 1) for the second of two classes.
    """
    from scipy.special import softmax

    return softmax(class_logits(np.asarray(outputs, np.float64)), axis=1)


def class_logits(outputs: np.ndarray) -> np.ndarray:
    """Returns a logit for each class, (rows, classes).

    Args:
        outputs: Logits, (rows, classes), or (rows, 1) for two classes; the first class then
            has the logit 0.
    """
    if outputs.shape[1] > 1:
        return outputs
    return np.hstack([np.zeros_like(outputs), outputs])


def undefined_metrics(y: np.ndarray, task: Task) -> tuple[str, ...]:
    """Returns the metrics that have no value on rows with these targets.

    Args:
        y: Class numbers, (rows,); targets, (rows, outputs), for a regression.
        task: Task of the rows.
    """
    if not task.classification:
        return () if (np.ptp(y, axis=0) > 0).all() else _NEED_DIFFERENCES
    return () if len(np.unique(y)) == len(task.class_names) else NEED_EVERY_CLASS


def _of_classes() -> Mapping[str, Callable[[_Classes], float]]:
    from sklearn import metrics  # importing it takes a second, and predictions do not need it

    # Not `balanced_accuracy_score`, which warns of a class that is only predicted.
    recall = functools.partial(metrics.recall_score, average="macro", zero_division=0)
    return {
        "accuracy": lambda rows: metrics.accuracy_score(rows.y, rows.predicted),
        "balanced_accuracy": lambda rows: recall(
            rows.y, rows.predicted, labels=np.unique(rows.y)
        ),
        "f1": lambda rows: metrics.f1_score(
            rows.y, rows.predicted, average="macro", zero_division=0
        ),
        "auc": lambda rows: metrics.roc_auc_score(rows.y, rows.ranked, multi_class="ovr"),
        "average_precision": lambda rows: metrics.average_precision_score(rows.y, rows.ranked),
        "mcc": lambda rows: metrics.matthews_corrcoef(rows.y, rows.predicted),
        "log_loss": lambda rows: metrics.log_loss(
            rows.y, rows.probabilities, labels=np.arange(rows.probabilities.shape[1])
        ),
    }


def _of_numbers() -> Mapping[str, Callable[[np.ndarray, np.ndarray], float]]:
    from sklearn import metrics

    return {
        "mae": metrics.mean_absolute_error,
        "rmse": metrics.root_mean_squared_error,
        "r2": metrics.r2_score,
        "median_absolute_error": metrics.median_absolute_error,
        "pinball": metrics.mean_pinball_loss,
    }


@dataclass(frozen=True)
class OutputMetrics:
    """Computes metrics of the outputs of a network on held-out rows.

    Args:
        evaluator: Evaluator of the network.
        names: Names of the metrics, see `measure_outputs`.
        task: Task of the network.
    """

    evaluator: Evaluator
    names: Sequence[str]
    task: Task

    def measure(self, rows: Rows) -> dict[str, float]:
        """Returns the metrics on rows, with the weights that the network has now.

        Args:
            rows: Encoded rows with targets.
        """
        if not self.names:
            return {}
        return measure_outputs(self.names, self.evaluator.outputs(rows.x), rows.y, self.task)
