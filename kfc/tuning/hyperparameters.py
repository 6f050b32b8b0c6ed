"""The parameters of a space -> keras-tuner's hyperparameters, and their values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras_tuner

from kfc.tuning.space import Parameter


def levels_of(parameter: Parameter) -> Sequence[Any] | None:
    """Returns every value of a parameter, lowest first; None for a continuum.

    keras-tuner's own count for a step of 0.1 from 0 to 1 leaves out the 1. Integers that go
    by factors and without a step are as good as a continuum.
    """
    low, high, step = parameter.low, parameter.high, parameter.step
    if low is None or high is None:
        return range(len(parameter.choices))
    if step is None:
        whole = parameter.kind == "int" and not parameter.log
        return range(int(low), int(high) + 1) if whole else None
    length = math.log(high / low, step) if parameter.log else (high - low) / step
    indices = range(int(length + 1e-9) + 1)
    values = [low * step**i if parameter.log else low + step * i for i in indices]
    if parameter.kind == "int":
        return [round(value) for value in values]
    return [float(f"{value:.12g}") for value in values]  # 0.3, not 0.30000000000000004


def hyperparameters(
    parameters: Sequence[Parameter], *, grid: bool
) -> keras_tuner.HyperParameters:
    """Returns the space as keras-tuner has it; a grid takes every integer of a range."""
    space = keras_tuner.HyperParameters()
    for parameter in parameters:
        name, low, high = parameter.name, parameter.low, parameter.high
        condition: dict[str, Any] = {}
        if parameter.parent is not None:
            condition["parent_name"] = parameter.parent
            condition["parent_values"] = list(parameter.parent_values)
        whole = parameter.kind == "int"
        levels = levels_of(parameter)
        if levels is not None and not (whole and parameter.step is None):
            space.Choice(name, list(levels), **condition)
        else:
            sampling = "log" if parameter.log and not (whole and grid) else "linear"
            add = space.Int if whole else space.Float
            add(name, low, high, sampling=sampling, **condition)
    return space
