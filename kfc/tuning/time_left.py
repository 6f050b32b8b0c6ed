"""Estimates the remaining time of a search."""

from __future__ import annotations

import math
from collections.abc import Sequence

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def time_left(
    durations: Sequence[float],
    trials: int,
    repeats: int,
    *,
    workers: int,
    seconds: float | None = None,
) -> str:
    """Returns for example `about 3 min left`; empty if nothing is left, or none has ended.

    Each remaining training is expected to take the mean duration of the finished ones.

    Args:
        durations: Seconds of each finished training.
        trials: Number of remaining trials.
        repeats: Number of remaining trainings of finalists.
        workers: Number of trainings that run at once, at least 1.
        seconds: Time until no new trial is started; None for no limit.
    """
    if not durations or trials + repeats <= 0:
        return ""
    mean = math.fsum(durations) / len(durations)
    for_trials = trials * mean / workers
    if seconds is not None:
        for_trials = min(for_trials, max(seconds, 0) + mean)
    return f"about {_duration(for_trials + repeats * mean / workers)} left"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "1 s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} days"
