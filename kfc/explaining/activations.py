"""Activations of a spec in NumPy, with their options and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kfc import reference
from kfc.spec import ActivationSpec

Array = np.ndarray
_STEP = 1e-6  # of the central differences of activations without a formula here


def _relu(
    x: Array,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Array:
    y = np.where(x >= threshold, x, negative_slope * (x - threshold))
    return y if max_value is None else np.minimum(y, max_value)


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _celu(x: Array, alpha: float = 1.0) -> Array:
    return np.maximum(x, 0.0) + alpha * np.expm1(np.minimum(x, 0.0) / alpha)


def _gelu(x: Array, approximate: bool = False) -> Array:
    if not approximate:
        return x * reference.normal_cdf(x)
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def _hard_sigmoid(x: Array) -> Array:
    return np.clip(x / 6 + 0.5, 0, 1)


def _squareplus(x: Array, b: float = 4) -> Array:
    return (x + np.sqrt(x**2 + b)) / 2


_BY_DIFFERENCES: dict[str, Callable[..., Array]] = {
    "relu": _relu,
    "elu": _elu,
    "leaky_relu": lambda x, negative_slope=0.2: np.where(x > 0, x, negative_slope * x),
    "celu": _celu,
    "gelu": _gelu,
    "exponential": np.exp,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": lambda x: x * _hard_sigmoid(x),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "log_sigmoid": lambda x: -np.logaddexp(0, -x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "squareplus": _squareplus,
    "tanh_shrink": lambda x: x - np.tanh(x),
}
"""Formulas of Keras's activations that `kfc.reference` lacks, or has without options."""


def simulated_activation(spec: ActivationSpec) -> reference.Activation | None:
    """Returns the activation that a spec names; None for one without a formula in NumPy.

    The derivative is that of `kfc.reference` where it has one, else central differences.

    Args:
        spec: Name and options.
    """
    usual = ActivationSpec.model_validate({"name": spec.name}).options
    if spec.options == usual and spec.name in reference.ACTIVATIONS:
        return reference.ACTIVATIONS[spec.name]
    if spec.name not in _BY_DIFFERENCES:
        return None
    formula, options = _BY_DIFFERENCES[spec.name], spec.options

    def forward(x: Array) -> Array:
        return formula(x, **options)

    def backward(x: Array, g: Array) -> Any:
        return g * (forward(x + _STEP) - forward(x - _STEP)) / (2 * _STEP)

    return reference.Activation(forward, backward)
