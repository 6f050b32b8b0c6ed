"""Ranks trials, and chooses the winner among the finalists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kfc.tuning.comparison import Comparison, Finalist, compare_finalists, default_margin
from kfc.tuning.trial import Trial, objective_direction

_STATUS_RANK = {"completed": 0, "pruned": 1, "diverged": 2}


@dataclass(frozen=True)
class Verdict:
    """Winner of a search, with the comparisons that led to it.

    Args:
        best: Winner.
        leader: Finalist with the best mean; all others are compared with it.
        order: All finalists: the winner, then the others by their means, diverged ones
            last.
        compared: Number of each other finalist without a diverged repeat -> comparison of
            the leader with it.
        baseline: Comparison of the winner with trial 0. None if one of the two is the
            leader, or if trial 0 is no finalist or diverged.
    """

    best: Finalist
    leader: Finalist
    order: list[Finalist]
    compared: dict[int, Comparison]
    baseline: Comparison | None = None

    def further_seeds(self, schedule: Sequence[int]) -> dict[int, int]:
        """Returns number of a finalist -> number of seeds it needs, if it needs more.

        A finalist that was decided on fewer seeds than the leader has first gets the
        leader's number of seeds, if the comparison with a new leader is undecided.

        Args:
            schedule: Numbers of seeds after which finalists are compared, in rising order.
        """
        current = len(self.leader.repeats)
        following = next((look for look in schedule if look > current), current)
        needed: dict[int, int] = {}
        for finalist in self.order:
            comparison = self.compared.get(finalist.trial.number)
            if comparison is None or not comparison.needs_seeds:
                continue
            if len(finalist.repeats) < current:
                needed[finalist.trial.number] = current
            elif following > current:
                needed[finalist.trial.number] = following
                needed[self.leader.trial.number] = following
        return needed


def ranked(trials: Sequence[Trial], objective: str) -> list[Trial]:
    """Returns the trials from the best to the worst.

    Completed trials rank before pruned ones, and these before diverged ones. Then the
    better score, the smaller number of weights and the smaller trial number decide.

    Args:
        trials: Trials of one search, in any order.
        objective: Recorded metric, such as `val_accuracy`.
    """
    sign = _sign(objective)

    def rank(trial: Trial) -> tuple[float, ...]:
        status = _STATUS_RANK[trial.status]
        return status, -sign * trial.score, trial.weights, trial.number

    return sorted(trials, key=rank)


def choose_winner(
    finalists: Sequence[Finalist],
    objective: str,
    *,
    margin: float | None = None,
    num_looks: int = 1,
) -> Verdict:
    """Chooses the smallest network among the leader and its equivalents.

    The leader is the finalist with the best mean, among those with the most seeds. Each
    other finalist is compared with it over the seeds they share
    (`comparison.compare_finalists`). There are three outcomes: the leader is better, both
    are equivalent, or the seeds leave it undecided. A smaller network wins only if it is
    equivalent to the leader; otherwise the leader wins. A finalist with a diverged repeat
    ranks after all others, independent of its mean.

    Sources: T. Dietterich, "Approximate statistical tests for comparing supervised
    classification learning algorithms", Neural Computation 10, 1998,
    https://doi.org/10.1162/089976698300017197, for the paired t test and its limits; X.
    Bouthillier et al., "Accounting for variance in machine learning benchmarks", MLSys
    2021, https://arxiv.org/abs/2103.03098, for pairing, and for the seed as a source of
    variance. As there, the seed is only one source of variance: the interval is valid for
    other seeds on these rows, not for other rows. There is no correction for the number of
    finalists, so with many of them "better" and "equivalent" are a little too frequent.

    Args:
        finalists: Finalists, at least one; those with repeats share at least one seed.
        objective: Recorded metric, such as `val_accuracy`.
        margin: Equivalence margin in units of the objective; None for
            `comparison.default_margin`.
        num_looks: Largest number of comparisons as seeds are added.

    Raises:
        ValueError: If there is no finalist, or two have repeats and share no seed.
    """
    if not finalists:
        raise ValueError("no finalist to choose from")
    sign = _sign(objective)

    def rank(finalist: Finalist) -> tuple[float, ...]:
        trial = finalist.trial
        # Without repeats, the score of a pruned trial is that of a shorter training.
        status = 0 if finalist.repeats else _STATUS_RANK[trial.status]
        return finalist.diverged, status, -sign * finalist.mean, trial.weights, trial.number

    # The leader: the best mean over the largest number of seeds.
    stable = [finalist for finalist in finalists if not finalist.diverged] or list(finalists)
    most = max(len(finalist.repeats) for finalist in stable)
    leader = min((one for one in stable if len(one.repeats) == most), key=rank)
    others = sorted((one for one in finalists if one is not leader), key=rank)
    if leader.diverged:
        return Verdict(leader, leader, [leader, *others], {})

    # Compare every other finalist with the leader.
    margin = default_margin(objective, leader.mean) if margin is None else margin

    def compare(first: Finalist, second: Finalist) -> Comparison:
        return compare_finalists(first, second, sign=sign, margin=margin, num_looks=num_looks)

    compared = {one.trial.number: compare(leader, one) for one in others if not one.diverged}

    # Among the leader and its equivalents, the smallest network wins; `min` keeps the first
    # of equal size, so the leader wins against a network of its size.
    equivalent = [
        one
        for one in others
        if one.trial.number in compared and compared[one.trial.number].outcome == "equivalent"
    ]
    best = min([leader, *equivalent], key=lambda one: one.trial.weights)
    order = [best, *(one for one in (leader, *others) if one is not best)]

    # If the winner is not the leader, it has not yet been compared with the baseline.
    baseline = next(
        (one for one in others if one.trial.number == 0 and not one.diverged), None
    )
    if baseline is None or baseline is best or best is leader:
        return Verdict(best, leader, order, compared)
    return Verdict(best, leader, order, compared, compare(best, baseline))


def format_scores(*scores: float) -> list[str]:
    """Returns scores as text, all with the number of digits that the largest one needs."""
    largest = max(abs(score) for score in scores)
    form = ".4f" if largest == 0 or 1e-3 <= largest < 1e6 else ".2e"
    texts = [f"{score:{form}}" for score in scores]
    return [text if float(text) else f"{0.0:{form}}" for text in texts]  # no -0.0000


def _sign(objective: str) -> int:
    return 1 if objective_direction(objective) == "max" else -1
