"""A checked spec, its data and its network -> the spec that repeats the run.

`auto` and what was left out are replaced by what was found and chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kfc.data import Prepared
from kfc.errors import Finding, SpecError
from kfc.spec import Spec, load_spec
from kfc.training import default_loss
from kfc.training.callbacks import REFUSED
from kfc.training.engine import choose_engine


def as_callbacks(callbacks: Any, spec: Spec) -> list[keras.callbacks.Callback]:
    """Returns the caller's callbacks as a list; none and a single one are fine.

    Args:
        callbacks: What the caller gave as `callbacks=`.
        spec: A checked spec.

    Raises:
        SpecError: If one is no callback or one that kfc refuses, or would own a learning
            rate that a schedule owns.
    """
    if callbacks is None or isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [] if callbacks is None else [callbacks]
    if not isinstance(callbacks, (list, tuple)):
        callbacks = [callbacks]
    callbacks = [
        inner
        for each in callbacks
        for inner in (
            each.callbacks if isinstance(each, keras.callbacks.CallbackList) else [each]
        )
    ]
    schedulers = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    for number, callback in enumerate(callbacks):
        where = f"callbacks[{number}]"
        if not isinstance(callback, keras.callbacks.Callback):
            remedy = "Names go into the spec, under training.callbacks."
            finding = Finding(where, "a keras.callbacks.Callback", repr(callback), remedy)
            raise SpecError(finding)
        kind = type(callback).__name__
        if kind in REFUSED:
            raise SpecError(Finding(where, "another callback", kind, REFUSED[kind]))
        if isinstance(callback, schedulers) and spec.training.optimizer.schedule():
            got = f"{type(callback).__name__} beside a schedule in the spec"
            raise SpecError(
                Finding(where, "one owner of the learning rate", got, "Drop one of them.")
            )
    return list(callbacks)


def resolve_data(spec: Spec, prepared: Prepared, *, in_memory: bool) -> Spec:
    """Returns `spec` with what only the data could tell: `Prepared.resolved` and the loss.

    It is checked once more, since only now it is known which metrics are recorded.

    Args:
        spec: A checked spec.
        prepared: Its data.
        in_memory: Whether that was given as `data=`.

    Raises:
        SpecError: If the spec is not for this task.
    """
    known = dict(prepared.resolved)
    if in_memory:
        known["source"] = None
    loss = spec.training.loss or default_loss(prepared.task)
    return load_spec(
        spec.model_copy(
            update={
                "data": spec.data.model_copy(update=known),
                "training": spec.training.model_copy(update={"loss": loss}),
            }
        )
    )


def resolve_engine(
    spec: Spec,
    network: keras.Model,
    num_rows: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Spec:
    """Returns `spec` with the engine that will train it.

    Args:
        spec: A checked spec.
        network: Built from it.
        num_rows: Training rows.
        callbacks: The caller's.

    Raises:
        SpecError: If the spec asks for an engine that cannot train it.
    """
    engine = choose_engine(
        spec, num_rows=num_rows, num_weights=network.count_params(), callbacks=callbacks
    )
    training = spec.training.model_copy(update={"engine": engine})
    return spec.model_copy(update={"training": training})
