"""Checks that losses, metrics and weights of a training are finite."""

from __future__ import annotations

import math
from collections.abc import Mapping

from kfc.errors import Finding
from kfc.findings import run_check


def check_finite(metrics: Mapping[str, float], where: str) -> None:
    """Refuses metrics that are NaN or infinite.

    Args:
        metrics: Name -> value.
        where: Name of the rows or of the epoch in messages.

    Raises:
        NumbersError: If there are any.
    """
    run_check("metric_not_finite", metrics, where)


def metric_not_finite(metrics: Mapping[str, float], where: str) -> list[Finding]:
    """Finds the metrics that are NaN or infinite."""
    return [
        Finding(
            f"{where}, {name}",
            "a finite number",
            str(value),
            "Look at the size of the targets and the outputs; a loss may be finite while "
            "its squares are not.",
        )
        for name, value in metrics.items()
        if not math.isfinite(value)
    ]


def loss_not_finite(first_bad_step: int, epoch: int, steps_per_epoch: int) -> Finding | None:
    """Finds the first step with a loss that is NaN or infinite.

    Args:
        first_bad_step: Index of this step, counted from the start of `epoch`; -1 for none.
        epoch: Index of the first epoch of the block of steps.
        steps_per_epoch: Number of steps in an epoch.
    """
    if first_bad_step < 0:
        return None
    epochs, step = divmod(first_bad_step, steps_per_epoch)
    return _not_finite("a finite loss", epoch + epochs, step)


def weights_not_finite(are_finite: bool, epoch: int, step: int) -> Finding | None:
    """Finds weights that are NaN or infinite after a step of an epoch."""
    return None if are_finite else _not_finite("finite weights", epoch, step)


def _not_finite(expected: str, epoch: int, step: int) -> Finding:
    return Finding(
        f"training, epoch {epoch + 1}, step {step + 1}",
        expected,
        "NaN or infinity",
        "Lower training.optimizer.learning_rate, scale the inputs (data.scale), or "
        "start from smaller weights (network.init).",
        evidence={"epoch": epoch + 1, "step": step + 1},
    )
