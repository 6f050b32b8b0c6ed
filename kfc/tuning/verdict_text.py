"""Writes the sentences that explain the winner of a search."""

from __future__ import annotations

from collections.abc import Sequence

from kfc.tuning.comparison import Comparison, Finalist
from kfc.tuning.ranking import Verdict, format_scores
from kfc.tuning.trial import Trial

_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}


def sentences(verdict: Verdict, winner: Finalist | None = None) -> list[str]:
    """Returns the headline, and a sentence for each comparison.

    Args:
        verdict: Comparisons of the finalists.
        winner: Finalist that won in place of `verdict.best`, whose final run could not be
            measured; None if `verdict.best` won.
    """
    leader = verdict.leader
    winner = winner or verdict.best
    texts = [f"Winner: {_with_score(winner)}, {_reason(verdict, winner)}."]
    if leader.diverged:
        return [
            *texts,
            "Every finalist diverged on a fresh seed, so the winner is not reliable: trial "
            f"{leader.trial.number} diverged least often, {leader.diverged} of "
            f"{len(leader.repeats)} times.",
        ]
    by_number = {one.trial.number: one for one in verdict.order}
    texts += [
        _pair(leader, by_number[number], comparison)
        for number, comparison in verdict.compared.items()
    ]
    if verdict.baseline and winner is verdict.best:
        texts.append(_pair(winner, by_number[0], verdict.baseline))
    return texts + [_ranks_last(one) for one in verdict.order if one.diverged]


def _with_score(winner: Finalist) -> str:
    """Returns for example `trial 10 (0.9650 +- 0.0180 over 5 seeds)`."""
    name = f"trial {winner.trial.number}"
    if winner.trial.number == 0:
        name += ", the spec's own values"
    if not winner.repeats:
        return f"{name} ({format_scores(winner.mean)[0]} in the search alone)"
    count = len(winner.repeats)
    seeds = f"over {count} {'seed' if count == 1 else 'seeds'}"
    if winner.low is None or winner.high is None:
        return f"{name} ({seeds})"
    mean, spread = format_scores(winner.mean, (winner.high - winner.low) / 2)
    return f"{name} ({mean} +- {spread} {seeds})"


def _reason(verdict: Verdict, winner: Finalist) -> str:
    if winner is not verdict.best:
        return "in place of the finalists whose final runs could not be measured"
    if len(verdict.order) == 1:
        return "the only finalist"
    if verdict.leader.diverged:
        return "which diverged least often"
    compared = verdict.compared
    if not compared:
        return "the only finalist without a diverged repeat"
    equivalent = [number for number, c in compared.items() if c.outcome == "equivalent"]
    if equivalent:
        return _reason_among_equivalents(verdict, winner, equivalent)
    undecided = [number for number, c in compared.items() if c.outcome != "better"]
    if not undecided:
        return f"better than {'the other' if len(compared) == 1 else 'each of the others'}"
    if any(compared[number].low is None for number in undecided):
        return "which has the best score"
    seeds = min(compared[number].seeds for number in undecided)
    return (
        f"which has the best mean; {seeds} seeds leave open whether it is better than "
        f"{_numbers(undecided)}"
    )


def _reason_among_equivalents(
    verdict: Verdict, winner: Finalist, equivalent: Sequence[int]
) -> str:
    among = [one for one in verdict.order if one.trial.number in equivalent]
    among.append(verdict.leader)
    count = len({one.trial.number for one in among})
    comparisons = [verdict.compared[number] for number in equivalent]
    smallest = [one for one in among if one.trial.weights == winner.trial.weights]
    which = "the smallest of" if len({o.trial.number for o in smallest}) == 1 else "one of"
    if which == "one of" and len(smallest) < count:
        which = "one of the smallest of"
    if any(each.low is None for each in comparisons):
        return f"{which} {_WORDS.get(count, count)} with the best score"
    seeds = min(each.seeds for each in comparisons)
    margin = format_scores(max(each.margin for each in comparisons))[0]
    return (
        f"{which} {_WORDS.get(count, count)} that are equivalent over {seeds} seeds within "
        f"a margin of {margin}"
    )


def _pair(first: Finalist, second: Finalist, comparison: Comparison) -> str:
    """Returns the sentence about the leader, or the winner, and another finalist."""
    one, other = _named(first.trial), _named(second.trial)
    difference, *_ = format_scores(
        abs(comparison.difference), comparison.low or 0.0, comparison.high or 0.0
    )
    if comparison.outcome == "better":
        return f"Trial {one} is better than {other} by {difference} ({_evidence(comparison)})."
    if comparison.low is None:
        return _without_interval(first, second, difference, _evidence(comparison))
    ahead = one if comparison.difference >= 0 else other
    mean = f"{ahead} has the better mean by {difference}"
    if comparison.difference == 0:
        mean = "their means are equal"
    mean += f" ({_evidence(comparison)})"
    pair = " and ".join(_named(trial) for trial in _by_number(first.trial, second.trial))
    if comparison.outcome == "equivalent":
        margin = format_scores(comparison.margin)[0]
        return (
            f"Trials {pair} are equivalent: {mean}, within the margin of {margin}"
            f"{_sizes(first.trial, second.trial)}."
        )
    probability = comparison.probability or 0.0
    # At most 99 %: the seeds are few, and the t distribution is only a model.
    probability = min(probability if comparison.difference >= 0 else 1 - probability, 0.99)
    likely = (
        ""
        if comparison.difference == 0
        else f"; it is better with a probability of {100 * probability:.0f} %"
    )
    return f"Trials {pair} are undecided: {mean}{likely}."


def _evidence(comparison: Comparison) -> str:
    if comparison.low is None or comparison.high is None:
        source = "on one seed" if comparison.seeds else "in the search alone"
        return f"{source}, so without a confidence interval"
    _, low, high = format_scores(comparison.difference, comparison.low, comparison.high)
    share = f"{100 * (1 - comparison.level):.3g}"
    return f"{share} % interval {low} to {high}, over {comparison.seeds} seeds"


def _without_interval(first: Finalist, second: Finalist, difference: str, why: str) -> str:
    one, other = first.trial, second.trial
    if first.mean == second.mean:
        pair = " and ".join(_named(trial) for trial in _by_number(one, other))
        return f"Trials {pair} have equal scores ({why}){_sizes(one, other)}."
    if other.status == "pruned" and one.status == "completed":
        return (
            f"Trial {_named(other)} ended early, after {other.epochs} epochs, so its score "
            f"is not compared with that of {_named(one)} ({why})."
        )
    return f"Trial {_named(one)} scores better than {_named(other)} by {difference} ({why})."


def _sizes(first: Trial, second: Trial) -> str:
    if first.weights == second.weights:
        return "; they are of equal size"
    small, large = sorted((first, second), key=lambda trial: trial.weights)
    return f"; {small.number} is smaller ({small.weights:,} weights against {large.weights:,})"


def _ranks_last(finalist: Finalist) -> str:
    return (
        f"Trial {_named(finalist.trial)} ranks last: {finalist.diverged} of its "
        f"{len(finalist.repeats)} repeats diverged."
    )


def _by_number(*trials: Trial) -> list[Trial]:
    return sorted(trials, key=lambda trial: trial.number)


def _named(trial: Trial) -> str:
    return str(trial.number) if trial.number else "0 (the spec's own values)"


def _numbers(numbers: Sequence[int]) -> str:
    *first, last = map(str, sorted(numbers))
    return f"trials {', '.join(first)} and {last}" if first else f"trial {last}"
