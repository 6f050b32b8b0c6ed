"""Checks the Keras callbacks that a caller passes as `callbacks=`."""

from __future__ import annotations

from typing import Any

import keras

from kfc.errors import Finding, SpecError
from kfc.spec import Spec
from kfc.training.callbacks import REFUSED

_SCHEDULERS = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


def as_callback_list(callbacks: Any, spec: Spec) -> list[keras.callbacks.Callback]:
    """Returns the caller's callbacks as a list, with each `CallbackList` flattened.

    Args:
        callbacks: Value of `callbacks=`: a list, a single callback or None.
        spec: Spec to train, which may have a learning rate schedule of its own.

    Raises:
        SpecError: If an entry is not a callback, is one that kfc refuses, or sets a learning
            rate that the spec's schedule sets too.
    """
    if callbacks is None:
        callbacks = []
    if not isinstance(callbacks, (list, tuple)):
        callbacks = [callbacks]
    flat = [
        inner
        for each in callbacks
        for inner in (
            each.callbacks if isinstance(each, keras.callbacks.CallbackList) else [each]
        )
    ]
    for number, callback in enumerate(flat):
        _check_callback(callback, f"callbacks[{number}]", spec)
    return flat


def _check_callback(callback: Any, where: str, spec: Spec) -> None:
    if not isinstance(callback, keras.callbacks.Callback):
        remedy = "Names go into the spec, under training.callbacks."
        finding = Finding(where, "a keras.callbacks.Callback", repr(callback), remedy)
        raise SpecError(finding)
    kind = type(callback).__name__
    if kind in REFUSED:
        raise SpecError(Finding(where, "another callback", kind, REFUSED[kind]))
    if isinstance(callback, _SCHEDULERS) and spec.training.optimizer.schedule():
        got = f"{kind} beside a schedule in the spec"
        raise SpecError(
            Finding(where, "one owner of the learning rate", got, "Drop one of them.")
        )
