"""Checks of the loss itself, on answers that are right and wrong: the stage `loss`.

They are for plain Keras models, whose loss may be a function of the caller.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kfc.errors import Finding
from kfc.first_steps.model_input_checks import short_reason
from kfc.first_steps.subject import Subject

_SURE = 0.8  # probability that a right answer adds to those of a guess
_EQUAL = 1e-6  # relative difference of losses that rounding explains


class _Answers(NamedTuple):
    """Losses of answers that are right for each row, and of the same in another order."""

    right: float
    wrong: float


def loss_not_computed(subject: Subject) -> Finding | None:
    """Finds a loss that cannot take these targets and outputs."""
    _, y = subject.some
    try:
        subject.loss.mean(y, subject.outputs.astype(np.float32))
    # A function of the caller may raise anything.
    except Exception as error:
        return Finding(
            "loss",
            f"a loss of targets {y.shape} and outputs {subject.outputs.shape}",
            short_reason(error),
            "Give targets and outputs the shape that the loss takes.",
            evidence={"targets": y.ndim, "outputs": subject.outputs.ndim},
        )
    return None


def loss_arguments_swapped(subject: Subject) -> Finding | None:
    """Finds a loss of Keras that a function of the caller gives its arguments in wrong order.

    The cross-entropy of (outputs, targets) takes the logarithm of a target of 0.
    """
    if not subject.loss.swapped:
        return None
    return Finding(
        "loss",
        f"{subject.loss.name}(y_true, y_pred)",
        f"the values of {subject.loss.name}(y_pred, y_true)",
        "Swap its arguments: Keras gives a loss the targets first.",
        evidence={"swapped": 1},
    )


def loss_ignores_rows(subject: Subject) -> Finding | None:
    """Finds a loss that does not compare the answer of a row with the target of that row.

    A difference of shapes (rows,) and (rows, 1) compares each answer with every target.
    """
    answers = _answers(subject)
    if answers is None or not _are_equal(answers):
        return None
    return Finding(
        "loss",
        "a loss that compares each answer with the target of its row",
        f"the same loss, {answers.right:.4g}, for right answers and for those of other rows",
        "Give targets and outputs one shape: a difference of (rows,) and (rows, 1) is "
        "(rows, rows). Does the loss use both its arguments?",
        evidence={"right": answers.right, "wrong": answers.wrong},
    )


def loss_prefers_wrong(subject: Subject) -> Finding | None:
    """Finds a loss that is lower for wrong answers than for right ones."""
    answers = _answers(subject)
    if answers is None or _are_equal(answers) or answers.right < answers.wrong:
        return None
    return Finding(
        "loss",
        "a loss that is lowest for right answers",
        f"{answers.right:.4g} for right answers and {answers.wrong:.4g} for wrong ones",
        "Change its sign: training minimizes it. Of a score such as accuracy or R2 take "
        "1 - score.",
        evidence={"right": answers.right, "wrong": answers.wrong},
    )


def _answers(subject: Subject) -> _Answers | None:
    """Returns losses of right and of wrong answers; None where the right ones are unknown.

    The wrong answers are the right ones in another order, so that their distribution is the
    same. Targets and outputs of other shapes, as of a mean and a deviation, say nothing.
    """
    if subject.loss.compared != "other":
        return None
    y, shape = subject.some[1], subject.outputs.shape
    flat, width = y.reshape(len(y), -1), shape[-1] if len(shape) > 1 else 1
    if flat.shape[1] == 1 and width > 1:
        codes = flat[:, 0]
        if (codes != np.round(codes)).any() or codes.min() < 0 or codes.max() >= width:
            return None
        right = _SURE * np.eye(width)[codes.astype(int)] + (1 - _SURE) / width
    elif flat.shape[1] == width:
        codes = flat[:, 0] if width == 1 else flat.argmax(axis=1)
        of_flags = bool(np.isin(flat, (0, 1)).all())
        right = _SURE * flat + (1 - _SURE) / 2 if of_flags else flat.astype(np.float64)
    else:
        return None
    order = np.argsort(codes, kind="stable")
    wrong = right.copy()
    wrong[order] = right[order[::-1]]
    if np.array_equal(right, wrong):
        return None
    right_loss, wrong_loss = (
        float(subject.loss.mean(y, each.reshape(shape).astype(np.float32)))
        for each in (right, wrong)
    )
    answers = _Answers(right_loss, wrong_loss)
    return answers if all(map(math.isfinite, answers)) else None


def _are_equal(answers: _Answers) -> bool:
    return abs(answers.right - answers.wrong) <= _EQUAL * max(map(abs, answers))
