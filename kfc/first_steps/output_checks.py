"""Checks that a loss takes the outputs of its network: the stage `outputs`.

A loss with `from_logits=True` takes any numbers and applies softmax itself; without, it takes
probabilities and only divides them by their sum. Keras cannot see which of them a network
gives, and trains on the wrong gradient without a word.
"""

from __future__ import annotations

import keras
import numpy as np

from kfc.errors import Finding
from kfc.first_steps.subject import Subject, activation_of, last_layers
from kfc.first_steps.target_checks import is_one_hot

_WHERE = "loss and last layer"
_SUM = 1e-3  # rounding of a sum of float32 probabilities
_ABOVE_0 = ("relu", "relu6", "softplus", "exponential", "squareplus")
_WITHIN = {"sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0)} | {
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
}
_OF_LOGARITHMS = ("poisson", "meansquaredlogarithmicerror")
_ROWS_OF_CLASS = 1  # rows for each output, with which most classes should have one
_SEVERAL = 3  # classes; of two, the probabilities of both say the same
_BEYOND = 0.01  # share of targets that no output reaches, as an outlier may be


def softmax_of_one(subject: Subject) -> Finding | None:
    """Finds a softmax over one unit, which is 1 for every input."""
    if subject.output_activation != "softmax" or subject.outputs.shape[-1] != 1:
        return None
    return Finding(
        _WHERE,
        "several units below softmax, or sigmoid",
        "softmax over 1 unit, which is 1 for every row",
        "Use activation='sigmoid' with binary_crossentropy, or one unit for each class.",
        evidence={"units": 1, "output": float(subject.outputs.mean())},
    )


def one_output_for_classes(subject: Subject) -> Finding | None:
    """Finds a single output below a loss of several classes."""
    if not subject.loss.of_classes or subject.outputs.shape[-1] != 1:
        return None
    return Finding(
        _WHERE,
        f"an output for each class, as {subject.loss.name} takes",
        "1 output",
        "Give the last layer a unit for each class, or use binary_crossentropy.",
        evidence={"outputs": 1},
    )


def relu_output(subject: Subject) -> Finding | None:
    """Finds outputs for classes that relu has cut off at 0, where nothing is learned."""
    if not _of_probabilities(subject):
        return None
    layers = last_layers(subject.network) or [None]
    found = [each for each in layers if activation_of(each) in ("relu", "relu6")]
    if not found or found[0] is None:
        return None
    values = np.asarray(keras.Model(subject.network.inputs, found[0].output)(subject.some[0]))
    zeros = float((values == 0).mean())
    return Finding(
        _WHERE,
        "softmax, sigmoid or no activation below a cross-entropy",
        f"{activation_of(found[0])}, which gives 0 and no gradient for {zeros:.0%} of the "
        "outputs",
        "Remove the activation of the last layer, and set from_logits=True in the loss.",
        evidence={"zeros": zeros},
    )


def sigmoid_for_classes(subject: Subject) -> Finding | None:
    """Finds sigmoid outputs below a loss that takes one distribution over the classes."""
    one_of_several = subject.loss.of_classes and subject.outputs.shape[-1] > 1
    if not one_of_several or subject.output_activation != "sigmoid":
        return None
    sums = subject.outputs.sum(axis=-1)
    return Finding(
        _WHERE,
        f"softmax below {subject.loss.name}, or no activation and from_logits=True",
        f"sigmoid, whose probabilities sum to {sums.mean():.3g} and not to 1",
        "Use activation='softmax' in the last layer.",
        evidence={"sum": float(sums.mean())},
    )


def softmax_twice(subject: Subject) -> Finding | None:
    """Finds probabilities that meet `from_logits=True`, which applies softmax again.

    Probabilities differ by 1 at most, so softmax makes of them no more than
    e / (e + K - 1) for K classes: the loss cannot fall below log(1 + (K - 1) / e).
    """
    if not (subject.loss.from_logits and _of_probabilities(subject)):
        return None
    if subject.output_activation not in ("softmax", "sigmoid", "hard_sigmoid"):
        return None
    classes = max(subject.outputs.shape[-1], 2)
    least = float(np.log1p((classes - 1) / np.e))
    return Finding(
        _WHERE,
        "logits below a loss with from_logits=True",
        f"{subject.output_activation}, so that the loss cannot fall below {least:.2f}",
        "Set from_logits=False, or remove the activation of the last layer.",
        evidence={"least_loss": least},
    )


def logits_as_probabilities(subject: Subject) -> Finding | None:
    """Finds outputs that are no probabilities below a loss that takes them for such."""
    if subject.loss.from_logits or not _of_probabilities(subject):
        return None
    if subject.output_activation in ("relu", "relu6", "sigmoid", "softmax"):
        return None  # checks of their own
    low, high = float(subject.outputs.min()), float(subject.outputs.max())
    sums = subject.outputs.sum(axis=-1)
    is_distribution = not subject.loss.of_classes or bool((np.abs(sums - 1) < _SUM).all())
    if low >= 0 and high <= 1 + _SUM and is_distribution:
        return None
    return Finding(
        _WHERE,
        f"probabilities, as {subject.loss.name} takes without from_logits=True",
        f"outputs from {low:.3g} to {high:.3g}",
        "Set from_logits=True in the loss, or softmax (of one unit sigmoid) in the end.",
        evidence={"lowest": low, "highest": high},
    )


def logits_within_bounds(subject: Subject) -> Finding | None:
    """Finds logits that an activation keeps between -1 and 1: no class can become likely."""
    bounds = _WITHIN.get(subject.output_activation)
    if not (subject.loss.from_logits and bounds) or bounds[0] == 0:
        return None
    classes = max(subject.outputs.shape[-1], 2)
    most = float(1 / (1 + (classes - 1) * np.exp(bounds[0] - bounds[1])))
    return Finding(
        _WHERE,
        "logits without bounds",
        f"{subject.output_activation}, so that no class gets a probability above {most:.2f}",
        "Remove the activation of the last layer.",
        evidence={"most_probability": most},
    )


def target_out_of_reach(subject: Subject) -> Finding | None:
    """Finds numbers as targets that the activation of the last layer cannot give."""
    if subject.loss.compared != "numbers":
        return None
    name = subject.output_activation
    low, high = _WITHIN.get(name, (0.0 if name in _ABOVE_0 else -np.inf, np.inf))
    y = subject.y.astype(np.float64)
    share = float(((y < low) | (y > high)).mean())
    if share <= _BEYOND:
        return None
    return Finding(
        _WHERE,
        f"targets that {name} can give, {low:g} to {high:g}",
        f"{share:.0%} of the targets outside, from {y.min():.4g} to {y.max():.4g}",
        "Remove the activation of the last layer, or scale the targets.",
        evidence={"share": share, "lowest": float(y.min()), "highest": float(y.max())},
    )


def output_outside_loss(subject: Subject) -> Finding | None:
    """Finds outputs below 0 under a loss that takes their logarithm."""
    name = subject.loss.plain_name
    low = float(subject.outputs.min())
    if name not in _OF_LOGARITHMS or subject.output_activation in _ABOVE_0 or low >= 0:
        return None
    share = float((subject.outputs < 0).mean())
    return Finding(
        _WHERE,
        f"outputs above 0, of which {subject.loss.name} takes the logarithm",
        f"{low:.3g}, and {share:.0%} of the outputs below 0",
        "Use activation='softplus' or 'exponential' in the last layer.",
        evidence={"share": share, "lowest": low},
    )


def outputs_unused(subject: Subject) -> Finding | None:
    """Finds outputs for classes most of which no row has, as for labels that have gaps."""
    if subject.loss.compared != "codes" or subject.num_classes < 1:
        return None
    outputs, classes = subject.outputs.shape[-1], subject.num_classes
    if classes > outputs / 2 or len(subject.y) < _ROWS_OF_CLASS * outputs:
        return None
    return Finding(
        _WHERE,
        f"about as many outputs as classes, {classes}",
        f"{outputs} outputs",
        "Give the last layer a unit for each class: np.unique(y) counts them.",
        evidence={"outputs": outputs, "classes": classes},
    )


def binary_loss_for_classes(subject: Subject) -> Finding | None:
    """Finds softmax below a binary loss, which takes each class as a question of its own."""
    name = subject.loss.plain_name
    if not name.startswith("binary") or subject.outputs.shape[-1] < _SEVERAL:
        return None
    if subject.output_activation != "softmax" or not is_one_hot(subject.y):
        return None
    return Finding(
        _WHERE,
        "categorical_crossentropy below softmax",
        f"{subject.loss.name}, which compares each of {subject.width} classes alone",
        "Use the loss categorical_crossentropy; for several labels at once sigmoid.",
        evidence={"classes": subject.width},
    )


def _of_probabilities(subject: Subject) -> bool:
    loss = subject.loss
    return loss.compared in ("codes", "one_hot", "flags") and loss.name != "categorical_hinge"
