"""Checks of the held-out share, and of the callbacks that watch a metric of these rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kfc.errors import Finding
from kfc.first_steps.start import Start
from kfc.first_steps.subject import Subject
from kfc.spec import METRICS, Spec

_MOST_HELD_OUT = 0.5
_MOST = 0.1  # of what a metric can improve by at all; later epochs improve it by less
_OF_TARGETS = ("mae", "rmse", "median_absolute_error", "pinball")


def validation_too_large(subject: Subject) -> Finding | None:
    """Finds a share of validation rows that leaves fewer rows to train on."""
    share = subject.spec.data.validation if subject.spec else None
    if not isinstance(share, float) or share <= _MOST_HELD_OUT:
        return None
    return Finding(
        "data.validation",
        "a share of the training rows that is set aside, such as 0.1",
        f"{share:g}, which leaves {1 - share:.2g} of them to train on",
        "Set data.validation to 0.1.",
        evidence={"share": share},
        cure={"data.validation": 0.1},
    )


def mode_reversed(subject: Subject) -> list[Finding]:
    """Finds callbacks that take the worst epoch for the best one.

    kfc knows the direction of each metric that it records, so that `mode` can only repeat it.
    """
    found: list[Finding] = []
    for number, callback in enumerate(subject.spec.training.callbacks if subject.spec else ()):
        mode, metric = callback.options.get("mode"), str(callback.options.get("monitor", ""))
        right = METRICS.get(metric.removeprefix("val_"))
        if right is None or mode not in ("min", "max") or mode == right:
            continue
        better = "higher" if right == "max" else "lower"
        found.append(
            Finding(
                f"training.callbacks[{number}].mode",
                f"{right}, since {metric} is better where it is {better}",
                f"{mode}, with which {callback.name} takes a worse epoch for a better one",
                "Set mode to auto.",
                evidence={"callback": number},
                cure=_with_option(subject.spec, number, "mode", "auto"),
            )
        )
    return found


def min_delta_too_large(start: Start) -> list[Finding]:
    """Finds an improvement that hardly any epoch can have, so that training stops at once."""
    spec = start.subject.spec
    if spec is None:
        return []
    found = [
        _never_improves(start, number, str(callback.options["monitor"]), callback.options)
        for number, callback in enumerate(spec.training.callbacks)
        if {"patience", "monitor"} <= callback.options.keys()
    ]
    stopping = spec.training.early_stopping
    if stopping is not None:
        found.append(_never_improves(start, None, stopping.monitor, stopping.model_dump()))
    return [each for each in found if each is not None]


def _never_improves(
    start: Start, number: int | None, metric: str, options: Mapping[str, Any]
) -> Finding | None:
    """Returns the finding for a callback by its number, or for `training.early_stopping`."""
    spec = start.subject.spec
    delta, patience = options.get("min_delta") or 0.0, options.get("patience")
    room = _room(start, metric.removeprefix("val_"))
    never_stops = spec is None or patience is None or patience >= spec.training.epochs
    if never_stops or not delta > _MOST * room:
        return None
    path = "training.early_stopping" if number is None else f"training.callbacks[{number}]"
    cure = {f"{path}.min_delta": 0.0}
    return Finding(
        f"{path}.min_delta",
        f"a change that {metric} can have many times: from a guess to the best value it is "
        f"{room:.3g}",
        f"{delta:g}, so that nearly every epoch counts as one without improvement",
        "Set min_delta to 0.",
        evidence={"min_delta": float(delta), "room": room},
        cure=cure if number is None else _with_option(spec, number, "min_delta", 0.0),
    )


def _with_option(spec: Spec | None, number: int, option: str, value: Any) -> dict[str, Any]:
    """Returns the change that gives one callback another value of an option."""
    callbacks = spec.training.callbacks if spec else ()
    changed = [
        {"name": each.name, **each.options, **({option: value} if place == number else {})}
        for place, each in enumerate(callbacks)
    ]
    return {"training.callbacks": changed}


def _room(start: Start, metric: str) -> float:
    """Returns by how much a metric can improve on that of an answer that knows nothing."""
    if METRICS.get(metric) == "max":
        return 1.0
    if metric in _OF_TARGETS:
        return float(np.std(start.subject.some[1]))
    return abs(start.guess_loss)
