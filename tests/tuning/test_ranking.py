import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats

from kfc.tuning.ranking import Finalist, decide, figures, ranked
from kfc.tuning.trial import Trial, worst_score

SEEDS = (11, 12, 13, 14, 15)


def trial(number, score=0.9, *, weights=100, status="completed", seed=0):
    return Trial(number, {}, {}, seed, status, score, 2, 0.1, weights, "")


def finalist(number, scores, *, weights=100, score=0.99, objective="val_accuracy"):
    """A finalist with a repeat for each score; None diverged."""
    repeats = [
        trial(number, worst_score(objective), weights=weights, seed=seed, status="diverged")
        if value is None
        else trial(number, value, weights=weights, seed=seed)
        for seed, value in zip(SEEDS, scores, strict=False)
    ]
    return Finalist(trial(number, score, weights=weights), tuple(repeats))


def numbers(found):
    return [getattr(one, "trial", one).number for one in found]


def test_completed_trials_come_before_pruned_ones_and_diverged_ones_last():
    trials = [
        trial(1, 1e30, status="diverged", weights=0),
        trial(2, 0.1, status="pruned"),
        trial(3, 0.5),
    ]
    assert numbers(ranked(trials, "val_loss")) == [3, 2, 1]


@pytest.mark.parametrize(
    ("objective", "order"),
    [("val_accuracy", [2, 3, 1]), ("accuracy", [2, 3, 1]), ("val_r2", [2, 3, 1])]
    + [(name, [1, 3, 2]) for name in ("val_loss", "loss", "val_mae")],
)
def test_the_better_score_in_the_objectives_direction_comes_first(objective, order):
    trials = [trial(1, 0.1), trial(2, 0.9), trial(3, 0.5)]
    assert numbers(ranked(trials, objective)) == order


def test_of_equal_scores_fewer_weights_come_first_and_then_the_smaller_number():
    trials = [trial(4, weights=9), trial(3, weights=9), trial(2, weights=8), trial(1)]
    assert numbers(ranked(trials, "val_accuracy")) == [2, 3, 4, 1]


def test_nothing_ranks_as_nothing():
    assert ranked([], "val_loss") == []


def test_the_interval_of_a_finalist_is_scipys_t_interval_of_its_repeats_alone():
    scores = [0.91, 0.93, 0.92, 0.95, 0.90]
    one = finalist(7, scores, score=0.99)
    expected = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    assert one.mean == pytest.approx(np.mean(scores))
    assert (one.low, one.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("scores", [[], [0.91]], ids=["none", "one"])
def test_fewer_than_two_repeats_have_no_interval(scores):
    one = finalist(7, scores, score=0.95)
    assert one.mean == (scores or [0.95])[0]
    assert one.low is None
    assert one.high is None


def test_equal_repeats_have_an_interval_of_no_width():
    one = finalist(7, [0.5] * 5)
    assert (one.low, one.mean, one.high) == (0.5, 0.5, 0.5)


def test_a_diverged_repeat_is_counted_in_the_mean_and_leaves_no_interval():
    one = finalist(7, [0.9, None, 0.9, 0.9, 0.9])
    assert one.diverged == 1
    assert one.mean == pytest.approx(0.72)
    assert one.low is None


def test_a_difference_that_may_be_zero_is_a_tie_and_the_smaller_network_wins():
    verdict = decide(
        [
            finalist(12, [0.97, 0.96, 0.98, 0.97, 0.96], weights=52650),
            finalist(7, [0.965, 0.967, 0.972, 0.966, 0.964], weights=12810),
        ],
        "val_accuracy",
    )
    assert verdict.best.trial.number == 7
    assert numbers(verdict.order) == [7, 12]
    assert verdict.sentences == [
        "Trials 7 and 12 are a tie (difference 0.0012, 95 % interval -0.0067 to 0.0091, "
        "over 5 seeds): 7 is smaller (12,810 weights against 52,650), so it wins."
    ]


def test_a_difference_that_cannot_be_zero_decides_whatever_the_size():
    verdict = decide(
        [
            finalist(12, [0.95, 0.96, 0.95, 0.96, 0.95], weights=10),
            finalist(7, [0.961, 0.968, 0.963, 0.965, 0.963], weights=99999),
        ],
        "val_accuracy",
    )
    assert verdict.best.trial.number == 7
    assert verdict.sentences == [
        "Trial 7 is better than 12 by 0.0100 (95 % interval 0.0057 to 0.0143, over 5 seeds)."
    ]


def test_of_a_loss_the_lower_one_is_better_by_a_positive_difference():
    verdict = decide(
        [finalist(1, [0.5, 0.6], objective="val_loss"), finalist(2, [0.4, 0.5])], "val_loss"
    )
    assert verdict.best.trial.number == 2
    assert verdict.sentences == [
        "Trial 2 is better than 1 by 0.1000 (95 % interval 0.1000 to 0.1000, over 2 seeds)."
    ]


SCORES = st.lists(
    st.tuples(*[st.integers(0, 1000).map(lambda value: value / 1000)] * 2),
    min_size=3,
    max_size=5,
).filter(lambda pairs: len({round(a - b, 9) for a, b in pairs}) > 1)


@settings(deadline=None)
@given(SCORES)
@example([(0.001, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)])
def test_a_tie_is_one_where_scipys_paired_interval_includes_zero(pairs):
    first, second = zip(*pairs, strict=True)
    if math.fsum(first) < math.fsum(second):
        first, second = second, first
    paired = stats.ttest_rel(first, second)
    interval = paired.confidence_interval(0.95)
    assume(min(abs(interval.low), abs(interval.high)) > 1e-12)  # or rounding decides
    (sentence,) = decide(
        [finalist(1, first, weights=10), finalist(2, second, weights=10)], "val_accuracy"
    ).sentences
    assert ("tie" in sentence) == (interval.low <= 0 <= interval.high)
    difference = np.mean(np.subtract(first, second))
    _, low, high = figures(difference, interval.low, interval.high)
    assert f"95 % interval {low} to {high}, over {len(pairs)} seeds" in sentence


def test_the_pairing_finds_a_difference_that_two_intervals_hide():
    seeds = np.array([0.90, 0.92, 0.94, 0.96, 0.98])
    first, second = (
        finalist(1, seeds),
        finalist(2, seeds - [0.004, 0.005, 0.006, 0.005, 0.004]),
    )
    assert second.high > first.low
    assert decide([first, second], "val_accuracy").sentences[0].startswith("Trial 1 is better")


@pytest.mark.parametrize(("weights", "winner"), [((10, 20), 1), ((20, 10), 2), ((9, 9), 1)])
def test_identical_scores_are_a_tie_without_warning_or_nan(weights, winner):
    verdict = decide(
        [finalist(i + 1, [0.9, 0.8, 0.7], weights=weights[i]) for i in (1, 0)],
        "val_accuracy",
    )
    assert verdict.best.trial.number == winner
    text = "Trials 1 and 2 are a tie (difference 0.0000, 95 % interval 0.0000 to 0.0000, "
    assert verdict.sentences[0].startswith(text)
    if weights == (9, 9):
        assert verdict.sentences[0].endswith("of equal size: 1 came first, so it wins.")


def test_the_same_scores_in_another_order_of_seeds_are_no_better():
    verdict = decide([finalist(2, [0.1, 0.2, 0.7]), finalist(1, [0.7, 0.1, 0.2])], "val_loss")
    assert verdict.best.trial.number == 1
    assert "difference 0.0000" in verdict.sentences[0]
    assert verdict.sentences[0].endswith("1 came first, so it wins.")


def test_of_a_tie_of_equal_size_the_better_mean_wins():
    verdict = decide([finalist(1, [0.5, 0.7]), finalist(2, [0.6, 0.65])], "val_accuracy")
    assert verdict.best.trial.number == 2
    assert verdict.sentences[0].endswith("of equal size: 2 has the better mean, so it wins.")


def test_the_smallest_of_several_ties_wins_and_each_sentence_says_against_what():
    verdict = decide(
        [
            finalist(1, [0.90, 0.94, 0.92], weights=3000),
            finalist(2, [0.92, 0.91, 0.92], weights=2000),
            finalist(3, [0.93, 0.90, 0.915], weights=1000),
            finalist(4, [0.50, 0.53, 0.52], weights=10),
        ],
        "val_accuracy",
    )
    assert numbers(verdict.order) == [3, 1, 2, 4]
    second, third, fourth = verdict.sentences
    assert second.startswith("Trials 1 and 2 are a tie (")
    assert second.endswith(
        ": 3, which ties with 1 too, is smaller (1,000 weights against 2,000), so it wins."
    )
    assert third.endswith(": 3 is smaller (1,000 weights against 3,000), so it wins.")
    assert fourth.startswith("Trial 1 is better than 4 by 0.4033")


def test_one_seed_and_none_decide_by_the_score_and_say_that_there_is_no_interval():
    one = decide([finalist(1, [0.9], weights=1), finalist(2, [0.91])], "val_accuracy")
    assert one.best.trial.number == 2
    assert one.sentences == [
        "Trial 2 is better than 1 by 0.0100 (on one seed, so without an interval)."
    ]
    none = decide([finalist(1, [], score=0.9), finalist(2, [], score=0.9)], "val_accuracy")
    assert none.best.trial.number == 1
    assert none.sentences == [
        "Trials 1 and 2 are a tie (difference 0.0000, in the search alone, so without an "
        "interval) of equal size: 1 came first, so it wins."
    ]


@pytest.mark.parametrize("objective", ["val_loss", "val_accuracy", "val_r2"])
def test_a_finalist_of_which_a_repeat_diverged_comes_last_whatever_its_scores(objective):
    good, bad = (1.0, 0.1) if objective != "val_loss" else (0.1, 1.0)
    verdict = decide(
        [
            finalist(1, [good, good, None], objective=objective, weights=1),
            finalist(2, [bad, bad, bad], objective=objective),
        ],
        objective,
    )
    assert numbers(verdict.order) == [2, 1]
    assert verdict.sentences == ["Trial 1 comes last: 1 of its 3 repeats diverged."]


def test_where_every_finalist_diverged_the_verdict_says_so():
    verdict = decide([finalist(1, [None, None]), finalist(2, [0.5, None])], "val_accuracy")
    assert numbers(verdict.order) == [2, 1]
    assert verdict.sentences == [
        "Every finalist diverged on a fresh seed, so no winner is to be relied on: trial 2 "
        "did least often, 1 of 2 times."
    ]


def test_a_single_finalist_wins():
    verdict = decide([finalist(3, [0.9, 0.8])], "val_accuracy")
    assert verdict.best.trial.number == 3
    assert verdict.sentences == ["Trial 3 is the only finalist."]


def test_finalists_of_other_seeds_and_no_finalists_are_refused():
    with pytest.raises(ValueError, match="different seeds"):
        decide([finalist(1, [0.9, 0.8]), finalist(2, [0.9])], "val_accuracy")
    with pytest.raises(ValueError, match="no finalist"):
        decide([], "val_accuracy")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.1, -0.00001), ["0.1000", "0.0000"]),
        ((0.00012, 0.0), ["1.20e-04", "0.00e+00"]),
        ((1e30, 1.0), ["1.00e+30", "1.00e+00"]),
        ((12345.6,), ["12345.6000"]),
        ((0.0,), ["0.0000"]),
    ],
)
def test_scores_are_shown_with_the_digits_the_largest_needs(values, texts):
    assert figures(*values) == texts
