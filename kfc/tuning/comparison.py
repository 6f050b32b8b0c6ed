"""Compares two finalists statistically, over the seeds that both were trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from kfc.tuning.trial import Trial, objective_direction

Outcome = Literal["better", "worse", "equivalent", "undecided"]

_LEVEL = 0.05
_POCOCK = (0.05, 0.0294, 0.0221, 0.0182, 0.0158, 0.0142)
"""Significance level of each look, by the number of looks, for an overall level of 5 %.

Source: S. Pocock, "Group sequential methods in the design and analysis of clinical trials",
Biometrika 64, 1977, https://doi.org/10.1093/biomet/64.2.191.
"""

_ABSOLUTE_MARGIN = 0.005
_RELATIVE_MARGIN = 0.01
_MIN_SEEDS_WITHOUT_SPREAD = 5


@dataclass(frozen=True)
class Finalist:
    """One of the best trials, trained again on fresh seeds.

    The trial's own score is not among the repeats: the trial was selected by that score,
    so on average the score is too good.

    Args:
        trial: Trial of the search.
        repeats: Trainings of the same values on other seeds. All finalists use the seeds
            in the same order, so any two of them share the first ones.
    """

    trial: Trial
    repeats: tuple[Trial, ...]

    @property
    def diverged(self) -> int:
        """Number of diverged repeats."""
        return sum(repeat.status == "diverged" for repeat in self.repeats)

    @property
    def scores(self) -> dict[int, float]:
        """Seed -> score of the repeat on that seed."""
        return {repeat.seed: repeat.score for repeat in self.repeats}

    @property
    def mean(self) -> float:
        """Mean score of the repeats; the trial's own score if there are none.

        A diverged repeat counts with the worst score.
        """
        scores = [repeat.score for repeat in self.repeats] or [self.trial.score]
        return math.fsum(scores) / len(scores)  # exact sum: independent of the order

    @property
    def low(self) -> float | None:
        """Lower bound of the mean's 95 % confidence interval, or None."""
        return self._interval()[0]

    @property
    def high(self) -> float | None:
        """Upper bound of the mean's 95 % confidence interval, or None."""
        return self._interval()[1]

    def _interval(self) -> tuple[float, float] | tuple[None, None]:
        # The worst score of a diverged repeat is a convention, not a measurement.
        if len(self.repeats) < 2 or self.diverged:
            return None, None
        return _interval(np.array([repeat.score for repeat in self.repeats]), _LEVEL)


@dataclass(frozen=True)
class Comparison:
    """Difference between two finalists over the seeds they share.

    Args:
        difference: Mean of the first minus mean of the second, with the sign changed for a
            loss: positive if the first finalist is better.
        low: Lower bound of the difference's confidence interval; None for fewer than two
            seeds.
        high: Upper bound of the difference's confidence interval; None for fewer than two
            seeds.
        level: Significance level of the interval, for example 0.05 for a 95 % interval.
        probability: Probability that the difference is above zero, by the paired t
            distribution; None for fewer than two seeds.
        seeds: Number of shared seeds.
        margin: Equivalence margin: the largest difference without practical importance.
    """

    difference: float
    low: float | None
    high: float | None
    level: float
    probability: float | None
    seeds: int
    margin: float

    @property
    def outcome(self) -> Outcome:
        """Outcome of the comparison, from the confidence interval of the difference.

        `equivalent` if the interval is within the margin, else `better` or `worse` if it
        excludes zero, else `undecided`. Without an interval, equal scores are equivalent
        and all others are undecided.
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
        """Whether further seeds could change the outcome.

        They could for undecided finalists, and for differences that are all equal on very
        few seeds: accuracies on a few rows are often equal by chance.
        """
        if self.low is None or self.high is None:
            return False
        no_spread = math.isclose(self.low, self.high, rel_tol=1e-9, abs_tol=1e-15)
        few = no_spread and self.seeds < _MIN_SEEDS_WITHOUT_SPREAD
        return few or self.outcome in ("undecided", "worse")


def look_schedule(repeats: int, most_repeats: int) -> list[int]:
    """Returns the numbers of seeds after which finalists are compared, at most six.

    Args:
        repeats: Number of seeds of every finalist.
        most_repeats: Largest number of seeds of undecided finalists; at least `repeats`.
    """
    step = max(1, math.ceil((most_repeats - repeats) / (len(_POCOCK) - 1)))
    return [*range(repeats, most_repeats, step), most_repeats]


def default_margin(objective: str, mean: float) -> float:
    """Returns the equivalence margin if the spec sets none.

    It is half a percentage point for metrics whose best value is 1 (accuracy, R2), and 1 %
    of the mean for metrics whose best value is 0 (losses, mean absolute error), because
    these have the unit of their targets.

    Source: A. Benavoli et al., "Time for a change: a tutorial for comparing multiple
    classifiers through Bayesian analysis", JMLR 18, 2017,
    https://jmlr.org/papers/v18/16-305.html, who call accuracies within one percentage point
    practically equivalent. They compare accuracies over several data sets. Here one network
    is compared on one data set, so half of it is used.

    Args:
        objective: Recorded metric, such as `val_accuracy`.
        mean: Mean score of the best finalist.
    """
    if objective_direction(objective) == "max":
        return _ABSOLUTE_MARGIN
    return _RELATIVE_MARGIN * abs(mean)


def compare_finalists(
    first: Finalist, second: Finalist, *, sign: int, margin: float, num_looks: int = 1
) -> Comparison:
    """Compares two finalists by Student's paired t over the seeds they share.

    With d the n differences of the scores on the same seed, the confidence interval is

        mean(d) +- t(1 - level / 2, n - 1) * std(d) / sqrt(n)

    Finalists are equivalent if the interval is within +- `margin`. This is the test of
    equivalence by two one-sided tests (D. Schuirmann, "A comparison of the two one-sided
    tests procedure and the power approach for assessing the equivalence of average
    bioavailability", 1987, https://doi.org/10.1007/BF01068419). That test takes a 90 %
    interval for a level of 5 %. The 95 % interval here is more cautious: it makes
    `undecided` more frequent.

    If seeds are added until a comparison is decided, errors become more frequent than the
    level says. So each of several looks at the data has a smaller level, such that all of
    them together have 5 % (S. Pocock, "Group sequential methods in the design and analysis
    of clinical trials", Biometrika 64, 1977, https://doi.org/10.1093/biomet/64.2.191):
    1.42 % for six looks, that is a 98.6 % interval. Pocock's table assumes groups of equal
    size and a known variance. Here the first group is the largest, which makes errors
    rarer, and the quantiles are Student's.

    The probability that the difference is above zero is the t distribution function at
    mean(d) / (std(d) / sqrt(n)). It is the posterior probability under a flat prior
    (Benavoli et al., 2017, as in `default_margin`). It is not corrected for the looks.

    Args:
        first: Finalist whose advantage is measured.
        second: Finalist to compare with; it shares seeds with the first unless neither has
            repeats.
        sign: 1 if the larger score is better, else -1.
        margin: Equivalence margin, at least 0.
        num_looks: Largest number of comparisons as seeds are added, 1 to 6.

    Raises:
        ValueError: If the finalists have repeats and share no seed.
    """
    first_scores, second_scores = first.scores, second.scores
    shared = [seed for seed in first_scores if seed in second_scores]
    level = _POCOCK[num_looks - 1]

    # Without repeats, the scores of the search are compared, without an interval.
    if not shared:
        if first_scores or second_scores:
            raise ValueError("finalists that were repeated on different seeds")
        difference = sign * (first.trial.score - second.trial.score)
        return Comparison(difference, None, None, level, None, 0, margin)

    # Exact sums, so that equal scores in another order have a difference of exactly 0.
    first_sum = math.fsum(first_scores[seed] for seed in shared)
    second_sum = math.fsum(second_scores[seed] for seed in shared)
    mean = sign * (first_sum - second_sum) / len(shared)
    if len(shared) < 2:
        return Comparison(mean, None, None, level, None, len(shared), margin)

    # Paired: the noise that both finalists share on a seed cancels in the difference.
    differences = np.array(
        [sign * (first_scores[seed] - second_scores[seed]) for seed in shared]
    )
    low, high = _interval(differences, level)
    probability = _probability_above_zero(differences)
    return Comparison(mean, low, high, level, probability, len(shared), margin)


def _interval(values: np.ndarray, level: float) -> tuple[float, float]:
    """Returns the t confidence interval of a mean; equal values give an interval of length 0.

    `scipy.stats.ttest_rel` computes the same interval, but warns about equal values and
    returns NaN for them.

    Source: Student (W. Gosset), "The probable error of a mean", Biometrika 6, 1908,
    https://doi.org/10.2307/2331554.
    """
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(values.size)  # standard error of the mean
    width = float(stats.t.ppf(1 - level / 2, values.size - 1)) * error
    return mean - width, mean + width


def _probability_above_zero(differences: np.ndarray) -> float:
    """Returns the probability that the mean of the differences is above zero."""
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(differences.size)
    if error == 0:
        return 0.5 if mean == 0 else float(mean > 0)
    return float(stats.t.cdf(mean / error, differences.size - 1))
