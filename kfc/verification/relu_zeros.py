"""Finds units of relu whose input is 0 within rounding.

Relu has no derivative at 0. Rounding decides whether the derivative of such a unit is 0 or 1,
so two correct paths may compute different gradients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kfc.verification.float64_path import Float64Path
from kfc.verification.problem import State

_RELUS = ("relu", "leaky_relu", "selu")
_MAX_FOUND = 20  # of one step


class ReluZero(NamedTuple):
    """A unit of relu whose input is 0 within rounding.

    Args:
        step: Number of the step, from 0.
        layer: Name of the layer, such as `hidden_1`.
        unit: Number of the unit, from 0.
        row: Number of the row in the batch, from 0.
        value: Input of relu in float64.
    """

    step: int
    layer: str
    unit: int
    row: int
    value: float


def find_relu_zeros(exact: Float64Path, state: State, step: int) -> list[ReluZero]:
    """Returns the units of a step whose input is 0 within the rounding of float32.

    A sum of products in float32 has an error of about `eps * sum |x_i w_i|`, eps = 2^-24, and
    its inputs x_i have the error of each layer before.

    Args:
        exact: Reference in float64.
        state: State before the step.
        step: Number of the step, from 0.
    """
    x, *_ = exact.problem.batch(step)
    _, passed = exact.forward(state, x)
    _, layers = exact.layers(state, len(x))
    found = []
    for number, name in enumerate(exact.activation):
        if name not in _RELUS:
            continue
        # (batch, inputs), (batch, units), each with an axis of members if there are any.
        rows, values = passed[number]
        kernel, bias, *_ = layers[number]
        rounding = 2**-24 * (np.abs(rows) @ np.abs(kernel) + np.abs(bias))
        rounding *= number + 1  # the inputs have the rounding of the layers before
        # A sum of zeros is 0 in every precision.
        near = (np.abs(values) <= rounding) & (rounding > 0)
        found += [
            ReluZero(step, f"hidden_{number + 1}", int(place[-1]), int(place[0]), float(value))
            for place, value in zip(np.argwhere(near), values[near], strict=True)
        ]
    return found[:_MAX_FOUND]
