"""Converts the hyperparameters of a space to keras-tuner's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras_tuner

from kfc.tuning.space import Hyperparameter


def levels_of(hyperparameter: Hyperparameter) -> Sequence[Any] | None:
    """Returns all values of a hyperparameter, the lowest first; None if they are too many.

    Too many are fractions without a step, and integers on a logarithmic scale without a
    step. keras-tuner's own list for a step of 0.1 from 0 to 1 lacks the 1.
    """
    low, high, step = hyperparameter.low, hyperparameter.high, hyperparameter.step
    if low is None or high is None:
        return range(len(hyperparameter.choices))
    if step is None:
        linear = hyperparameter.kind == "int" and not hyperparameter.log
        return range(int(low), int(high) + 1) if linear else None
    length = math.log(high / low, step) if hyperparameter.log else (high - low) / step
    indices = range(int(length + 1e-9) + 1)  # 0.3 / 0.1 is a little less than 3
    values = [low * step**i if hyperparameter.log else low + step * i for i in indices]
    if hyperparameter.kind == "int":
        return [round(value) for value in values]
    return [float(f"{value:.12g}") for value in values]  # 0.3, not 0.30000000000000004


def hyperparameters(
    searched: Sequence[Hyperparameter], *, grid: bool
) -> keras_tuner.HyperParameters:
    """Returns keras-tuner's container with the hyperparameters of a space.

    Args:
        searched: Hyperparameters of the space.
        grid: Whether they are for a grid, which takes every integer of a range.
    """
    space = keras_tuner.HyperParameters()
    for each in searched:
        condition: dict[str, Any] = {}
        if each.parent is not None:
            condition["parent_name"] = each.parent
            condition["parent_values"] = list(each.parent_values)
        is_int = each.kind == "int"
        levels = levels_of(each)
        if levels is not None and not (is_int and each.step is None):
            space.Choice(each.name, list(levels), **condition)
        else:
            sampling = "log" if each.log and not (is_int and grid) else "linear"
            add = space.Int if is_int else space.Float
            add(each.name, each.low, each.high, sampling=sampling, **condition)
    return space
