"""Sample weights and class weights -> one weight per training row.

As in Keras, the loss of a batch is `sum(weight * loss) / rows`: weights are not normalised,
and the metrics count every row the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.utils.class_weight import compute_sample_weight

from kfc.data.rows import Rows
from kfc.data.task import Task
from kfc.errors import DataError, Finding, SpecError, nearest
from kfc.spec import Spec

_WHERE = "training.class_weight"


def weighted(train: Rows, spec: Spec, task: Task) -> Rows:
    """Returns the training rows, each weighing its sample weight times its class's.

    `balanced` gives the class c the weight n / (k * n_c), for n rows of k classes, n_c of
    them of class c: every class counts as much as any other. King and Zeng, "Logistic
    regression in rare events data", 2001, https://doi.org/10.1093/oxfordjournals.pan.a004868.

    Args:
        train: Training rows, with sample weights or without.
        spec: Its `training.class_weight` is `balanced` or class -> weight, 1 for the classes
            it does not name.
        task: Says what the classes are called.

    Returns:
        Rows with float32 weights; `train` itself where the spec names no class weight.

    Raises:
        SpecError: If a class is unknown, the targets are no classes, or no row would weigh
            more than 0.
        DataError: If the sample weights are 0 for every row that is left for training.
    """
    asked = spec.training.class_weight
    if not asked:
        if train.sample_weight is not None and not train.sample_weight.any():
            raise DataError(_nothing_left("data", "a sample weight of 0 for all of them"))
        return train
    if not task.classification:
        expected = "targets that are classes"
        remedy = "Leave it out, or pass data=(x, y, sample_weight)."
        raise SpecError(Finding(_WHERE, expected, "targets that are numbers", remedy))
    if asked == "balanced":
        weight = compute_sample_weight("balanced", train.y)
    else:
        weight = _by_name(asked, task.class_names)[train.y]
    if train.sample_weight is not None:
        weight = weight * train.sample_weight
    with np.errstate(over="ignore", under="ignore"):
        weight = weight.astype(np.float32)
    _check(weight)
    return Rows(train.x, train.y, weight)


def _by_name(asked: Mapping[str, float], labels: tuple[str, ...]) -> np.ndarray:
    """Returns the weight of each class, (classes,), in the order of their numbers."""
    if unknown := [name for name in asked if name not in labels]:
        known = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
        raise SpecError(
            *(
                Finding(
                    f"{_WHERE}.{name}",
                    f"the name of one of the {len(labels)} classes",
                    repr(name),
                    f"{nearest(name, labels)}Known: {known}.",
                )
                for name in unknown
            )
        )
    return np.array([asked.get(label, 1.0) for label in labels])


def _check(weight: np.ndarray) -> None:
    if not weight.any():
        raise SpecError(_nothing_left(_WHERE, "a weight of 0 for all of them"))
    if not np.isfinite(weight).all():
        expected = "weights that fit in float32, times those of the rows"
        raise SpecError(Finding(_WHERE, expected, "larger ones", "Use smaller weights."))


def _nothing_left(where: str, got: str) -> Finding:
    return Finding(
        where,
        "training rows that weigh more than 0",
        got,
        "Give some of them a weight above 0.",
    )
