import numpy as np
import pytest
from scipy import stats

from kfc.tuning.comparison import Finalist
from kfc.tuning.ranking import choose_winner, format_scores, ranked
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


def test_of_equivalents_the_smaller_network_wins():
    verdict = choose_winner(
        [
            finalist(12, [0.971, 0.969, 0.972, 0.970, 0.969], weights=52650),
            finalist(7, [0.969, 0.968, 0.971, 0.968, 0.969], weights=12810),
        ],
        "val_accuracy",
    )
    assert verdict.best.trial.number == 7
    assert numbers(verdict.order) == [7, 12]
    assert verdict.compared[12 if verdict.leader.trial.number == 7 else 7].outcome == (
        "equivalent"
    )


def test_what_is_undecided_is_no_tie_and_the_better_mean_wins():
    verdict = choose_winner(
        [
            finalist(12, [0.97, 0.96, 0.98, 0.97, 0.96], weights=52650),
            finalist(7, [0.965, 0.967, 0.972, 0.966, 0.964], weights=12810),
        ],
        "val_accuracy",
    )
    assert verdict.best.trial.number == 12
    assert verdict.compared[7].outcome == "undecided"


def test_two_seeds_that_say_little_do_not_let_a_far_worse_network_win():
    verdict = choose_winner(
        [finalist(4, [0.95, 0.94], weights=999), finalist(2, [0.80, 0.60], weights=1)],
        "val_accuracy",
    )
    assert verdict.compared[2].low < 0 < verdict.compared[2].high
    assert verdict.best.trial.number == 4


def test_a_difference_that_cannot_be_zero_decides_whatever_the_size():
    verdict = choose_winner(
        [
            finalist(12, [0.95, 0.96, 0.95, 0.96, 0.95], weights=10),
            finalist(7, [0.961, 0.968, 0.963, 0.965, 0.963], weights=99999),
        ],
        "val_accuracy",
    )
    assert verdict.best.trial.number == 7
    assert verdict.compared[12].outcome == "better"


def test_a_difference_beyond_zero_and_within_the_margin_counts_for_nothing():
    finalists = [
        finalist(1, [0.903, 0.913, 0.893], weights=20),
        finalist(2, [0.901, 0.911, 0.891], weights=10),
    ]
    assert choose_winner(finalists, "val_accuracy").best.trial.number == 2
    assert choose_winner(finalists, "val_accuracy", margin=0.001).best.trial.number == 1
    assert choose_winner(finalists, "val_accuracy", margin=0.0).best.trial.number == 1


def test_of_a_loss_the_lower_one_is_better():
    verdict = choose_winner(
        [finalist(1, [0.5, 0.6], objective="val_loss"), finalist(2, [0.4, 0.5])], "val_loss"
    )
    assert verdict.best.trial.number == 2
    assert verdict.compared[1].difference == pytest.approx(0.1)


def test_the_margin_of_a_loss_is_a_share_of_the_leaders_mean():
    scores = [100.0, 101.0, 99.0]
    close = [one + more for one, more in zip(scores, (0.5, 0.6, 0.5), strict=True)]
    finalists = [finalist(1, scores, weights=20), finalist(2, close, weights=10)]
    assert choose_winner(finalists, "val_loss").best.trial.number == 2
    assert choose_winner(finalists, "val_loss", margin=0.5).best.trial.number == 1


@pytest.mark.parametrize(("weights", "winner"), [((10, 20), 1), ((20, 10), 2), ((9, 9), 1)])
def test_identical_scores_are_equivalent_without_warning_or_nan(weights, winner):
    finalists = [finalist(i + 1, [0.9, 0.8, 0.7], weights=weights[i]) for i in (1, 0)]
    for margin in (None, 0.0):
        verdict = choose_winner(finalists, "val_accuracy", margin=margin)
        assert verdict.best.trial.number == winner
        (comparison,) = verdict.compared.values()
        assert (comparison.outcome, comparison.probability) == ("equivalent", 0.5)


def test_the_same_scores_in_another_order_of_seeds_are_no_better():
    verdict = choose_winner(
        [finalist(2, [0.1, 0.2, 0.7]), finalist(1, [0.7, 0.1, 0.2])], "val_loss"
    )
    assert verdict.best.trial.number == 1
    assert verdict.compared[2].difference == 0


def test_the_pairing_finds_a_difference_that_two_intervals_hide():
    seeds = np.array([0.90, 0.92, 0.94, 0.96, 0.98])
    first, second = (
        finalist(1, seeds),
        finalist(2, seeds - [0.008, 0.010, 0.012, 0.010, 0.008]),
    )
    assert second.high > first.low
    assert choose_winner([first, second], "val_accuracy").compared[2].outcome == "better"


def test_one_seed_and_none_decide_by_the_score():
    one = choose_winner([finalist(1, [0.9], weights=1), finalist(2, [0.91])], "val_accuracy")
    assert one.best.trial.number == 2
    assert one.compared[1].outcome == "undecided"
    none = choose_winner(
        [finalist(1, [], score=0.9), finalist(2, [], score=0.9)], "val_accuracy"
    )
    assert none.best.trial.number == 1
    assert none.compared[2].outcome == "equivalent"


def test_without_repeats_a_pruned_trial_does_not_beat_a_completed_one():
    pruned = Finalist(trial(1, 0.99, status="pruned"), ())
    verdict = choose_winner([pruned, finalist(0, [], score=0.5)], "val_accuracy")
    assert verdict.best.trial.number == 0


@pytest.mark.parametrize("objective", ["val_loss", "val_accuracy", "val_r2"])
def test_a_finalist_of_which_a_repeat_diverged_comes_last_whatever_its_scores(objective):
    good, bad = (1.0, 0.1) if objective != "val_loss" else (0.1, 1.0)
    verdict = choose_winner(
        [
            finalist(1, [good, good, None], objective=objective, weights=1),
            finalist(2, [bad, bad, bad], objective=objective),
        ],
        objective,
    )
    assert numbers(verdict.order) == [2, 1]
    assert verdict.compared == {}


def test_a_single_finalist_wins():
    verdict = choose_winner([finalist(3, [0.9, 0.8])], "val_accuracy")
    assert verdict.best.trial.number == 3
    assert verdict.further_seeds([2, 3]) == {}


def test_finalists_without_a_common_seed_and_no_finalists_are_refused():
    other = Finalist(trial(2), (trial(2, seed=99),))
    with pytest.raises(ValueError, match="different seeds"):
        choose_winner([finalist(1, [0.9]), other], "val_accuracy")
    with pytest.raises(ValueError, match="no finalist"):
        choose_winner([], "val_accuracy")


def test_a_winner_that_is_not_the_leader_is_compared_with_the_specs_own_values():
    verdict = choose_winner(
        [
            finalist(5, [0.970, 0.960, 0.965], weights=300),
            finalist(3, [0.968, 0.959, 0.963], weights=100),
            finalist(0, [0.969, 0.960, 0.964], weights=200),
        ],
        "val_accuracy",
    )
    assert (verdict.best.trial.number, verdict.leader.trial.number) == (3, 5)
    assert verdict.baseline.difference == pytest.approx(-0.001)


# Further seeds


def test_only_undecided_finalists_and_the_leader_get_further_seeds():
    verdict = choose_winner(
        [
            finalist(1, [0.95, 0.94, 0.96]),
            finalist(2, [0.94, 0.95, 0.95]),
            finalist(3, [0.50, 0.48, 0.51]),
            finalist(4, [0.99, None, 0.99]),
        ],
        "val_accuracy",
    )
    assert verdict.further_seeds([3, 4, 5]) == {1: 4, 2: 4}
    assert verdict.further_seeds([3]) == {}


def test_a_finalist_of_fewer_seeds_catches_up_where_a_new_leader_makes_it_undecided():
    verdict = choose_winner(
        [
            finalist(1, [0.90, 0.80, 0.70, 0.60]),
            finalist(2, [0.91, 0.90, 0.91, 0.90]),
            finalist(3, [0.92, 0.89, 0.90]),
        ],
        "val_accuracy",
    )
    assert verdict.leader.trial.number == 2
    assert verdict.further_seeds([3, 4, 5])[3] == 4


def test_the_leader_is_among_those_with_the_most_seeds():
    few = finalist(2, [0.99, 0.99, 0.99])
    many = finalist(1, [0.95, 0.96, 0.97, 0.95, 0.96])
    verdict = choose_winner([few, many], "val_accuracy")
    assert verdict.leader is many
    assert verdict.compared[2].outcome == "worse"
    assert verdict.further_seeds([3, 5]) == {2: 5}


def test_equal_differences_on_very_few_seeds_are_looked_at_again():
    two = [finalist(1, [0.9, 0.8]), finalist(2, [0.9, 0.8])]
    assert choose_winner(two, "val_accuracy").further_seeds([2, 3]) == {1: 3, 2: 3}
    five = [finalist(1, [0.9] * 5), finalist(2, [0.9] * 5)]
    assert choose_winner(five, "val_accuracy").further_seeds([5, 6]) == {}


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
    assert format_scores(*values) == texts
