"""Checks of the first update, and of all updates together: the stage `start`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kfc.errors import Finding
from kfc.first_steps.cures import more_steps_cure, option_cure, rate_cure
from kfc.first_steps.start import Kernel, Start

_UPDATE = 1.0  # share of the weights that one update changes; 1e-3 is usual
_MOVED = 0.01  # share of the weights that all updates together could change
_GOOD = 0.006  # share that one update of a good rate changes
_TEN = 10.0  # times the update, of which an option is the cause
_SMALLER = 0.001  # of the rate, with which an update should be as much smaller
_NEAR = 20.0  # times the rate, which is then not what is wrong
_LARGEST_RATE = 100.0  # that any optimizer needs
_PULL = 0.5  # of the decay, where a step of the gradient is 1
_USUAL_DECAY = 0.001
_FEWEST = 100  # steps; a momentum that lasts for fewer is short
_USUAL: dict[str, Any] = {
    "global_clipnorm": 1.0,
    "clipnorm": 1.0,
    "clipvalue": 1.0,
    "epsilon": 1e-7,
}
"""Options of optimizers that make updates small, with usual values."""


def update_not_finite(start: Start) -> Finding | None:
    """Finds an optimizer whose first update is NaN or infinite, though its gradient is not.

    Adafactor is one where an input is 0 and a unit is silent in every row: it divides by a
    product that is then 0.
    """
    found = [(k.path, k.gradient, k.update) for k in start.kernels if k.update is not None]
    bad = [
        (path, float((~np.isfinite(update)).mean()))
        for path, gradient, update in found
        if np.isfinite(gradient).all() and not np.isfinite(update).all()
    ]
    make, spec = start.subject.make_optimizer, start.subject.spec
    if not bad or make is None:
        return None
    path, share = bad[0]
    return Finding(
        "optimizer",
        "a finite update of finite gradients",
        f"{type(make()).__name__}, whose first update of {path} is NaN or infinite in "
        f"{share:.0%} of the weights",
        "Use adam.",
        evidence={"share": share},
        cure={} if spec is None else {"training.optimizer": "adam"},
    )


def update_too_large(start: Start) -> Finding | None:
    """Finds a learning rate with which one update replaces the weights."""
    ratios = [k.update_ratio for k in start.kernels if math.isfinite(k.update_ratio)]
    if not ratios or float(np.median(ratios)) <= _UPDATE:
        return None
    ratio, rate = float(np.median(ratios)), start.subject.learning_rate
    if start.largest_update(learning_rate=rate * _SMALLER) > math.sqrt(_SMALLER) * ratio:
        return None  # a smaller rate does not make it smaller, as of FTRL: `weights_vanish`
    cure = rate_cure(start.subject.spec, rate * 0.01 / ratio)
    good = next(iter(cure.values()), float(f"{rate * 0.01 / ratio:.1g}"))
    return Finding(
        "learning_rate",
        "updates of about a thousandth of the weights",
        f"{rate:g}, with which one update is {ratio:.3g} times the weights",
        f"Set the learning rate to about {good:g}.",
        evidence={"update_to_weight": ratio, "learning_rate": rate},
        cure=cure,
    )


def update_too_small(start: Start) -> Finding | None:
    """Finds a learning rate with which all steps together hardly move the weights."""
    ratio, steps = _largest_ratio(start), start.subject.longest
    if not _is_small(start) or option_stops_updates(start) or steps_too_few(start):
        return None
    rate = start.subject.learning_rate
    good = rate * _GOOD / ratio
    evidence = {"update_to_weight": ratio, "learning_rate": rate, "steps": steps}
    remedy = f"Set the learning rate to about {good:.1g}."
    if good > _LARGEST_RATE:
        remedy = "Look for what makes the gradient so small, in the loss and in the layers."
    return Finding(
        "learning_rate",
        f"updates that change the weights within {steps:,} steps",
        f"{rate:g}, with which they change by at most {ratio * steps:.2g} of themselves",
        remedy,
        evidence=evidence,
        cure={} if good > _LARGEST_RATE else rate_cure(start.subject.spec, good),
    )


def option_stops_updates(start: Start) -> Finding | None:
    """Finds an option of the optimizer that makes its updates small: a clipping, or epsilon.

    The update is made once more with the usual value of each such option.
    """
    make, ratio, steps = start.subject.make_optimizer, _largest_ratio(start), 0
    if make is None or not _is_small(start, of_nothing=True):
        return None
    steps, config = start.subject.longest, make().get_config()
    for option, usual in _USUAL.items():
        given = config.get(option)
        if not isinstance(given, (int, float)) or given == usual:
            continue
        other = start.largest_update(**{option: usual})
        if other < max(_TEN * ratio, _MOVED / steps):
            continue
        return Finding(
            option,
            f"a value such as {usual:g}, with which an update changes {other:.2g} of weights",
            f"{given:g}, with which it changes {ratio:.2g} of them",
            f"Set {option} to {usual:g}.",
            evidence={"update_to_weight": ratio, "usual": other, option: float(given)},
            cure=option_cure(start.subject.spec, option, usual),
        )
    return None


def steps_too_few(start: Start) -> Finding | None:
    """Finds a training of so few steps that a usual rate hardly moves the weights."""
    ratio, rate, steps = (
        _largest_ratio(start),
        start.subject.learning_rate,
        start.subject.steps,
    )
    if not steps or not _is_small(start) or rate * _GOOD / ratio > _NEAR * rate:
        return None
    return Finding(
        "batch_size and epochs",
        "enough steps to move the weights, a few hundred",
        f"{steps:,} steps, in which they change by at most {ratio * steps:.2g} of themselves",
        "Train for more epochs, or with smaller batches.",
        evidence={"steps": steps, "update_to_weight": ratio},
        cure=more_steps_cure(start.subject.spec, steps, start.subject.batch_size),
    )


def momentum_too_long(start: Start) -> Finding | None:
    """Finds a momentum that outlasts the training, or whose sum of updates is too large.

    A gradient acts in 1 / (1 - momentum) steps, which together move the weights as one step of
    a rate 1 / (1 - momentum) times as large.
    """
    make = start.subject.make_optimizer
    momentum = float(getattr(make(), "momentum", 0.0) or 0.0) if make else 0.0
    lasts = 1 / (1 - momentum) if momentum < 1 else math.inf
    ratio, steps = _largest_ratio(start), start.subject.longest
    if lasts <= _FEWEST or (lasts <= steps and not ratio * lasts > _UPDATE):
        return None
    acts = "never ends to act"
    if momentum < 1:
        acts = (
            f"acts in {lasts:.3g} steps, and moves the weights by {ratio * lasts:.2g} of them"
        )
    return Finding(
        "momentum",
        "a momentum such as 0.9, with which a gradient acts in 10 steps",
        f"{momentum:g}, with which it {acts}",
        "Set momentum to 0.9.",
        evidence={"momentum": momentum, "update_to_weight": ratio},
        cure=option_cure(start.subject.spec, "momentum", 0.9),
    )


def decay_dominates(start: Start) -> Finding | None:
    """Finds a weight decay that pulls weights to 0 about as hard as their gradient moves them.

    A step multiplies weights by 1 - rate * decay, and is compared with the rest of the first
    update, when gradients are large. A decay that would take longer than the training to halve
    the weights is left alone.
    """
    make, rate = start.subject.make_optimizer, start.subject.learning_rate
    decay = getattr(make(), "weight_decay", None) if make else None
    if not isinstance(decay, (int, float)) or not decay > 0:
        return None
    steps = start.subject.steps or -(-len(start.subject.y) // start.subject.batch_size)
    pulls = [pull for kernel in start.kernels if (pull := _pull(kernel, rate * decay))]
    if rate * decay * steps <= math.log(2) or not pulls or np.median(pulls) < _PULL:
        return None
    pull, halves = float(np.median(pulls)), math.log(2) / (rate * decay)
    return Finding(
        "weight_decay",
        f"a decay that is small beside the gradient, such as {_USUAL_DECAY:g}",
        f"{decay:g}, which halves the weights in {halves:.3g} steps, and pulls {pull:.2g} "
        "times as hard as the gradient",
        f"Set weight_decay to {_USUAL_DECAY:g}.",
        evidence={"pull": pull, "steps_to_half": halves, "weight_decay": float(decay)},
        cure={}
        if start.subject.spec is None
        else {"training.optimizer.weight_decay": _USUAL_DECAY},
    )


def _pull(kernel: Kernel, shrinkage: float) -> float:
    """Returns the size of the decay's part of an update, of that of its other part."""
    if kernel.update is None or not kernel.gradient.any():
        return 0.0
    decay = shrinkage * kernel.value
    other = float(np.linalg.norm(kernel.update + decay))
    return float(np.linalg.norm(decay)) / other if other > 0 else 0.0


def _largest_ratio(start: Start) -> float:
    """Returns the largest share of a kernel that the first update changes; NaN if unknown."""
    ratios = [k.update_ratio for k in start.kernels if math.isfinite(k.update_ratio)]
    return max(ratios, default=math.nan)


def _is_small(start: Start, *, of_nothing: bool = False) -> bool:
    """Returns whether all updates together hardly move the weights.

    Args:
        start: The untrained network.
        of_nothing: Whether updates of 0 count too.
    """
    ratio = _largest_ratio(start)
    return (ratio > 0 or of_nothing) and ratio * start.subject.longest < _MOVED
