"""A step of a network with relu -> the units that rounding may put on the other side of 0."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kfc import reference
from kfc.verification.float64_path import Float64
from kfc.verification.setup import State

_BENT = ("relu", "leaky_relu")
_SHOWN = 20  # of one step


class Kink(NamedTuple):
    """A unit whose input is 0 but for rounding, so that its derivative is 0 or 1 by chance.

    Args:
        step: From 0.
        layer: Its name, such as `hidden_1`.
        unit: Its number.
        row: Of the batch.
        value: What goes into relu, in float64.
    """

    step: int
    layer: str
    unit: int
    row: int
    value: float


def kinks(exact: Float64, state: State, step: int) -> list[Kink]:
    """Returns the units of a step whose input is within rounding of 0.

    A sum of products in float32 is off by about `eps * sum |x_i w_i|`, eps = 2^-24.
    """
    x, _ = exact.rows(*exact.problem.batch(step))
    _, passed = reference.forward(state.weights, x, activation=exact.activation)
    found = []
    for number, name in enumerate(exact.activation):
        if name not in _BENT:
            continue
        rows, values = passed[number]
        kernel, bias = state.weights[2 * number : 2 * number + 2]
        rounding = 2**-24 * (np.abs(rows) @ np.abs(kernel) + np.abs(bias))
        # A sum of nothing but zeros is 0 in every precision.
        near = (np.abs(values) <= rounding) & (rounding > 0)
        found += [
            Kink(step, f"hidden_{number + 1}", int(unit), int(row), float(values[row, unit]))
            for row, unit in np.argwhere(near)
        ]
    return found[:_SHOWN]
