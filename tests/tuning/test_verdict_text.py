from kfc.tuning.comparison import Finalist
from kfc.tuning.ranking import choose_winner
from kfc.tuning.trial import Trial, worst_score
from kfc.tuning.verdict_text import sentences


def trial(number, score, *, weights=100, seed=0, status="completed"):
    return Trial(number, {}, {}, seed, status, score, 2, 0.1, weights, "")


def finalist(number, scores, *, weights=100, score=0.99):
    repeats = [
        trial(
            number, worst_score("val_accuracy"), weights=weights, seed=seed, status="diverged"
        )
        if value is None
        else trial(number, value, weights=weights, seed=seed)
        for seed, value in enumerate(scores)
    ]
    return Finalist(trial(number, score, weights=weights), tuple(repeats))


def said(*finalists, **options):
    return sentences(choose_winner(finalists, "val_accuracy", **options))


def test_the_smallest_of_equivalents_is_said_to_be_that():
    base = [0.95, 0.96, 0.97, 0.98, 0.965]
    found = said(
        finalist(3, [score + 0.002 for score in base], weights=52650),
        finalist(7, [score + 0.001 for score in base], weights=20000),
        finalist(10, base, weights=12810),
    )
    assert found == [
        "Winner: trial 10 (0.9650 +- 0.0139 over 5 seeds), the smallest of three that are "
        "equivalent over 5 seeds within a margin of 0.0050.",
        "Trials 3 and 7 are equivalent: 3 has the better mean by 0.0010 (95 % interval 0.0010 "
        "to 0.0010, over 5 seeds), within the margin of 0.0050; 7 is smaller (20,000 weights "
        "against 52,650).",
        "Trials 3 and 10 are equivalent: 3 has the better mean by 0.0020 (95 % interval "
        "0.0020 to 0.0020, over 5 seeds), within the margin of 0.0050; 10 is smaller (12,810 "
        "weights against 52,650).",
    ]


def test_of_an_undecided_pair_the_sentence_says_how_sure_the_better_mean_is():
    found = said(
        finalist(12, [0.97, 0.96, 0.98, 0.97, 0.96], weights=52650),
        finalist(0, [0.965, 0.967, 0.972, 0.966, 0.964]),
        num_looks=6,
    )
    assert found == [
        "Winner: trial 12 (0.9680 +- 0.0104 over 5 seeds), which has the best mean; 5 seeds "
        "leave open whether it is better than trial 0.",
        "Trials 0 (the spec's own values) and 12 are undecided: 12 has the better mean by "
        "0.0012 (98.6 % interval -0.0107 to 0.0131, over 5 seeds); it is better with a "
        "probability of 65 %.",
    ]


def test_a_clear_winner_is_said_to_be_better_than_the_specs_own_values():
    found = said(finalist(4, [0.9, 0.92, 0.91]), finalist(0, [0.5, 0.53, 0.52]))
    assert found == [
        "Winner: trial 4 (0.9100 +- 0.0248 over 3 seeds), better than the other.",
        "Trial 4 is better than 0 (the spec's own values) by 0.3933 (95 % interval 0.3790 to "
        "0.4077, over 3 seeds).",
    ]


def test_where_the_spec_wins_it_is_named():
    headline, *_ = said(finalist(4, [0.5, 0.53, 0.52]), finalist(0, [0.9, 0.92, 0.91]))
    assert headline.startswith("Winner: trial 0, the spec's own values (0.9100 +- 0.0248")


def test_a_winner_below_the_spec_it_began_with_says_so():
    *_, last = said(
        finalist(5, [0.970, 0.960, 0.965], weights=300),
        finalist(3, [0.968, 0.959, 0.963], weights=100),
        finalist(0, [0.969, 0.960, 0.964], weights=200),
    )
    assert last.startswith(
        "Trials 0 (the spec's own values) and 3 are equivalent: 0 (the spec's own values) has "
        "the better mean by 0.0010"
    )
    assert last.endswith("3 is smaller (100 weights against 200).")


def test_one_seed_and_none_have_no_interval():
    assert said(finalist(1, [0.9], weights=1), finalist(2, [0.91])) == [
        "Winner: trial 2 (over 1 seed), which has the best score.",
        "Trial 2 scores better than 1 by 0.0100 (on one seed, so without a confidence "
        "interval).",
    ]
    assert said(finalist(1, [], score=0.9), finalist(2, [], score=0.9)) == [
        "Winner: trial 1 (0.9000 in the search alone), one of two with the best score.",
        "Trials 1 and 2 have equal scores (in the search alone, so without a confidence "
        "interval); they are of equal size.",
    ]


def test_a_pruned_trial_is_not_compared_by_its_score():
    pruned = Finalist(trial(1, 0.99, status="pruned"), ())
    _, sentence = said(pruned, finalist(0, [], score=0.5))
    assert sentence.startswith(
        "Trial 1 ended early, after 2 epochs, so its score is not compared"
    )


def test_diverged_repeats_are_told():
    assert said(finalist(1, [0.9, None]), finalist(2, [0.5, 0.6]))[0].endswith(
        "the only finalist without a diverged repeat."
    )
    assert said(finalist(1, [0.9, None]), finalist(2, [0.5, 0.6]))[-1] == (
        "Trial 1 ranks last: 1 of its 2 repeats diverged."
    )
    assert said(finalist(1, [None, None]), finalist(2, [0.5, None])) == [
        "Winner: trial 2 (over 2 seeds), which diverged least often.",
        "Every finalist diverged on a fresh seed, so the winner is not reliable: trial 2 "
        "diverged least often, 1 of 2 times.",
    ]


def test_a_finalist_in_place_of_the_winner_is_the_one_in_the_headline():
    verdict = choose_winner([finalist(1, [0.9, 0.8]), finalist(2, [0.5, 0.6])], "val_accuracy")
    headline, *_ = sentences(verdict, verdict.order[1])
    assert headline.startswith("Winner: trial 2 (0.5500 +- 0.6353 over 2 seeds), in place of")


def test_a_single_finalist_is_the_only_one():
    assert said(finalist(3, [0.9, 0.8])) == [
        "Winner: trial 3 (0.8500 +- 0.6353 over 2 seeds), the only finalist."
    ]
