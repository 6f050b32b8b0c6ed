"""Two finalists and the seeds they share -> whether one is better, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from kfc.tuning.trial import Trial, direction

Judgement = Literal["better", "worse", "equivalent", "undecided"]

_LEVEL = 0.05
_POCOCK = (0.05, 0.0294, 0.0221, 0.0182, 0.0158, 0.0142)
"""Significance level of each look for an overall level of 5 %, by the number of looks."""

_ABSOLUTE_MARGIN = 0.005
_RELATIVE_MARGIN = 0.01
_FEWEST_WITHOUT_SPREAD = 5


@dataclass(frozen=True)
class Finalist:
    """One of the best few trials, trained again on fresh seeds.

    Its own score is not among the repeats: it was chosen for that score, which is
    therefore too good on average.

    Args:
        trial: Trial of the search.
        repeats: Trainings of the same values on other seeds. All finalists take the seeds
            in the same order, so that any two of them share the first ones.
    """

    trial: Trial
    repeats: tuple[Trial, ...]

    @property
    def diverged(self) -> int:
        """How many of the repeats diverged."""
        return sum(repeat.status == "diverged" for repeat in self.repeats)

    @property
    def scores(self) -> dict[int, float]:
        """Seed of each repeat -> its score."""
        return {repeat.seed: repeat.score for repeat in self.repeats}

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
        return _interval(np.array([repeat.score for repeat in self.repeats]), _LEVEL)


@dataclass(frozen=True)
class Comparison:
    """The difference between two finalists over the seeds they share.

    Args:
        difference: Mean of the first minus mean of the second, positive where the first
            one is better, also for a loss.
        low: Low end of the difference's interval; None for fewer than two seeds.
        high: High end of the difference's interval; None for fewer than two seeds.
        level: Significance level of the interval, for example 0.05 for one of 95 %.
        chance: Probability that the difference is above zero, by the paired t; None for
            fewer than two seeds.
        seeds: Number of shared seeds.
        margin: Largest difference that counts for nothing.
    """

    difference: float
    low: float | None
    high: float | None
    level: float
    chance: float | None
    seeds: int
    margin: float

    @property
    def judgement(self) -> Judgement:
        """Equivalent within the margin, else better or worse beyond zero, else undecided.

        Without an interval, only equal scores are equivalent.
        """
        if self.low is None or self.high is None:
            return "undecided" if self.difference else "equivalent"
        if -self.margin <= self.low and self.high <= self.margin:
            return "equivalent"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "undecided"

    @property
    def needs_seeds(self) -> bool:
        """Whether further seeds could say more.

        They could for undecided finalists, and for those whose differences are equal on
        very few seeds: accuracies of a few rows are often equal by chance.
        """
        if self.low is None or self.high is None:
            return False
        no_spread = math.isclose(self.low, self.high, rel_tol=1e-9, abs_tol=1e-15)
        few = no_spread and self.seeds < _FEWEST_WITHOUT_SPREAD
        return few or self.judgement in ("undecided", "worse")


def looks(repeats: int, most: int) -> list[int]:
    """Returns the numbers of seeds after which finalists are compared, at most six.

    Args:
        repeats: Seeds of every finalist.
        most: Seeds of undecided finalists at most; at least `repeats`.
    """
    step = max(1, math.ceil((most - repeats) / (len(_POCOCK) - 1)))
    return [*range(repeats, most, step), most]


def default_margin(objective: str, mean: float) -> float:
    """Returns the largest difference that counts for nothing, where the spec names none.

    Half a percentage point of metrics whose best value is 1 (accuracy, R2), and 1 % of the
    mean of metrics whose best value is 0 (losses, mean absolute error), since those have
    the unit of their targets.

    Source: A. Benavoli et al., "Time for a change: a tutorial for comparing multiple
    classifiers through Bayesian analysis", JMLR 18, 2017, who call accuracies within one
    percentage point practically equivalent. That is for accuracies over several data sets.
    Here one network is compared on one, so half of it is used.

    Args:
        objective: A recorded metric, such as `val_accuracy`.
        mean: Mean score of the best finalist.
    """
    if direction(objective) == "max":
        return _ABSOLUTE_MARGIN
    return _RELATIVE_MARGIN * abs(mean)


def compare(
    first: Finalist, second: Finalist, *, sign: int, margin: float, num_looks: int = 1
) -> Comparison:
    """Compares two finalists by Student's paired t over the seeds they share.

    With d the differences of the n scores, the interval is

        mean(d) +- t(1 - level / 2, n - 1) * std(d) / sqrt(n)

    An interval within +- `margin` makes them equivalent. This is the test of equivalence by
    two one-sided tests (D. Schuirmann, "A comparison of the two one-sided tests procedure
    and the power approach for assessing the equivalence of average bioavailability",
    1987), which takes a 90 % interval for a level of 5 %; the wider one here errs on the
    side of `undecided`.

    Seeds that are added until a comparison is decided make errors more likely at a given
    level. So each of several looks has the level for which all of them together have 5 %
    (S. Pocock, "Group sequential methods in the design and analysis of clinical trials",
    Biometrika 64, 1977): 1.42 % for six looks, hence intervals of 98.6 %. Pocock's table is
    for groups of equal size and a known variance. Here the first group is the largest,
    which makes errors fewer, and the quantiles are those of Student's t.

    The chance that the difference is above zero is t's cumulative distribution at
    mean(d) / (std(d) / sqrt(n)). It is the posterior probability for a flat prior (Benavoli
    et al., 2017) and does not know about the looks.

    Args:
        first: A finalist.
        second: Another one, which shares seeds with the first unless neither has repeats.
        sign: 1 where the larger score is better, else -1.
        margin: Largest difference that counts for nothing; at least 0.
        num_looks: How often the finalists may be compared, 1 to 6.

    Raises:
        ValueError: If they have repeats and share no seed.
    """
    ours, theirs = first.scores, second.scores
    shared = [seed for seed in ours if seed in theirs]
    level = _POCOCK[num_looks - 1]
    if not shared:
        if ours or theirs:
            raise ValueError("finalists that were repeated on different seeds")
        alone = sign * (first.trial.score - second.trial.score)
        return Comparison(alone, None, None, level, None, 0, margin)
    sums = (math.fsum(scores[seed] for seed in shared) for scores in (ours, theirs))
    better, worse = sums  # exact, so equal scores in another order are equal
    mean = sign * (better - worse) / len(shared)
    if len(shared) < 2:
        return Comparison(mean, None, None, level, None, len(shared), margin)
    differences = np.array([sign * (ours[seed] - theirs[seed]) for seed in shared])
    low, high = _interval(differences, level)
    return Comparison(mean, low, high, level, _chance(differences), len(shared), margin)


def _interval(values: np.ndarray, level: float) -> tuple[float, float]:
    """Returns the t interval of a mean; for equal values, the value twice.

    `scipy.stats.ttest_rel` gives the same interval, but warns about equal values and
    answers NaN.
    """
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    width = float(stats.t.ppf(1 - level / 2, values.size - 1)) * error
    return mean - width, mean + width


def _chance(differences: np.ndarray) -> float:
    """Returns the probability that the mean of the differences is above zero."""
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(differences.size)
    if error == 0:
        return 0.5 if mean == 0 else float(mean > 0)
    return float(stats.t.cdf(mean / error, differences.size - 1))
