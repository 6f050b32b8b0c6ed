"""Averages the answers of several networks in NumPy, and measures the average."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from kfc.data import Rows, Task
from kfc.network import SMALLEST
from kfc.runs import Run, scores
from kfc.training import class_logits


def averaged_outputs(outputs: Sequence[np.ndarray], task: Task) -> np.ndarray:
    """Returns outputs that stand for the average, (rows, outputs), float64.

    For classes they are `log(mean(softmax(logits)))`, for numbers the mean.

    Args:
        outputs: Logits or values of each member, (rows, outputs) each.
        task: Task of the members.
    """
    if not task.classification:
        return np.mean([np.asarray(each, np.float64) for each in outputs], axis=0)
    members = [softmax(class_logits(np.asarray(each, np.float64)), axis=1) for each in outputs]
    return np.log(np.maximum(np.mean(members, axis=0), SMALLEST))


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

    def scores(self, prefix: str) -> dict[str, float]:
        """Returns the scores of the average, each name with a prefix; none without rows."""
        if self._y is None or self._task is None:
            return {}
        average = averaged_outputs(self._outputs, self._task)
        found = scores.scores(average, self._y, self._task)
        return {f"{prefix}{name}": value for name, value in found.items()}
