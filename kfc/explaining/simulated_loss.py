"""Losses of a spec in NumPy: the value, and its gradient with respect to the outputs."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from kfc import reference
from kfc.spec import LossSpec

Array = np.ndarray
LossFunction = Callable[[Array, Array], tuple[float, Array]]


def loss_of(loss: LossSpec | None, *, classes: int) -> LossFunction | None:
    """Returns the loss that a spec names; None for one without a formula here.

    Args:
        loss: Name and options; None for the default of the task.
        classes: Number of classes; 0 for a regression.
    """
    if loss is None:
        return reference.cross_entropy if classes else reference.mse
    name = loss.full_name(loss.name)
    usual = LossSpec.model_validate({"name": loss.name}).options
    changed = {key: v for key, v in loss.options.items() if v != usual.get(key)}
    if name in ("sparse_categorical_crossentropy", "categorical_crossentropy") and classes:
        smoothing = changed.pop("label_smoothing", 0.0)
        found: LossFunction = functools.partial(reference.cross_entropy, smoothing=smoothing)
        return None if changed else found
    if name == "huber":
        found = functools.partial(_huber, delta=float(changed.pop("delta", 1.0)))
        return None if changed else found
    by_name: dict[str, LossFunction] = {
        "mean_squared_error": reference.mse,
        "mean_absolute_error": _mean_absolute_error,
    }
    if classes == 2:
        by_name["binary_crossentropy"] = reference.binary_cross_entropy
    return None if changed else by_name.get(name)


def _errors(outputs: Array, y: Array) -> Array:
    return outputs - (y if np.ndim(y) == 2 else np.eye(outputs.shape[1])[y])


def _mean_absolute_error(outputs: Array, y: Array) -> tuple[float, Array]:
    """Returns the mean of |o - t| over everything, and sign(o - t) / (batch * outputs)."""
    errors = _errors(outputs, y)
    return float(np.abs(errors).mean()), np.sign(errors) / errors.size


def _huber(outputs: Array, y: Array, delta: float) -> tuple[float, Array]:
    """Returns the mean of e^2 / 2 where |e| <= d, else d |e| - d^2 / 2, and its gradient.

    Huber, "Robust estimation of a location parameter", 1964,
    https://doi.org/10.1214/aoms/1177703732.
    """
    errors = _errors(outputs, y)
    size = np.abs(errors)
    values = np.where(size <= delta, errors**2 / 2, delta * size - delta**2 / 2)
    return float(values.mean()), np.clip(errors, -delta, delta) / errors.size
