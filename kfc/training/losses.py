"""Builds the loss of a spec: a `keras.losses.Loss` of the targets and the network's outputs.

Mean squared error on classes compares logits with one-hot labels, as the hand-written
tutorials do. Their two forms, the mean over everything,

    mean_{b,k} (onehot(y)_bk - logits_bk)^2,

and the mean over classes, then over the batch, give the same number, since every row has
equally many classes.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf

from kfc.data import Task
from kfc.errors import Finding, SpecError
from kfc.network import BINARY_LOSSES
from kfc.preprocessing import TargetScaling, given_numbers
from kfc.registry import keras_class
from kfc.spec import LossSpec

_ON_DIFFERENCES = ("huber", "log_cosh", "mean_absolute_error", "mean_squared_error")
"""Losses for a regression; the targets may have any unit."""

_ON_RATIOS = ("mean_absolute_percentage_error", "mean_squared_logarithmic_error")
"""Losses for a regression whose targets keep their own units, and their own zero."""

_ON_DIRECTIONS = ("cosine_similarity",)
"""Losses for a regression of several numbers."""

_ON_NUMBERS = (*_ON_DIFFERENCES, *_ON_RATIOS, *_ON_DIRECTIONS)

_ON_PROBABILITIES = ("dice", "kl_divergence", "poisson", "tversky")
"""Losses without `from_logits` that compare distributions: they get softmax(logits)."""


_ON_WHOLE_BATCHES = ("dice", "tversky")
"""Losses that compare all rows of a batch at once."""


def build_loss(
    loss: LossSpec | None, task: Task, *, members: int = 1, own_rows: bool = False
) -> keras.losses.Loss:
    """Builds the loss a spec names, for integer labels or numbers as targets.

    Args:
        loss: Name and options from the spec; by default cross-entropy for classes, mean
            squared error for numbers.
        task: Classes or numbers.
        members: Number of members of the network.
        own_rows: Whether each member has rows of its own, and outputs for these alone.

    Returns:
        A loss of (targets, logits) for classes, of (targets, values) for numbers. With
        members that share their rows it takes the outputs of all, (batch, members, outputs).

    Raises:
        SpecError: If the loss is not for this task.
    """
    if loss is None:
        loss = default_loss(task)
    name = loss.full_name(loss.name)
    if finding := _unfit(loss, name, task, members):
        raise SpecError(finding)
    built = _of_one_network(loss, name, task)
    return built if members == 1 or own_rows else MembersLoss(built)


def _of_one_network(loss: LossSpec, name: str, task: Task) -> keras.losses.Loss:
    """Returns a loss of one output for each row and class."""
    kind = keras_class(keras.losses, name)
    options = {"from_logits": True} if _takes_logits(name) else {}
    built = kind(**loss.options, **options)
    if not task.classification:
        return StandardizedLoss(built, task.target_scaling)
    if name == "sparse_categorical_crossentropy":
        return built
    if name in BINARY_LOSSES and len(task.class_names) == 2:
        return built
    return OneHotLoss(built, len(task.class_names), softmax=name in _ON_PROBABILITIES)


def _unfit(loss: LossSpec, name: str, task: Task, members: int) -> Finding | None:
    """Returns why `loss` cannot be learned from on `task`, or None."""
    expected = remedy = ""
    if task.classification:
        if name == "mean_absolute_percentage_error":
            expected = "a loss for classes; this one divides by the target, mostly 0"
            remedy = "Use cross_entropy."
    elif name not in _ON_NUMBERS:
        expected = f"a loss for numbers: {', '.join(_ON_NUMBERS)}"
        remedy = "Choose one of them, or set data.task to classification."
    elif name in _ON_RATIOS and not task.target_scaling.is_identity:
        expected = "targets in their own units, of which it takes ratios"
        remedy = "Set data.scale_target to none, or use mse, mae or huber."
    elif name in _ON_DIRECTIONS and task.outputs == 1:
        expected = "several targets per row, whose direction it compares"
        remedy = "Use mse, mae or huber."
    if members > 1 and task.classification and not _judges_average(name):
        expected = "a loss of a row's probabilities, which members average"
        remedy = "Use cross_entropy, or set network.members to 1."
    what = "classes" if task.classification else "numbers"
    got = f"{loss.name!r} while the targets are {what}"
    return Finding("training.loss", expected, got, remedy) if expected else None


def _takes_logits(name: str) -> bool:
    kind = keras_class(keras.losses, name)
    return "from_logits" in inspect.signature(kind).parameters


def _judges_average(name: str) -> bool:
    """Returns whether a loss of classes can judge logarithms of averaged probabilities."""
    of_probabilities = _takes_logits(name) or name in _ON_PROBABILITIES
    return of_probabilities and name not in _ON_WHOLE_BATCHES


def default_loss(task: Task) -> LossSpec:
    """Returns the loss a spec has that names none."""
    name = "cross_entropy" if task.classification else "mse"
    return LossSpec.model_validate({"name": name})


class OneHotLoss(keras.losses.Loss):
    """A loss on rows of classes, for integer labels.

    Args:
        inner: The Keras loss, which compares one-hot rows with logits.
        num_classes: Length of a one-hot row.
        softmax: Whether `inner` takes probabilities instead of logits.
    """

    def __init__(
        self, inner: keras.losses.Loss, num_classes: int, *, softmax: bool = False
    ) -> None:
        super().__init__(name=inner.name, reduction=inner.reduction)
        self.inner, self.num_classes, self.softmax = inner, num_classes, softmax

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each row, (batch,)."""
        labels = tf.cast(tf.reshape(y_true, [-1]), tf.int32)
        rows = tf.one_hot(labels, self.num_classes, dtype=y_pred.dtype)  # (batch, classes)
        return self.inner.call(rows, tf.nn.softmax(y_pred) if self.softmax else y_pred)


class StandardizedLoss(keras.losses.Loss):
    """A loss measured in standard deviations of the training targets.

        loss = inner((y - mean) / deviation, (value - mean) / deviation)

    So a target of millions trains like one of ones, while predictions stay in its units. A
    compiled step takes mean and deviation as inputs, so it serves other training rows too.

    Args:
        inner: The Keras loss.
        scaling: Mean and deviation, (outputs,) each; 0 and 1 change nothing.
    """

    def __init__(self, inner: keras.losses.Loss, scaling: TargetScaling) -> None:
        super().__init__(name=inner.name, reduction=inner.reduction)
        self.inner, self.scaling = inner, scaling
        self._given = given_numbers(*scaling.numbers)

    @property
    def given(self) -> tuple[keras.Variable, ...]:
        """Mean and deviation, which a compiled step takes as inputs."""
        return self._given()

    def take_scaling(self, scaling: TargetScaling) -> None:
        """Takes the numbers of the scaling of other training rows."""
        self.scaling = scaling
        for variable, value in zip(self.given, scaling.numbers, strict=True):
            variable.assign(value)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each row, (batch,)."""
        shift, divisor = (keras.ops.convert_to_tensor(number) for number in self.given)
        y, value = (self.scaling.apply(each, (shift, divisor)) for each in (y_true, y_pred))
        return self.inner.call(y, value)


class MembersLoss(keras.losses.Loss):
    """The mean of the losses of a network's members, not the loss of their mean.

        loss_b = mean over k of inner(y_b, outputs_bk)

    Gorishniy, Kotelnikov and Babenko, "TabM", 2025, https://arxiv.org/abs/2410.24210: members
    that are trained by the loss of their mean answer alone much worse, and together too.

    Args:
        inner: Loss of single rows, which compares targets with the outputs of one member.
    """

    def __init__(self, inner: keras.losses.Loss) -> None:
        super().__init__(name=inner.name, reduction=inner.reduction)
        self.inner = inner

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each row, (batch,), for outputs (batch, members, outputs)."""
        ops = keras.ops
        members, outputs = y_pred.shape[1:]
        targets = ops.repeat(y_true, members, axis=0)  # (batch * members, ...)
        losses = self.inner.call(targets, ops.reshape(y_pred, (-1, outputs)))
        return ops.mean(ops.reshape(losses, (-1, members)), axis=1)


def is_mean_of_rows(loss: LossSpec | None) -> bool:
    """Returns whether the loss of many rows is the mean of the losses of its rows.

    A sum is not, and neither are the losses that compare all rows of a batch at once: their
    value depends on the number of rows in a batch, so held-out rows must come in batches of
    the training's size.

    Args:
        loss: Loss that a spec names, or None for the default one.
    """
    if loss is None:
        return True
    name = loss.full_name(loss.name)
    return loss.options.get("reduction") != "sum" and name not in _ON_WHOLE_BATCHES
