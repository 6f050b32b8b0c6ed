"""Checks of settings of the layers, the loss and the optimizer: the stage `structure`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kfc.errors import Finding
from kfc.first_steps.cures import loss_cure, option_cure
from kfc.first_steps.subject import Subject, layers_of

_SMOOTHED = 0.5  # of a label, beside which the other classes together count as much
_KEPT = 0.9  # of the initial averages of a batch normalization at the end
_REMOVED = 0.3  # share of a kernel's weights; of random ones half are below 0
_KEPT_WEIGHTS = 0.5  # of the initial weights in their average at the end
_BY_ROW = ("LayerNormalization", "RMSNormalization", "UnitNormalization")


def rate_not_positive(subject: Subject) -> Finding | None:
    """Finds a learning rate of 0, below 0 or NaN, with which nothing is learned."""
    rate = subject.learning_rate
    if subject.make_optimizer is None or rate > 0:
        return None
    effect = "moves no weight" if rate == 0 else "raises the loss"
    return Finding(
        "learning_rate",
        "a rate above 0, such as 0.001",
        f"{rate:g}, which {effect}",
        "Set the learning rate to 0.001 for adam, or to 0.1 for sgd.",
        evidence={"learning_rate": rate} if np.isfinite(rate) else {},
    )


def label_smoothing_high(subject: Subject) -> Finding | None:
    """Finds label smoothing that takes more of a label than it leaves.

    Szegedy et al., "Rethinking the inception architecture for computer vision", 2016,
    https://arxiv.org/abs/1512.00567, smooth by 0.1.
    """
    smoothing = subject.loss.smoothing
    if smoothing <= _SMOOTHED:
        return None
    return Finding(
        "label_smoothing",
        "a share such as 0.1",
        f"{smoothing:g}, which takes that share of each label for all classes alike",
        "Set label_smoothing to 0.1, or leave it out.",
        evidence={"label_smoothing": smoothing},
        cure=loss_cure(subject.spec),
    )


def norm_of_one(subject: Subject) -> Finding | None:
    """Finds a normalization over one unit, which gives the same value for every row."""
    for layer in layers_of(subject.network):
        if type(layer).__name__ in _BY_ROW and layer.output.shape[-1] == 1:
            spec = subject.spec
            return Finding(
                layer.name,
                "several units, whose mean and variance the normalization takes",
                "1 unit, for which it gives one value for every row",
                "Remove the normalization, or give the layer before it more units.",
                evidence={"units": 1},
                cure={} if spec is None else {"network.normalization": "none"},
            )
    return None


def average_too_slow(subject: Subject) -> Finding | None:
    """Finds batch normalization whose averages hardly leave their initial values.

    After n steps momentum^n of an average is still its initial value, a mean of 0 and a
    variance of 1, by which the network answers once it is trained.
    """
    kept = {
        layer.name: float(layer.momentum) ** subject.steps
        for layer in layers_of(subject.network)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    }
    worst = max(kept, key=lambda name: kept[name], default="")
    if not subject.steps or not worst or kept[worst] < _KEPT:
        return None
    momentum = float(subject.network.get_layer(worst).momentum)
    return Finding(
        worst,
        "a momentum with which the averages of batches follow, such as 0.9",
        f"{momentum:g}, so that after {subject.steps:,} steps {kept[worst]:.0%} of the "
        "averages are their initial values",
        "Set momentum of the layer to 0.9, or train longer.",
        evidence={"kept": kept[worst], "steps": subject.steps},
    )


def weight_average_too_slow(subject: Subject) -> Finding | None:
    """Finds averages of weights that are still those that the initializer drew at the end.

    With `use_ema` the network ends with the averages, of which momentum^n are the initial
    weights after n steps. With `ema_overwrite_frequency` every few steps are replaced by them.
    """
    optimizer: Any = subject.make_optimizer() if subject.make_optimizer else None
    if not getattr(optimizer, "use_ema", False) or not subject.steps:
        return None
    momentum, every = float(optimizer.ema_momentum), optimizer.ema_overwrite_frequency
    kept = momentum ** min(every or subject.steps, subject.steps)
    if kept < _KEPT_WEIGHTS:
        return None
    option, value = ("ema_overwrite_frequency", None) if every else ("use_ema", False)
    if every:
        got = f"{momentum:g}, which takes back {kept:.1%} of every {every:,} steps"
    else:
        got = (
            f"{momentum:g}, so that after {subject.steps:,} steps {kept:.0%} of the averages "
            "are the initial weights"
        )
    return Finding(
        "ema_momentum",
        "averages of weights that follow the steps",
        got,
        f"Set {option} to {'null' if every else 'false'}, or ema_momentum to 0.9.",
        evidence={"kept": kept, "steps": subject.steps},
        cure=option_cure(subject.spec, option, value),
    )


def constraint_removes_weights(subject: Subject) -> Finding | None:
    """Finds a constraint that the initial weights break, which sets many to 0.

    `NonNeg` does so to the half of random weights that are below 0: a layer can then only add
    its inputs, and no input can speak against an answer. Weights that begin within their
    constraint keep it, and an output layer learns all the same.
    """
    with_kernel = [each for each in layers_of(subject.network) if hasattr(each, "kernel")]
    for layer in with_kernel[:-1]:
        kernel = getattr(layer, "kernel", None)
        constraint = getattr(kernel, "constraint", None)
        if constraint is None or not layer.trainable:
            continue
        before = np.asarray(kernel)
        kept = np.asarray(constraint(keras.ops.convert_to_tensor(before)))
        removed = float(((before != 0) & (kept == 0)).mean())
        if removed > _REMOVED:
            name = type(constraint).__name__
            return Finding(
                layer.name,
                "a constraint that the initial weights keep",
                f"{name}, which sets {removed:.0%} of them to 0 in the first step",
                f"Leave {name} out, or begin with weights that keep it.",
                evidence={"removed": removed},
            )
    return None


def frozen_untrained(subject: Subject) -> Finding | None:
    """Finds frozen layers that still have the weights that their initializer drew.

    Freezing keeps the knowledge of a trained layer; a layer of random weights has learned
    nothing. A model that was trained, or loaded, has other weights than its initializer draws.
    """
    found = [each for each in layers_of(subject.network) if _is_frozen_as_drawn(each)]
    if not found or not subject.network.trainable_variables:
        return None
    weights = sum(layer.count_params() for layer in found)
    return Finding(
        found[0].name,
        "frozen layers that were trained before",
        f"trainable=False for {len(found)} layers with {weights:,} weights, which are those "
        "that the initializer drew",
        "Set trainable to True, or load trained weights.",
        evidence={"layers": len(found), "weights": weights},
    )


def _is_frozen_as_drawn(layer: keras.layers.Layer) -> bool:
    if layer.trainable or not isinstance(layer, keras.layers.Dense):
        return False
    kernel = layer.kernel
    try:
        drawn = layer.kernel_initializer(kernel.shape, dtype=kernel.dtype)
    # A function of the caller as initializer may take no type, or raise anything.
    except Exception:
        return False
    return bool(np.allclose(np.asarray(drawn), np.asarray(kernel), rtol=1e-5))
