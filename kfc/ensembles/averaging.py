"""Averages the answers of several networks in NumPy, and measures the average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from kfc.data import Rows, Task
from kfc.network import SMALLEST
from kfc.runs import (
    Labelled,
    Run,
    asks_for_uncertainty,
    scores,
    uncertainty_facts,
    with_fitted,
)
from kfc.spec import Spec
from kfc.training import class_logits

OUT_OF_FOLD = "oof"
"""Name of the rows of a cross-validation, each with the outputs of a run that lacked it."""


def averaged_outputs(outputs: Sequence[np.ndarray], task: Task) -> np.ndarray:
    """Returns outputs that stand for the average, (rows, outputs), float64.

    For classes they are `log(mean(softmax(logits)))`, for numbers the mean.

    Args:
        outputs: Logits or values of each member, (rows, outputs) each.
        task: Task of the average; its outputs are divided by the temperature, if it has one.
    """
    if not task.classification:
        return np.mean([np.asarray(each, np.float64) for each in outputs], axis=0)
    members = [softmax(class_logits(np.asarray(each, np.float64)), axis=1) for each in outputs]
    average = np.log(np.maximum(np.mean(members, axis=0), SMALLEST))
    return average / (task.temperature or 1.0)


class AverageScore:
    """Scores the average of members whose rows come one member after another.

    Each member may encode the rows in its own way, so that only its outputs are kept.
    """

    def __init__(self) -> None:
        self._outputs: list[np.ndarray] = []
        self._y: np.ndarray | None = None
        self._task: Task | None = None

    def add(self, run: Run, rows: Rows) -> None:
        """Adds the outputs of a member for the rows, as it encodes them."""
        self._outputs.append(scores.compute_outputs(run.network, rows.x))
        self._y, self._task = rows.y, run.task

    def labelled(self, uncertainty: Mapping[str, Any]) -> Labelled | None:
        """Returns the outputs of the average, (rows, outputs), and the targets of the rows.

        None without rows.

        Args:
            uncertainty: Facts with the temperature of the average; empty where it has none.
        """
        if self._y is None or self._task is None:
            return None
        task = with_fitted(self._task, uncertainty)
        return averaged_outputs(self._outputs, task), self._y

    def scores(self, prefix: str, uncertainty: Mapping[str, Any]) -> dict[str, float]:
        """Returns the scores of the average, each name with a prefix; none without rows.

        Args:
            prefix: Beginning of each name, such as `test_`.
            uncertainty: Facts with the temperature of the average; empty where it has none.
        """
        labelled = self.labelled(uncertainty)
        if labelled is None or self._task is None:
            return {}
        found = scores.scores(*labelled, self._task)
        return {f"{prefix}{name}": value for name, value in found.items()}


def average_uncertainty(spec: Spec, parts: Mapping[str, Labelled | None]) -> dict[str, Any]:
    """Returns the temperature or the intervals of an average, as a spec asks for them.

    The first part is that on which they are fitted. For `training.members` it is the
    validation rows, or those of them that are for intervals, with the outputs of the average;
    for a cross-validation it is every row, with the outputs of the run that was not trained on
    it. There the average is less sure than that run, so that a temperature above 1 would be
    too much for it and is not taken. It is usually also better, so that its intervals hold
    rather more than the coverage. Barber, Candes, Ramdas, Tibshirani, "Predictive inference
    with the jackknife+", 2021, https://arxiv.org/abs/1905.02928, gives other intervals, with a
    guarantee for any network: those need the predictions of each member for each row.

    Args:
        spec: Resolved spec of a member.
        parts: Name of the rows -> outputs of the average, and targets; None for no such rows.

    Raises:
        DataError: If the rows are too few for the coverage.
    """
    if not asks_for_uncertainty(spec):
        return {}
    given = {name: labelled for name, labelled in parts.items() if labelled is not None}
    return uncertainty_facts(spec, given, only_surer=OUT_OF_FOLD in given)
