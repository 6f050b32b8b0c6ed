"""Metrics that training records, beside those of Keras that it takes as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kfc.data import Task

UNDEFINED_AS_NAN = ("r2",)
"""Metrics that have no value on some rows, and are NaN there."""


class R2(keras.metrics.Metric):
    """Coefficient of determination, the mean over the outputs.

        r2 = 1 - sum (y - value)^2 / sum (y - mean(y))^2

    Keras's `R2Score` subtracts `sum(y)^2 / n` from `sum y^2`: for targets far from zero these
    are large, nearly equal float32 numbers, and their difference is rounding. Here the mean
    and the sum of squared deviations of each batch are merged into those so far, which
    subtracts nothing large, and the targets are first moved towards zero.

    T. Chan, G. Golub and R. LeVeque, "Algorithms for computing the sample variance: analysis
    and recommendations", The American Statistician 37 (1983), 242-247,
    https://doi.org/10.1080/00031305.1983.10483115.

    It is NaN where an output has fewer than two rows, or targets that do not differ: then
    there is no variance to explain.

    Args:
        num_outputs: Number of targets of a row.
        shift: Number near the targets, such as the mean of the training targets, or one for
            each output, (outputs,).
        name: Name under which it is logged.
    """

    def __init__(
        self, num_outputs: int, shift: np.ndarray | float = 0.0, name: str = "r2"
    ) -> None:
        super().__init__(name=name)
        self.shift = np.asarray(shift, np.float32)
        self.rows = self.add_variable((), initializer="zeros", name="rows")
        self.mean, self.deviations, self.residuals = (
            self.add_variable((num_outputs,), initializer="zeros", name=name)
            for name in ("mean", "deviations", "residuals")
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Merges a batch.

        Args:
            y_true: Targets, (batch, outputs).
            y_pred: Values of the network, (batch, outputs).
            sample_weight: Weight of each row, (batch,), or None.
        """
        ops = keras.ops
        y_true, y_pred = (ops.cast(values, self.dtype) for values in (y_true, y_pred))
        weight = ops.ones_like(y_true[:, :1])  # (batch, 1)
        if sample_weight is not None:
            weight = weight * ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
        targets = y_true - self.shift  # (batch, outputs)

        rows = ops.sum(weight)
        mean = ops.sum(weight * targets, axis=0) / ops.maximum(rows, 1e-37)  # (outputs,)
        deviations = ops.sum(weight * ops.square(targets - mean), axis=0)
        together = self.rows + rows
        share = rows / ops.maximum(together, 1e-37)  # of all rows so far
        distance = mean - self.mean
        self.deviations.assign(
            self.deviations + deviations + ops.square(distance) * self.rows * share
        )
        self.mean.assign(self.mean + distance * share)
        self.rows.assign(together)
        self.residuals.assign(
            self.residuals + ops.sum(weight * ops.square(y_true - y_pred), axis=0)
        )

    def result(self) -> Any:
        """Returns the coefficient of all rows since the last reset, or NaN."""
        differ = self.deviations > 0
        explained = 1.0 - self.residuals / keras.ops.where(differ, self.deviations, 1.0)
        return keras.ops.mean(keras.ops.where(differ, explained, np.nan))

    def reset_state(self) -> None:
        """Forgets every row."""
        for variable in self.variables:
            variable.assign(keras.ops.zeros_like(variable))


def build_metrics(task: Task, num_outputs: int) -> list[keras.metrics.Metric]:
    """Returns the metrics of a task: accuracy, or mean absolute error and R2.

    Args:
        task: Classes or numbers, and the scaling of the targets.
        num_outputs: Width of the network's output.
    """
    if not task.classification:
        shift = task.target_scaling.shift
        return [keras.metrics.MeanAbsoluteError(name="mae"), R2(num_outputs, shift)]
    if num_outputs == 1:
        # A logit of 0 is a probability of one half.
        return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)]
    return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]


def defined(logs: Mapping[str, float]) -> dict[str, float]:
    """Returns logs without the metrics that have no value on these rows.

    A metric that is NaN because the network's outputs are stays: the loss beside it is NaN
    too, and the training is refused.

    Args:
        logs: Name -> value, of training and of held-out rows.
    """
    kept = {}
    for name, value in logs.items():
        prefix = name.rpartition("_")[0]
        loss = logs.get(f"{prefix}_loss" if prefix else "loss", math.nan)
        is_undefined = name.rpartition("_")[2] in UNDEFINED_AS_NAN and math.isnan(value)
        if not (is_undefined and math.isfinite(loss)):
            kept[name] = value
    return kept
