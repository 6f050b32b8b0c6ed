"""Combines sample weights and class weights into one weight per training row.

As in Keras, the loss of a batch is `sum(weight * loss) / rows`. Weights are not normalised,
and metrics ignore them.
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
    """Returns the training rows, each with its sample weight times the weight of its class.

    `balanced` gives class c the weight n / (k * n_c), for n rows of k classes with n_c rows
    of class c, so that all classes contribute equally to the loss. King and Zeng, "Logistic
    regression in rare events data", 2001, https://doi.org/10.1093/oxfordjournals.pan.a004868.

    Args:
        train: Training rows, with sample weights or without.
        spec: Spec with `training.class_weight`: `balanced`, or class name -> weight, where
            unnamed classes have weight 1.
        task: Task with the class names.

    Returns:
        Rows with float32 weights; `train` itself if the spec has no class weight.

    Raises:
        SpecError: If a class is unknown, the targets are no classes, or every weight would
            be 0.
        DataError: If the sample weight of every training row is 0.
    """
    class_weight = spec.training.class_weight
    if not class_weight:
        if train.sample_weight is not None and not train.sample_weight.any():
            raise DataError(_all_zero("data", "a sample weight of 0 for all of them"))
        return train
    if not task.classification:
        expected = "targets that are classes"
        remedy = "Remove it, or pass data=(x, y, sample_weight)."
        raise SpecError(Finding(_WHERE, expected, "targets that are numbers", remedy))
    if class_weight == "balanced":
        weight = compute_sample_weight("balanced", train.y)
    else:
        weight = _by_name(class_weight, task.class_names)[train.y]
    if train.sample_weight is not None:
        weight = weight * train.sample_weight
    with np.errstate(over="ignore", under="ignore"):
        weight = weight.astype(np.float32)
    _check(weight)
    return Rows(train.x, train.y, weight)


def _by_name(class_weight: Mapping[str, float], class_names: tuple[str, ...]) -> np.ndarray:
    """Returns the weight of each class, (classes,), in the order of `class_names`."""
    if unknown := [name for name in class_weight if name not in class_names]:
        known = ", ".join(class_names[:10]) + (", ..." if len(class_names) > 10 else "")
        raise SpecError(
            *(
                Finding(
                    f"{_WHERE}.{name}",
                    f"the name of one of the {len(class_names)} classes",
                    repr(name),
                    f"{nearest(name, class_names)}Known: {known}.",
                )
                for name in unknown
            )
        )
    return np.array([class_weight.get(name, 1.0) for name in class_names])


def _check(weight: np.ndarray) -> None:
    if not weight.any():
        raise SpecError(_all_zero(_WHERE, "a weight of 0 for all of them"))
    if not np.isfinite(weight).all():
        expected = "class weights that fit in float32 when multiplied by the sample weights"
        raise SpecError(Finding(_WHERE, expected, "larger ones", "Use smaller weights."))


def _all_zero(where: str, got: str) -> Finding:
    return Finding(
        where,
        "training rows with a weight above 0",
        got,
        "Give some of them a weight above 0.",
    )
