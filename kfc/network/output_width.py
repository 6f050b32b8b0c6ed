"""The number of outputs of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kfc.data import Task
    from kfc.spec import Spec

BINARY_LOSSES = ("binary_crossentropy", "binary_focal_crossentropy")
"""Losses that take one logit for two classes, the logit of the second class."""


def num_outputs(spec: Spec, task: Task) -> int:
    """Returns the width of `logits`: 1 per class, 1 for a binary loss, or 1 per target."""
    if not task.classification:
        return task.outputs
    one_logit = (
        spec.training.loss is not None
        and spec.training.loss.full_name(spec.training.loss.name) in BINARY_LOSSES
        and len(task.class_names) == 2
    )
    return 1 if one_logit else len(task.class_names)
