"""Writes the lines of a script that turn inputs into scaled float32 rows."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kfc.data import Prepared, Source
from kfc.ejecting.refusals import refused
from kfc.network import normalizes
from kfc.preprocessing import fit_scaling
from kfc.spec import Spec


class ScalingLines(NamedTuple):
    """Lines of a script that scale its inputs.

    Args:
        before_split: Lines after which each row is a vector of float32.
        after_split: Lines that fit a scaling on the training rows and apply it.
    """

    before_split: list[str]
    after_split: list[str]


_FITTED: dict[str, list[str]] = {
    "standard": [
        "shift = {x}.mean(axis=0, dtype=np.float64)",
        "divisor = {x}.std(axis=0, dtype=np.float64)",
    ],
    "unit": [
        "shift = {x}.min(axis=0).astype(np.float64)",
        "divisor = {x}.max(axis=0) - shift",
    ],
    "centered": [
        "low = {x}.min(axis=0).astype(np.float64)",
        "divisor = {x}.max(axis=0) - low",
    ],
    "robust": [
        "quartiles = np.quantile({x}.astype(np.float64), (0.25, 0.5, 0.75), axis=0)",
        "low, shift, high = quartiles",
        "divisor = high - low",
    ],
}
"""Lines that fit a scaling on the rows `x`."""


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
    flat = "{0}"
    if len(prepared.task.input_shape) > 1 and not str(spec.data.source).startswith("idx:"):
        flat = f"{{0}}.reshape(-1, {math.prod(prepared.task.input_shape)})"
    if scaling.shift.ndim:
        before = _each(f"{flat}.astype(np.float32)", names, columns)
        return ScalingLines(before, _fitted(spec, prepared, names, rows, columns))
    if spec.data.scale == "none":
        return ScalingLines(_each(f"{flat}.astype(np.float32)", names, columns), [])

    # Pixels are divided by a constant.
    divisor, shift = float(scaling.divisor), float(scaling.shift)
    factor, moved = f"np.float32(1 / {divisor:g})", f"{shift / divisor:g}"
    divided = f"{flat}.astype(np.float32) * {factor}"
    if not shift:
        return ScalingLines(_each(divided, names, columns), [])
    if spec.training.engine == "graph":
        return ScalingLines(_each(f"{divided} - np.float32({moved})", names, columns), [])
    # XLA multiplies and adds in one instruction (FMA), which rounds once.
    if np.asarray(source.train.x).dtype.kind == "f":
        flat += ".astype(np.uint8)"
    levels = f"np.float32(np.arange(256) * np.float64({factor}) - {moved})"
    looked_up = _each(f"levels[{flat}]", names, columns)
    return ScalingLines([f"levels = {levels}  # of a pixel", *looked_up], [])


def _fitted(
    spec: Spec, prepared: Prepared, names: list[str], rows: str, columns: int
) -> list[str]:
    """Returns the lines that fit a scaling on the training rows and apply it."""
    name, scaling = spec.data.scale, prepared.task.scaling
    x = np.asarray(prepared.train.x)
    width = _width(name, x.reshape(len(x), -1))
    constant = fit_scaling(name, np.zeros((2, 1), np.float32)).divisor.item()
    # The script's divisors must be those of the scaling layer, which takes the square root of
    # their squares.
    simple = np.where(width == 0, constant, width).astype(np.float32)
    applied = np.sqrt(np.square(scaling.divisor))
    same = np.array_equal(simple, scaling.divisor) and np.array_equal(applied, simple)
    if not (same and normalizes(scaling)):
        raise refused("data.scale", "features of common sizes, none almost constant", name)
    lines = [line.format(x=rows) for line in _FITTED[name]]
    if (width == 0).any():
        value = f"{constant:g}".replace("e+", "e")
        lines.append(f"divisor[divisor == 0] = {value}  # features that never change")
    if name == "centered":
        lines.append("shift = low + divisor / 2")
    scaled = "({0} - np.float32(shift)) / np.float32(divisor)"
    return [*lines, *_each(scaled, names, columns)]


def _each(expression: str, names: list[str], columns: int) -> list[str]:
    """Returns the lines that assign an expression of each array to its name."""
    if len(names) == 1:
        return [f"x = {expression.format('x')}"]
    line = f"x, x_test = ({expression.format('a')} for a in (x, x_test))"
    if len(line) <= columns:
        return [line]
    return [f"{name} = {expression.format(name)}" for name in names]


def _width(name: str, x: np.ndarray) -> np.ndarray:
    """Returns the divisor that the lines of `_FITTED` compute, (features,), float64."""
    if name == "standard":
        return x.std(axis=0, dtype=np.float64)
    if name == "robust":
        low, _, high = np.quantile(x.astype(np.float64), (0.25, 0.5, 0.75), axis=0)
        return np.asarray(high - low)
    return x.max(axis=0) - x.min(axis=0).astype(np.float64)
