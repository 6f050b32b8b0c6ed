"""Trials -> their order, and the finalists' repeats -> a winner with its reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kfc.tuning.trial import Trial, direction

_CONFIDENCE = 0.95
_STATUS = {"completed": 0, "pruned": 1, "diverged": 2}


@dataclass(frozen=True)
class Finalist:
    """One of the best few trials, trained again on fresh seeds.

    Its own score is not among the repeats: it was chosen for that score, which is
    therefore too good on average.

    Args:
        trial: Of the search.
        repeats: The same values on other seeds, the same seeds for every finalist.
    """

    trial: Trial
    repeats: tuple[Trial, ...]

    @property
    def diverged(self) -> int:
        """How many of the repeats diverged."""
        return sum(repeat.status == "diverged" for repeat in self.repeats)

    @property
    def mean(self) -> float:
        """The mean score of the repeats, a diverged one's worst score included.

        Without repeats it is the trial's own score.
        """
        scores = [repeat.score for repeat in self.repeats] or [self.trial.score]
        return math.fsum(scores) / len(scores)  # the same in any order

    @property
    def low(self) -> float | None:
        """The low end of the mean's 95 % interval; None where there is no interval."""
        return self._interval()[0]

    @property
    def high(self) -> float | None:
        """The high end of the mean's 95 % interval; None where there is no interval."""
        return self._interval()[1]

    def _interval(self) -> tuple[float, float] | tuple[None, None]:
        # The worst score of a diverged repeat is a mark, not a measurement.
        if len(self.repeats) < 2 or self.diverged:
            return None, None
        return _interval(np.array([repeat.score for repeat in self.repeats]))


@dataclass(frozen=True)
class Verdict:
    """Which finalist wins, and why.

    Args:
        best: The winner.
        order: All of them: the winner, then by their means.
        sentences: The reasons, one for each of the others.
    """

    best: Finalist
    order: list[Finalist]
    sentences: list[str]


@dataclass(frozen=True)
class _Comparison:
    """By how much the finalist of the best mean is better than another, over `seeds`."""

    difference: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def is_tie(self) -> bool:
        if self.low is None or self.high is None:
            return self.difference == 0
        return self.low <= 0 <= self.high

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            source = "on one seed" if self.seeds else "in the search alone"
            return f"{source}, so without an interval"
        _, low, high = figures(self.difference, self.low, self.high)
        return f"95 % interval {low} to {high}, over {self.seeds} seeds"


def ranked(trials: Sequence[Trial], objective: str) -> list[Trial]:
    """Returns trials from the best to the worst.

    Completed before pruned before diverged; then the better score, the fewer weights, the
    smaller number.

    Args:
        trials: Of one search, in any order.
        objective: A recorded metric, such as `val_accuracy`.
    """
    sign = _sign(objective)

    def place(trial: Trial) -> tuple[float, ...]:
        status = _STATUS[trial.status]
        return status, -sign * trial.score, trial.weights, trial.number

    return sorted(trials, key=place)


def decide(finalists: Sequence[Finalist], objective: str) -> Verdict:
    """Returns the winner: of those that tie with the best mean, the smallest network.

    Each finalist is compared with the one of the best mean, by Student's paired t over the
    seeds they share: with d the differences of the n scores, the interval is

        mean(d) +- t(0.975, n - 1) * std(d) / sqrt(n)

    and a tie is an interval that includes 0. A finalist of which a repeat diverged comes
    after all others, whatever its mean.

    Sources: T. Dietterich, "Approximate statistical tests for comparing supervised
    classification learning algorithms", 1998, for the paired t and its traps; X.
    Bouthillier et al., "Accounting for variance in machine learning benchmarks", 2021
    (https://arxiv.org/abs/2103.03098), for pairing, and for the seed as a source of
    variance. As there, the seed is only one source: the interval speaks of other seeds on
    these rows, not of other rows. Several comparisons are not corrected for, so with many
    finalists "better" is said a little too often, and "tie" too seldom.

    Args:
        finalists: At least one, all repeated on the same seeds.
        objective: A recorded metric, such as `val_accuracy`.

    Raises:
        ValueError: If there is no finalist, or their seeds differ.
    """
    if not finalists:
        raise ValueError("no finalist to decide between")
    if len({tuple(sorted(_scores(one))) for one in finalists}) > 1:
        raise ValueError("finalists that were repeated on different seeds")
    sign = _sign(objective)

    def place(one: Finalist) -> tuple[float, ...]:
        return one.diverged, -sign * one.mean, one.trial.weights, one.trial.number

    leader, *others = sorted(finalists, key=place)
    if leader.diverged:
        return Verdict(leader, [leader, *others], [_all_diverged(leader)])
    compared = [(one, _compare(leader, one, sign)) for one in others if not one.diverged]
    tied = [leader, *(one for one, comparison in compared if comparison.is_tie)]
    best = min(tied, key=lambda one: one.trial.weights)  # the better mean among equals
    sentences = [_sentence(leader, one, best, comparison) for one, comparison in compared]
    sentences += [_last(one) for one in others if one.diverged]
    if not others:
        sentences = [f"Trial {leader.trial.number} is the only finalist."]
    order = [best, *(one for one in (leader, *others) if one is not best)]
    return Verdict(best, order, sentences)


def figures(*values: float) -> list[str]:
    """Returns scores as people read them, all with the digits the largest needs."""
    largest = max(abs(value) for value in values)
    form = ".4f" if largest == 0 or 1e-3 <= largest < 1e6 else ".2e"
    texts = [f"{value:{form}}" for value in values]
    return [text if float(text) else f"{0.0:{form}}" for text in texts]  # no -0.0000


def _compare(leader: Finalist, other: Finalist, sign: int) -> _Comparison:
    better, worse = _scores(leader), _scores(other)
    differences = np.array([sign * (better[seed] - worse[seed]) for seed in better])
    low, high = _interval(differences) if differences.size > 1 else (None, None)
    return _Comparison(sign * (leader.mean - other.mean), low, high, differences.size)


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % t interval of a mean; for equal values, the value twice.

    As `scipy.stats.ttest_rel` has it, which warns about equal values and answers NaN.
    """
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    width = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, values.size - 1)) * error
    return mean - width, mean + width


def _sentence(
    leader: Finalist, other: Finalist, best: Finalist, comparison: _Comparison
) -> str:
    top, number = leader.trial.number, other.trial.number
    difference, *_ = figures(
        comparison.difference, comparison.low or 0.0, comparison.high or 0.0
    )
    if not comparison.is_tie:
        return f"Trial {top} is better than {number} by {difference} ({comparison})."
    first, second = sorted((top, number))
    tie = f"Trials {first} and {second} are a tie (difference {difference}, {comparison})"
    winner, loser = best.trial, (leader if best is other else other).trial
    also = "" if best in (leader, other) else f", which ties with {top} too,"
    if winner.weights < loser.weights:
        return (
            f"{tie}: {winner.number}{also} is smaller ({winner.weights:,} weights against "
            f"{loser.weights:,}), so it wins."
        )
    reason = "has the better mean" if best.mean != other.mean else "came first"
    return f"{tie} of equal size: {winner.number}{also} {reason}, so it wins."


def _last(one: Finalist) -> str:
    return (
        f"Trial {one.trial.number} comes last: {one.diverged} of its {len(one.repeats)} "
        "repeats diverged."
    )


def _all_diverged(leader: Finalist) -> str:
    return (
        "Every finalist diverged on a fresh seed, so no winner is to be relied on: trial "
        f"{leader.trial.number} did least often, {leader.diverged} of "
        f"{len(leader.repeats)} times."
    )


def _scores(one: Finalist) -> dict[int, float]:
    return {repeat.seed: repeat.score for repeat in one.repeats}


def _sign(objective: str) -> int:
    return 1 if direction(objective) == "max" else -1
