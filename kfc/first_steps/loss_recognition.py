"""Recognises a loss of Keras inside a function of the caller, by the values it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

_ROWS, _CLASSES = 7, 3
_TRIALS = 6
_SAME = 1e-4  # relative difference of values of equal losses
_VARIED = 1e-3  # difference of the values of a loss at least
_SEED = 0
_FORMS: dict[str, tuple[str, ...]] = {
    "one_hot": ("categorical_crossentropy", "kl_divergence", "categorical_hinge"),
    "codes": ("sparse_categorical_crossentropy",),
    "flags": ("binary_crossentropy",),
    "numbers": (
        "mean_squared_error",
        "mean_absolute_error",
        "huber",
        "log_cosh",
        "mean_squared_logarithmic_error",
        "mean_absolute_percentage_error",
        "poisson",
    ),
}
_OF_LOGITS = (
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "binary_crossentropy",
)
Function = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Recognised:
    """Loss of Keras whose values a function gives.

    Args:
        name: Name of Keras's function, such as `mean_squared_error`.
        form: Form of its targets, as `LossFacts.compared` names it.
        from_logits: Whether it applies softmax or sigmoid itself.
        swapped: Whether the function takes outputs and targets in the other order.
    """

    name: str
    form: str
    from_logits: bool = False
    swapped: bool = False


def recognised_loss(function: Function) -> Recognised | None:
    """Returns the loss of Keras that a function computes, times a constant above 0, or None.

    Both get random targets and outputs of each form, logits among them.

    Args:
        function: Loss of targets and outputs, both of shape (rows, columns); class numbers
            have shape (rows,).
    """
    for form, names in _FORMS.items():
        trials = _trials(form)
        given = [_value(function, *trial) for trial in trials]
        if not np.isfinite(given).any():
            continue
        for name in names:
            for from_logits in (False, True)[: 1 + (name in _OF_LOGITS)]:
                known = getattr(keras.losses, name)
                known = partial(known, from_logits=True) if from_logits else known
                if from_logits and not np.isfinite(given).all():
                    continue
                if _proportional(given, [_value(known, *trial) for trial in trials]):
                    return Recognised(name, form, from_logits)
                turned = [_value(known, outputs, targets) for targets, outputs in trials]
                if form != "codes" and _proportional(given, turned):
                    return Recognised(name, form, from_logits, swapped=True)
    return None


def _trials(form: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns targets and outputs of a form, half of the outputs probabilities.

    Numbers are above 0 in this half, of which some losses take the logarithm.
    """
    generator, found = np.random.default_rng(_SEED), []
    for trial in range(_TRIALS):
        codes = generator.permutation(np.arange(_ROWS) % _CLASSES)
        logits = 2 * generator.normal(size=(_ROWS, _CLASSES))
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        targets = {
            "one_hot": np.eye(_CLASSES)[codes],
            "codes": codes,
            "flags": (codes[:, None] > 0) * 1.0,
            "numbers": np.abs(logits[:, :1]) if trial % 2 else logits[:, 1:2],
        }[form]
        outputs = probabilities if trial % 2 else logits
        columns = slice(1) if form in ("flags", "numbers") else slice(None)
        found.append((targets.astype("float32"), outputs[:, columns].astype("float32")))
    return found


def _value(function: Function, targets: np.ndarray, outputs: np.ndarray) -> float:
    """Returns the mean of a loss; NaN where it cannot take such targets and outputs."""
    try:
        convert = keras.ops.convert_to_tensor
        loss = function(convert(targets), convert(outputs))
        return float(keras.ops.mean(loss))
    # A function of the caller may raise anything for targets of a form that it does not take.
    except Exception:
        return float("nan")


def _proportional(values: list[float], known: list[float]) -> bool:
    """Returns whether finite values are those of a known loss, times one factor above 0."""
    a, b = np.array(values), np.array(known)
    some = np.isfinite(a)  # a plain logarithm takes no logits
    if (
        some.sum() < _TRIALS / 2
        or np.ptp(a[some]) < _VARIED
        or not np.isfinite(b[some]).all()
        or (b[some] == 0).any()
    ):
        return False
    factors = a[some] / b[some]
    return bool(factors[0] > 0 and np.allclose(factors, factors[0], rtol=_SAME))
