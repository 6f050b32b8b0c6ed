"""Tries an update of an optimizer, and takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


def trial_update(
    optimizer: Any, gradients: Sequence[Any], variables: Sequence[keras.Variable]
) -> list[np.ndarray]:
    """Returns the change of each variable by one update, after which all is as before.

    Args:
        optimizer: Keras optimizer; its moments and its counter are set back too.
        gradients: Gradient of each variable; None for one that stays as it is.
        variables: Trained variables.
    """
    if not optimizer.built:
        optimizer.build(variables)
    touched = [*variables, *optimizer.variables]
    before = [np.array(variable) for variable in touched]
    # `apply` divides by this factor, by which a training multiplies its loss.
    factor = optimizer.loss_scale_factor or 1.0
    given = zip(gradients, variables, strict=True)
    pairs = [(g * factor, v) for g, v in given if g is not None]
    try:
        optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])
        return [np.array(v) - old for v, old in zip(variables, before, strict=False)]
    finally:
        for variable, value in zip(touched, before, strict=True):
            variable.assign(value)
