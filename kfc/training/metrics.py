"""Metrics that training records in addition to Keras's own.

The coefficient of determination is undefined if all targets are equal. An undefined metric is
not recorded; a training that monitors one is refused before it starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kfc.data import Task
from kfc.network import average_of_members
from kfc.preprocessing import TargetScaling, given_numbers

UNDEFINED_AS_NAN = ("r2",)
"""Metrics that have no value on some rows, and are NaN there."""


class R2(keras.metrics.Metric):
    """Coefficient of determination, the mean over the outputs.

        r2 = 1 - sum (y - value)^2 / sum (y - mean(y))^2

    Keras's `R2Score` subtracts `sum(y)^2 / n` from `sum y^2`: for targets far from zero these
    are large, nearly equal float32 numbers, and their difference is rounding. Here targets
    are measured from the first row, and the mean and the sum of squared deviations of each
    batch are merged into those so far, so that no two large numbers are subtracted but a
    target and a target.

    T. Chan, G. Golub and R. LeVeque, "Algorithms for computing the sample variance: analysis
    and recommendations", The American Statistician 37 (1983), 242-247,
    https://doi.org/10.1080/00031305.1983.10483115.

    It is NaN where an output has fewer than two rows, or targets that do not differ: then
    there is no variance to explain.

    Args:
        num_outputs: Number of targets of a row.
        unit: Unit in which differences are measured before they are squared, so that no
            square overflows: one number, or one for each output, (outputs,). It does not
            change the result. A compiled step takes it as an input.
        name: Name under which it is logged.
    """

    def __init__(
        self, num_outputs: int, unit: np.ndarray | float = 1.0, name: str = "r2"
    ) -> None:
        super().__init__(name=name)
        self._given = given_numbers(np.asarray(unit, np.float32))
        self.rows = self.add_variable((), initializer="zeros", name="rows")
        self.origin, self.mean, self.deviations, self.residuals = (
            self.add_variable((num_outputs,), initializer="zeros", name=name)
            for name in ("origin", "mean", "deviations", "residuals")
        )

    @property
    def given(self) -> tuple[keras.Variable, ...]:
        """The unit, which a compiled step takes as an input."""
        return self._given()

    def take_scaling(self, scaling: TargetScaling) -> None:
        """Takes the unit of the targets of other training rows."""
        self.given[0].assign(scaling.unit)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Merges a batch.

        Args:
            y_true: Targets, (batch, outputs).
            y_pred: Values of the network, (batch, outputs).
            sample_weight: Weight of each row, (batch,), or None.
        """
        ops = keras.ops
        y_true = ops.cast(y_true, self.dtype)
        y_pred = ops.cast(y_pred, self.dtype)
        weight = ops.ones_like(y_true[:, :1])  # (batch, 1)
        if sample_weight is not None:
            weight = weight * ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
        rows = ops.sum(weight)
        together = self.rows + rows
        unit = ops.convert_to_tensor(self.given[0])  # () or (outputs,)
        share = rows / ops.where(together > 0, together, 1.0)  # of all rows so far
        # The sum of at most one row: of an empty batch it is zero.
        first = ops.sum(y_true[:1], axis=0)  # (outputs,)
        origin = ops.where(self.rows > 0, self.origin, first)

        # From the batch's first row, so that the mean of a few rows is exact where theirs
        # differ little.
        targets = (y_true - first) / unit  # (batch, outputs)
        middle = ops.sum(weight * targets, axis=0) / ops.where(rows > 0, rows, 1.0)
        deviations = ops.sum(weight * ops.square(targets - middle), axis=0)
        distance = (first - origin) / unit + middle - self.mean
        residuals = ops.sum(weight * ops.square((y_true - y_pred) / unit), axis=0)

        self.deviations.assign(
            self.deviations + deviations + ops.square(distance) * self.rows * share
        )
        self.mean.assign(self.mean + distance * share)
        self.origin.assign(origin)
        self.rows.assign(together)
        self.residuals.assign(self.residuals + residuals)

    def result(self) -> Any:
        """Returns the coefficient of all rows since the last reset.

        It is NaN where there is none, and minus infinity where the sums are not finite.
        """
        differ = keras.ops.not_equal(self.deviations, 0.0)  # or are not finite
        explained = 1.0 - self.residuals / keras.ops.where(differ, self.deviations, 1.0)
        # Sums that overflow, or outputs that are NaN, are a finding and not a missing value.
        explained = keras.ops.where(keras.ops.isfinite(explained), explained, -np.inf)
        return keras.ops.mean(keras.ops.where(differ, explained, np.nan))

    def reset_state(self) -> None:
        """Forgets every row."""
        for variable in self.variables:
            variable.assign(keras.ops.zeros_like(variable))


class AverageMetric(keras.metrics.Metric):
    """A metric of the average of a network's members.

    Args:
        inner: Metric of one answer for each row.
        classification: Whether the outputs of the members are logits.
    """

    def __init__(self, inner: keras.metrics.Metric, *, classification: bool) -> None:
        super().__init__(name=inner.name)
        self.inner, self.classification = inner, classification

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Merges a batch.

        Args:
            y_true: Targets, as the inner metric takes them.
            y_pred: Outputs of the members, (batch, members, outputs).
            sample_weight: Weight of each row, (batch,), or None.
        """
        answers = average_of_members(y_pred, classification=self.classification)
        self.inner.update_state(y_true, answers, sample_weight=sample_weight)

    def result(self) -> Any:
        """Returns the inner metric of all rows since the last reset."""
        return self.inner.result()

    def reset_state(self) -> None:
        """Forgets every row."""
        self.inner.reset_state()


def build_metrics(
    task: Task, num_outputs: int, *, members: int = 1
) -> list[keras.metrics.Metric]:
    """Returns the metrics of a task: accuracy, or mean absolute error and R2.

    Args:
        task: Classes or numbers, and the scaling of the targets.
        num_outputs: Width of the network's output.
        members: Number of members of the network. With several, the metrics take the outputs
            of all members, (batch, members, outputs), and are those of their average.
    """
    built = _of_one_answer(task, num_outputs)
    if members == 1:
        return built
    return [AverageMetric(each, classification=task.classification) for each in built]


def _of_one_answer(task: Task, num_outputs: int) -> list[keras.metrics.Metric]:
    if not task.classification:
        unit = task.target_scaling.unit
        return [keras.metrics.MeanAbsoluteError(name="mae"), R2(num_outputs, unit)]
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
