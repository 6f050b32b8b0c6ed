"""Writes the lines of a script that turn inputs into scaled float32 rows."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kfc.data import Prepared, Source
from kfc.ejecting.refusals import refused
from kfc.spec import Spec


class ScalingLines(NamedTuple):
    """Lines of a script that scale its inputs.

    Args:
        before_split: Lines after which each row is a vector of float32.
        after_split: Lines that fit a scaling on the training rows and apply it.
    """

    before_split: list[str]
    after_split: list[str]


def scaling_lines(
    spec: Spec, source: Source, prepared: Prepared, *, rows: str, columns: int
) -> ScalingLines:
    """Returns the lines that scale the inputs as the network's scaling layer does.

    Args:
        spec: Resolved spec.
        source: Rows as the source returned them.
        prepared: The same rows, split and scaled.
        rows: Expression of the training rows, such as `x[rows]`.
        columns: Largest length of a line.

    Raises:
        SpecError: If the lines would give other bits.
    """
    names = ["x"] if source.test is None else ["x", "x_test"]
    scaling = prepared.task.scaling
    script = scaling.script_lines(
        str(spec.data.scale),
        np.asarray(prepared.train.x),
        rows=rows,
        fused=spec.training.engine != "graph",
    )
    if script is None:
        expected = (
            "none, unit, centered, standard or robust, with features of common sizes, none "
            "almost constant"
        )
        raise refused("data.scale", expected, spec.data.scale)
    flat = "{0}"
    if len(prepared.task.input_shape) > 1 and not str(spec.data.source).startswith("idx:"):
        flat = f"{{0}}.reshape(-1, {math.prod(prepared.task.input_shape)})"
    is_float = np.asarray(source.train.x).dtype.kind == "f"
    if script.dtype == "float32" or is_float:
        flat += f".astype(np.{script.dtype})"
    if scaling.is_per_feature:  # fitted on training rows, so after the split
        scaled = _each(script.expression, names, columns)
        return ScalingLines(_each(flat, names, columns), [*script.before, *scaled])
    scaled = _each(script.expression.format(flat), names, columns)
    return ScalingLines([*script.before, *scaled], [])


def _each(expression: str, names: list[str], columns: int) -> list[str]:
    """Returns the lines that assign an expression of each array to its name."""
    if len(names) == 1:
        return [f"x = {expression.format('x')}"]
    line = f"x, x_test = ({expression.format('a')} for a in (x, x_test))"
    if len(line) <= columns:
        return [line]
    return [f"{name} = {expression.format(name)}" for name in names]
