"""Checks that targets have the form that a network's loss compares: the stage `targets`.

They are for plain Keras models: of a spec kfc numbers the classes itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kfc.errors import Finding
from kfc.first_steps.loss_facts import Compared
from kfc.first_steps.subject import Subject
from kfc.spec import shown_value

_WHERE = "targets"
_OFF_1 = 0.01  # rounding, also of soft labels that were kept as float16
_FEW = 0.01  # share of rows, which may be slips of the labelling
_NEAR_0 = 1e-7  # by which Keras divides instead, in a percentage of 0
_NUMBERS = "Use mean_squared_error or huber for such targets."
_DOMAINS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], str]] = {
    "poisson": ("counts, which are 0 or more", lambda y: y < 0, _NUMBERS),
    "meansquaredlogarithmicerror": ("numbers of 0 or more", lambda y: y < 0, _NUMBERS),
    "meanabsolutepercentageerror": (
        "numbers other than 0",
        lambda y: np.abs(y) <= _NEAR_0,
        "Use mean_absolute_error: a percentage of 0 is without bounds.",
    ),
}
"""Plain name of a loss -> its targets in words, which are outside, and the remedy."""


def targets_are_text(subject: Subject) -> Finding | None:
    """Finds targets that are text, of which no loss of Keras takes a mean."""
    y = subject.y
    if y.dtype.kind in "biuf":
        return None
    return Finding(
        _WHERE,
        "numbers of the classes",
        f"{y.dtype} such as {shown_value(y.reshape(-1)[0])}",
        "Number them: classes, y = np.unique(y, return_inverse=True).",
        evidence={"labels": len(np.unique(y.astype(str)))},
    )


def one_hot_for_codes(subject: Subject) -> Finding | None:
    """Finds one-hot rows that meet a loss of class numbers."""
    if not _compares(subject, "codes") or not is_one_hot(subject.y):
        return None
    return Finding(
        _WHERE,
        f"one class number for each row, as {subject.loss.name} compares",
        f"one-hot rows of shape {subject.y.shape}",
        "Use y.argmax(axis=1), or the loss categorical_crossentropy.",
        evidence={"columns": subject.y.shape[1]},
    )


def codes_for_one_hot(subject: Subject) -> Finding | None:
    """Finds class numbers that meet a loss of one-hot rows."""
    outputs = _width(subject)
    if not _compares(subject, "one_hot") or not _is_codes(subject.y) or outputs < 2:
        return None
    return Finding(
        _WHERE,
        f"one-hot rows of {outputs} columns, as {subject.loss.name} compares",
        f"class numbers of shape {subject.y.shape}",
        "Use the loss sparse_categorical_crossentropy.",
        evidence={"outputs": outputs, "columns": 1},
    )


def targets_of_several_classes(subject: Subject) -> Finding | None:
    """Finds rows of several labels that meet a loss of one class for each row.

    Softmax gives one distribution over the classes: it cannot be sure of two of them. A row of
    zeros is left alone, since it only leaves the row out; so is a weighted one-hot row.
    """
    y = subject.y
    if not _compares(subject, "one_hot") or y.ndim != 2 or y.shape[1] < 2:
        return None
    sums = y.astype(np.float64).sum(axis=1)
    several = ((y != 0).sum(axis=1) > 1) & (np.abs(sums - 1) > _OFF_1)
    share = float(several.mean())
    if share <= _FEW:
        return None
    return Finding(
        _WHERE,
        f"rows that sum to 1, as {subject.loss.name} takes: one class for each row",
        f"rows of several labels in {share:.0%} of them, with sums up to {sums.max():.3g}",
        "For several labels at once use sigmoid with binary_crossentropy; to share a row "
        "among classes divide it by its sum.",
        evidence={"share": share, "largest_sum": float(sums.max())},
    )


def codes_for_numbers(subject: Subject) -> Finding | None:
    """Finds class numbers that meet a loss of numbers, such as the mean squared error."""
    y, outputs = subject.y, _width(subject)
    if not _compares(subject, "numbers") or not _is_codes(y) or outputs < 2:
        return None
    if int(y.max()) >= outputs or int(y.min()) < 0:
        return None  # counts or other integers: target_broadcast finds them
    return Finding(
        _WHERE,
        f"one-hot rows of {outputs} columns, as {subject.loss.name} needs for classes",
        f"class numbers of shape {y.shape}, which would be compared with every output",
        "Use the loss sparse_categorical_crossentropy, or keras.utils.to_categorical(y).",
        evidence={"outputs": outputs, "columns": 1},
    )


def target_broadcast(subject: Subject) -> Finding | None:
    """Finds one target per row that would be compared with each of several outputs."""
    y, outputs = subject.y, _width(subject)
    columns = 1 if y.ndim == 1 else y.shape[-1]
    if not _compares(subject, "numbers", "flags") or columns == outputs:
        return None
    return Finding(
        _WHERE,
        f"as many columns as outputs, {outputs}",
        f"shape {y.shape}, which would be repeated for every output",
        f"Give the last layer {columns} unit{'s' * (columns != 1)}, or add the targets that "
        "are missing.",
        evidence={"outputs": outputs, "columns": columns},
    )


def label_out_of_range(subject: Subject) -> Finding | None:
    """Finds class numbers for which the network has no output, such as 1 to K."""
    y, outputs = subject.y, _width(subject)
    if not _compares(subject, "codes") or is_one_hot(y) or outputs < 2:
        return None
    low, high = int(y.min()), int(y.max())
    if low >= 0 and high < outputs:
        return None
    begins = " (they begin with 1, not with 0)" if low == 1 and high == outputs else ""
    return Finding(
        _WHERE,
        f"class numbers from 0 to {outputs - 1}, one for each output",
        f"{low} to {high}{begins}",
        "Number them again: classes, y = np.unique(y, return_inverse=True).",
        evidence={"lowest": low, "highest": high, "outputs": outputs},
    )


def code_not_whole(subject: Subject) -> Finding | None:
    """Finds class numbers with a fraction, which Keras cuts off."""
    if not _compares(subject, "codes") or subject.y.dtype.kind != "f":
        return None
    y = subject.y
    share = float((y != np.round(y)).mean())
    if not share or is_one_hot(y):
        return None
    low, high = float(y.min()), float(y.max())
    return Finding(
        _WHERE,
        f"class numbers, which are whole, as {subject.loss.name} compares",
        f"{low:g} to {high:g}, {share:.0%} of them with a fraction, which Keras cuts off",
        "Do not scale class numbers; to predict numbers use the loss mean_squared_error.",
        evidence={"share": share, "lowest": low, "highest": high},
    )


def target_outside_loss(subject: Subject) -> Finding | None:
    """Finds numbers as targets of which a loss takes no logarithm or ratio."""
    y, name = subject.y, subject.loss.plain_name
    if name not in _DOMAINS or y.dtype.kind not in "iuf":
        return None
    expected, is_outside, remedy = _DOMAINS[name]
    share = float(is_outside(y.astype(np.float64)).mean())
    if not share:
        return None
    return Finding(
        _WHERE,
        f"{expected}, as {subject.loss.name} takes",
        f"{y.min():g} to {y.max():g}, {share:.0%} of them outside",
        remedy,
        evidence={"share": share, "lowest": float(y.min()), "highest": float(y.max())},
    )


def label_not_binary(subject: Subject) -> Finding | None:
    """Finds targets of a binary loss that are not between 0 and 1."""
    if not _compares(subject, "flags"):
        return None
    low, high = float(subject.y.min()), float(subject.y.max())
    if low >= 0 and high <= 1:
        return None
    return Finding(
        _WHERE,
        "0 or 1",
        f"{low:g} to {high:g}",
        "Number the two classes 0 and 1; for more classes use "
        "sparse_categorical_crossentropy with one output for each.",
        evidence={"lowest": low, "highest": high},
    )


def _compares(subject: Subject, *kinds: Compared) -> bool:
    return subject.loss.compared in kinds and subject.y.dtype.kind in "biuf"


def _width(subject: Subject) -> int:
    return int(subject.outputs.shape[-1]) if subject.outputs.ndim > 1 else 1


def _is_codes(y: np.ndarray) -> bool:
    single = y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)
    return single and bool((y == np.round(y)).all())


def is_one_hot(y: np.ndarray) -> bool:
    """Returns whether each row of targets has a 1 and otherwise zeros."""
    if y.ndim != 2 or y.shape[1] < 2:
        return False
    return bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())
