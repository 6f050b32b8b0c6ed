"""Scores a finished network with scikit-learn, beside a baseline.

Training records loss and accuracy in its own graph. The scores of this module are computed
once, after training, from the outputs of the finished network in float64.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kfc.data import Rows, Task
from kfc.runs.predictions import class_logits
from kfc.system import DiskArray

_BATCH = 1024  # rows per call of the network; fixed, so that numbers repeat to the bit
_MOST_RANKED = 50_000_000
"""Most probabilities for which `roc_auc` is computed: it sorts the rows once per class."""


def compute_outputs(network: keras.Model, x: np.ndarray | DiskArray) -> np.ndarray:
    """Returns the outputs of a network for raw rows, (rows, outputs), float32.

    Args:
        network: Trained network that takes raw rows.
        x: Raw inputs in their stored type, (rows, *input_shape), in memory or on the disk.
    """
    batches = (x[first : first + _BATCH] for first in range(0, len(x), _BATCH))
    return np.concatenate(
        [np.asarray(network(tf.constant(batch), training=False)) for batch in batches]
    )


def scores(outputs: np.ndarray, y: np.ndarray, task: Task) -> dict[str, float]:
    """Returns the scores of outputs against targets, in float64.

    The scores are scikit-learn's. For classes: `accuracy`; `balanced_accuracy`, the mean
    recall of the classes that occur; `f1_macro`, the unweighted mean of the classes' F1;
    `roc_auc`, one class against the rest; and `log_loss`, the mean of `-log p` of the true
    class. For a regression: `mae`, `rmse` and `r2`, means over the outputs. `roc_auc` is left
    out unless every class occurs, and `r2` unless the targets of each output differ.

    Args:
        outputs: Logits, (rows, classes), or (rows, 1) for the second of two classes; values,
            (rows, outputs), for a regression.
        y: Class numbers, (rows,); targets, (rows, outputs), for a regression.
        task: Task that the network was trained for.
    """
    from sklearn import metrics  # importing it takes a second, and predictions do not need it

    if not task.classification:
        targets, values = np.asarray(y, np.float64), np.asarray(outputs, np.float64)
        found = {
            "mae": metrics.mean_absolute_error(targets, values),
            "rmse": metrics.root_mean_squared_error(targets, values),
        }
        if (targets.max(axis=0) > targets.min(axis=0)).all():
            found["r2"] = metrics.r2_score(targets, values)
        return _plain(found)

    probabilities = _softmax(class_logits(np.asarray(outputs, np.float64)))
    classes, predicted = np.arange(len(task.class_names)), probabilities.argmax(axis=1)
    present = np.unique(y)
    found = {
        "accuracy": metrics.accuracy_score(y, predicted),
        # Not `balanced_accuracy_score`, which warns of a class that is only predicted.
        "balanced_accuracy": metrics.recall_score(
            y, predicted, labels=present, average="macro", zero_division=0
        ),
        "f1_macro": metrics.f1_score(y, predicted, average="macro", zero_division=0),
    }
    if len(present) == len(classes) and probabilities.size <= _MOST_RANKED:
        of_class = probabilities[:, 1] if len(classes) == 2 else probabilities
        found["roc_auc"] = metrics.roc_auc_score(y, of_class, multi_class="ovr")
    found["log_loss"] = metrics.log_loss(y, probabilities, labels=classes)
    return _plain(found)


def baseline_scores(train: Rows, rows: Rows, task: Task) -> dict[str, float]:
    """Returns the scores of a constant prediction.

    For classes it is the share of each class among the training rows, so the most frequent
    class is predicted. For a regression it is the mean of the training targets.

    Args:
        train: Training rows that give the shares or the mean.
        rows: Rows to score.
        task: Task of the training rows and of the rows to score.
    """
    if task.classification:
        counts = np.bincount(train.y, minlength=len(task.class_names)).astype(np.float64)
        shares = np.maximum(counts / counts.sum(), np.finfo(np.float64).tiny)
        constant = np.log(shares)
    else:
        constant = train.y.mean(axis=0, dtype=np.float64)
    outputs = np.broadcast_to(constant, (len(rows.y), len(constant)))
    return scores(outputs, rows.y, task)


def _softmax(logits: np.ndarray) -> np.ndarray:
    from scipy.special import softmax

    return softmax(logits, axis=1)


def _plain(found: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}
