"""Scores a finished network with scikit-learn, beside a baseline.

Training records loss and accuracy in its own graph. The scores of this module are computed
once, after training, from the outputs of the finished network in float64.
"""

from __future__ import annotations

from collections.abc import Collection

import keras
import numpy as np
import tensorflow as tf

from kfc.data import Rows, Task
from kfc.spec import Spec, metrics_of_outputs
from kfc.system import DiskArray
from kfc.training import measure_outputs

_BATCH = 1024  # rows per call of the network; fixed, so that numbers repeat to the bit
_MOST_RANKED = 50_000_000
"""Most outputs for which `auc` is computed unasked: it sorts the rows once per class."""

_OF_CLASSES = ("accuracy", "balanced_accuracy", "f1", "auc", "log_loss")
_OF_NUMBERS = ("mae", "rmse", "r2")


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


def scores(
    outputs: np.ndarray, y: np.ndarray, task: Task, further: Collection[str] = ()
) -> dict[str, float]:
    """Returns the scores of outputs against targets, in float64.

    For classes: `accuracy`, `balanced_accuracy`, `f1`, `auc` and `log_loss`; for a
    regression: `mae`, `rmse` and `r2`. `kfc.training.measure_outputs` says what they are, and
    which ones are left out.

    Args:
        outputs: Logits, (rows, classes), or (rows, 1) for the second of two classes; values,
            (rows, outputs), for a regression.
        y: Class numbers, (rows,); targets, (rows, outputs), for a regression.
        task: Task that the network was trained for.
        further: Names of further metrics.
    """
    names = {*(_OF_CLASSES if task.classification else _OF_NUMBERS), *further}
    if outputs.size > _MOST_RANKED and "auc" not in further:
        names -= {"auc"}
    return measure_outputs(names, outputs, y, task)


def further_scores(spec: Spec) -> tuple[str, ...]:
    """Returns the scores that the keys of a spec ask for.

    Args:
        spec: Spec of the network; the objective of its search counts too.
    """
    objective = spec.search.objective if spec.search else None
    return metrics_of_outputs(spec, [objective] if objective else [])


def baseline_scores(
    train: Rows, rows: Rows, task: Task, further: Collection[str] = ()
) -> dict[str, float]:
    """Returns the scores of a constant prediction.

    For classes it is the share of each class among the training rows, so the most frequent
    class is predicted. For a regression it is the mean of the training targets.

    Args:
        train: Training rows that give the shares or the mean.
        rows: Rows to score.
        task: Task of the training rows and of the rows to score.
        further: Names of further metrics.
    """
    constant = constant_outputs(train, task)
    outputs = np.broadcast_to(constant, (len(rows.y), len(constant)))
    return scores(outputs, rows.y, task, further)


def constant_outputs(train: Rows, task: Task) -> np.ndarray:
    """Returns the outputs of a constant prediction, (outputs,), float64.

    Args:
        train: Training rows that give the shares or the mean.
        task: Task of the training rows.

    Returns:
        For classes the logarithms of their shares; for a regression the means of the targets.
    """
    if not task.classification:
        return np.asarray(train.y.mean(axis=0, dtype=np.float64))
    counts = np.bincount(train.y, minlength=len(task.class_names)).astype(np.float64)
    return np.log(np.maximum(counts / counts.sum(), np.finfo(np.float64).tiny))
