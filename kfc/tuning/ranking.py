"""Trials -> their order, and the finalists' repeats -> a winner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kfc.tuning.comparison import Comparison, Finalist, compare, default_margin
from kfc.tuning.trial import Trial, direction

_STATUS = {"completed": 0, "pruned": 1, "diverged": 2}


@dataclass(frozen=True)
class Verdict:
    """Which finalist wins, and the comparisons that say so.

    Args:
        best: The winner.
        leader: The finalist with the best mean, with which the others were compared.
        order: All finalists: the winner, then by their means, the diverged ones last.
        compared: Number of each other finalist that did not diverge -> the leader's
            comparison with it.
        own: The winner's comparison with trial 0; None where one of them is the leader,
            and where trial 0 is no finalist or diverged.
    """

    best: Finalist
    leader: Finalist
    order: list[Finalist]
    compared: dict[int, Comparison]
    own: Comparison | None = None

    def further_seeds(self, looks: Sequence[int]) -> dict[int, int]:
        """Returns the number of each finalist that needs more seeds -> how many in all.

        A finalist that was decided with fewer seeds than the leader has catches up first,
        where a new leader makes it undecided.

        Args:
            looks: Numbers of seeds after which finalists are compared, in rising order.
        """
        top = len(self.leader.repeats)
        following = next((look for look in looks if look > top), top)
        found: dict[int, int] = {}
        for one in self.order:
            comparison = self.compared.get(one.trial.number)
            if comparison is None or not comparison.needs_seeds:
                continue
            if len(one.repeats) < top:
                found[one.trial.number] = top
            elif following > top:
                found[one.trial.number] = found[self.leader.trial.number] = following
        return found


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


def decide(
    finalists: Sequence[Finalist],
    objective: str,
    *,
    margin: float | None = None,
    num_looks: int = 1,
) -> Verdict:
    """Returns the winner: the smallest network among the equivalents of the leader.

    The leader is the finalist with the best mean, among those with the most seeds. Each
    other finalist is compared with it over the seeds they share (`comparison.compare`).
    There are three outcomes: the leader is better, both are equivalent, or the seeds leave
    it undecided. A smaller network wins only if it is equivalent; against an undecided one
    the better mean wins. A finalist of which a repeat diverged comes after all others,
    whatever its mean.

    Sources: T. Dietterich, "Approximate statistical tests for comparing supervised
    classification learning algorithms", 1998, for the paired t and its traps; X.
    Bouthillier et al., "Accounting for variance in machine learning benchmarks", 2021
    (https://arxiv.org/abs/2103.03098), for pairing, and for the seed as a source of
    variance. As there, the seed is only one source: the interval speaks of other seeds on
    these rows, not of other rows. Comparisons with several finalists are not corrected
    for, so with many of them "better" and "equivalent" are said a little too often.

    Args:
        finalists: At least one; those with repeats share at least one seed.
        objective: A recorded metric, such as `val_accuracy`.
        margin: Largest difference that counts for nothing, in units of the objective; by
            default `comparison.default_margin`.
        num_looks: How often the finalists may be compared as seeds are added.

    Raises:
        ValueError: If there is no finalist, or two have repeats and share no seed.
    """
    if not finalists:
        raise ValueError("no finalist to decide between")
    sign = _sign(objective)

    def place(one: Finalist) -> tuple[float, ...]:
        # Without repeats, the scores of pruned trials are those of shorter trainings.
        status = 0 if one.repeats else _STATUS[one.trial.status]
        return one.diverged, status, -sign * one.mean, one.trial.weights, one.trial.number

    whole = [one for one in finalists if not one.diverged] or list(finalists)
    most = max(len(one.repeats) for one in whole)
    leader = min((one for one in whole if len(one.repeats) == most), key=place)
    others = sorted((one for one in finalists if one is not leader), key=place)
    if leader.diverged:
        return Verdict(leader, leader, [leader, *others], {})
    margin = default_margin(objective, leader.mean) if margin is None else margin

    def comparison(first: Finalist, second: Finalist) -> Comparison:
        return compare(first, second, sign=sign, margin=margin, num_looks=num_looks)

    compared = {
        one.trial.number: comparison(leader, one) for one in others if not one.diverged
    }
    equivalent = [
        one
        for one in others
        if one.trial.number in compared
        and compared[one.trial.number].judgement == "equivalent"
    ]
    best = min([leader, *equivalent], key=lambda one: one.trial.weights)  # else the leader
    order = [best, *(one for one in (leader, *others) if one is not best)]
    own = next((one for one in others if one.trial.number == 0 and not one.diverged), None)
    shown = own is not None and own is not best and best is not leader
    return Verdict(
        best, leader, order, compared, comparison(best, own) if own and shown else None
    )


def figures(*values: float) -> list[str]:
    """Returns scores as people read them, all with the digits the largest needs."""
    largest = max(abs(value) for value in values)
    form = ".4f" if largest == 0 or 1e-3 <= largest < 1e6 else ".2e"
    texts = [f"{value:{form}}" for value in values]
    return [text if float(text) else f"{0.0:{form}}" for text in texts]  # no -0.0000


def _sign(objective: str) -> int:
    return 1 if direction(objective) == "max" else -1
