import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats

from kfc.tuning.comparison import Finalist, compare_finalists, default_margin, look_schedule
from kfc.tuning.trial import Trial


def finalist(scores):
    repeats = [
        Trial(1, {}, {}, seed, "completed", score, 2, 0.1, 100, "")
        for seed, score in enumerate(scores)
    ]
    return Finalist(repeats[0], tuple(repeats))


def compared(first, second, *, sign=1, margin=0.0, num_looks=1):
    both = finalist(first), finalist(second)
    return compare_finalists(*both, sign=sign, margin=margin, num_looks=num_looks)


SCORES = st.lists(
    st.tuples(*[st.integers(0, 1000).map(lambda value: value / 1000)] * 2),
    min_size=3,
    max_size=5,
).filter(lambda pairs: len({round(a - b, 9) for a, b in pairs}) > 1)


@settings(deadline=None)
@given(SCORES, st.sampled_from([0.0, 0.005, 0.1]))
@example([(0.001, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)], 0.0)
def test_the_outcome_follows_from_scipys_paired_interval(pairs, margin):
    first, second = zip(*pairs, strict=True)
    paired = stats.ttest_rel(first, second)
    low, high = paired.confidence_interval(0.95)
    ends = (abs(end - bound) for end in (low, high) for bound in (-margin, 0, margin))
    assume(min(ends) > 1e-12)  # or rounding decides
    found = compared(first, second, margin=margin)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    within = -margin <= low and high <= margin
    beyond = "better" if low > 0 else "worse" if high < 0 else "undecided"
    assert found.outcome == ("equivalent" if within else beyond)
    greater = stats.ttest_rel(first, second, alternative="greater")
    assert found.probability == pytest.approx(1 - greater.pvalue, abs=1e-9)


def test_of_a_loss_the_lower_one_is_ahead():
    found = compared([0.1, 0.2, 0.15], [0.9, 0.7, 0.8], sign=-1)
    assert found.difference == pytest.approx(0.65)
    assert found.outcome == "better"
    assert found.probability > 0.98


def test_only_the_shared_seeds_count():
    whole = compared([0.9, 0.8, 0.7, 0.1], [0.8, 0.75, 0.65])
    assert whole == compared([0.9, 0.8, 0.7], [0.8, 0.75, 0.65])


def test_equal_differences_have_an_interval_of_no_width():
    found = compared([0.5, 0.75], [0.25, 0.5])
    assert (found.low, found.high, found.probability) == (0.25, 0.25, 1.0)
    assert found.needs_seeds  # two seeds may be equal by chance
    assert not compared([0.75] * 5, [0.5] * 5).needs_seeds


@pytest.mark.parametrize("objective", ["val_accuracy", "accuracy", "val_r2"])
def test_the_margin_of_a_metric_up_to_1_is_absolute(objective):
    assert default_margin(objective, 0.3) == default_margin(objective, -20.0) == 0.005


@pytest.mark.parametrize("objective", ["val_loss", "val_mae"])
def test_the_margin_of_a_metric_down_to_0_is_relative(objective):
    assert default_margin(objective, 200.0) == 2.0
    assert default_margin(objective, 0.0) == 0.0


def test_at_most_six_looks_lead_from_the_fewest_seeds_to_the_most():
    assert look_schedule(5, 15) == [5, 7, 9, 11, 13, 15]
    assert look_schedule(2, 6) == [2, 3, 4, 5, 6]
    assert look_schedule(5, 5) == [5]
    assert look_schedule(0, 0) == [0]
    for repeats in (2, 3, 7):
        for most in range(repeats, 60):
            seeds = look_schedule(repeats, most)
            assert (seeds[0], seeds[-1]) == (repeats, most)
            assert seeds == sorted(set(seeds))
            assert len(seeds) <= 6


@pytest.mark.parametrize(("repeats", "most"), [(5, 15), (2, 6), (5, 5)])
def test_looking_again_and_again_does_not_make_errors_more_likely(repeats, most):
    # Pairs that are equal in truth: one of 20 may be called better or worse, not more.
    seeds = look_schedule(repeats, most)
    differences = np.random.default_rng(0).normal(size=(4000, most))
    wrong = np.zeros(len(differences), bool)
    naive = np.zeros(len(differences), bool)
    level = compared([0.1, 0.2], [0.2, 0.1], num_looks=len(seeds)).level
    for count in seeds:
        p = stats.ttest_1samp(differences[:, :count], 0, axis=1).pvalue
        wrong |= p < level
        naive |= p < 0.05
    assert wrong.mean() <= 0.055
    if len(seeds) > 1:
        assert naive.mean() > 0.08  # without the correction
