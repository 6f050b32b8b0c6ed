"""Combines sample weights and class weights into one weight per training row.

As in Keras, the loss of a batch is `sum(weight * loss) / rows`. Weights are not normalised,
and metrics ignore them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kfc.data.rows import Rows
from kfc.data.task import Task
from kfc.errors import Finding, nearest
from kfc.findings import run_checks
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
    run_checks("weighting", train, spec, task)
    if not spec.training.class_weight:
        return train
    return Rows(train.x, train.y, _combined(train, spec, task))


def sample_weight_all_zero(train: Rows, spec: Spec, task: Task) -> Finding | None:
    """Finds sample weights of the training rows that are all 0, such as after a split."""
    # With class weights, `class_weight_all_zero` looks at the product.
    if spec.training.class_weight or train.sample_weight is None or train.sample_weight.any():
        return None
    return _all_zero("data", "a sample weight of 0 for all of them")


def class_weight_of_numbers(train: Rows, spec: Spec, task: Task) -> Finding | None:
    """Finds class weights for targets that are numbers."""
    if not spec.training.class_weight or task.classification:
        return None
    remedy = "Remove it, or pass data=(x, y, sample_weight)."
    return Finding(_WHERE, "targets that are classes", "targets that are numbers", remedy)


def class_weight_unknown(train: Rows, spec: Spec, task: Task) -> list[Finding]:
    """Finds class weights for classes that do not exist."""
    class_weight, names = spec.training.class_weight, task.class_names
    if not class_weight or class_weight == "balanced":
        return []
    known = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return [
        Finding(
            f"{_WHERE}.{name}",
            f"the name of one of the {len(names)} classes",
            repr(name),
            f"{nearest(name, names)}Known: {known}.",
        )
        for name in class_weight
        if name not in names
    ]


def class_weight_all_zero(train: Rows, spec: Spec, task: Task) -> Finding | None:
    """Finds class weights that give every training row the weight 0."""
    if not spec.training.class_weight or _combined(train, spec, task).any():
        return None
    return _all_zero(_WHERE, "a weight of 0 for all of them")


def class_weight_overflow(train: Rows, spec: Spec, task: Task) -> Finding | None:
    """Finds class weights that are infinite in float32, alone or with the sample weights."""
    if not spec.training.class_weight or np.isfinite(_combined(train, spec, task)).all():
        return None
    expected = "class weights that fit in float32 when multiplied by the sample weights"
    return Finding(_WHERE, expected, "larger ones", "Use smaller weights.")


def _combined(train: Rows, spec: Spec, task: Task) -> np.ndarray:
    """Returns the product of class weight and sample weight of each row, (rows,), float32."""
    class_weight = spec.training.class_weight
    if not isinstance(class_weight, Mapping):
        from sklearn.utils.class_weight import compute_sample_weight  # takes a second

        weight = compute_sample_weight("balanced", train.y)
    else:
        weight = np.array([class_weight.get(name, 1.0) for name in task.class_names])[train.y]
    if train.sample_weight is not None:
        weight = weight * train.sample_weight
    with np.errstate(over="ignore", under="ignore"):
        return weight.astype(np.float32)


def _all_zero(where: str, got: str) -> Finding:
    remedy = "Give some of them a weight above 0."
    return Finding(where, "training rows with a weight above 0", got, remedy)
