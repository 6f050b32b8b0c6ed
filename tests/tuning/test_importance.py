import numpy as np
import pytest

from kfc.tuning.importance import importance
from kfc.tuning.trial import Trial, worst_score


def search(score, *, trials=30, seed=0, objective="val_accuracy"):
    """Trials at random points; `score` of a point, or None where it diverges."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(1, trials + 1):
        point = {
            "learning_rate": float(10 ** generator.uniform(-3, 0)),
            "stddev": float(10 ** generator.uniform(-2, 1)),
            "width": int(generator.integers(8, 256)),
            "activation": str(generator.choice(["relu", "tanh", "elu"])),
        }
        value = score(point, generator)
        status = "completed" if value is not None else "diverged"
        value = worst_score(objective) if value is None else float(value)
        found.append(Trial(number, {}, point, 0, status, value, 2, 0.1, 10, ""))
    return found


def by_learning_rate(point, generator):
    return 0.9 - 0.1 * abs(np.log10(point["learning_rate"]) + 1) + generator.normal(0, 0.01)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 5))]
)
def test_a_hyperparameter_that_decides_alone_has_most_of_the_shares(seed):
    shares = importance(search(by_learning_rate, seed=seed), "val_accuracy")
    assert next(iter(shares)) == "learning_rate"
    assert shares["learning_rate"] > 0.7


@pytest.mark.parametrize("seed", range(3))
def test_of_two_hyperparameters_the_stronger_comes_first_and_the_rest_is_little(seed):
    def score(point, generator):
        return 3 * np.log10(point["stddev"]) + 1.5 * np.log10(point["learning_rate"])

    shares = importance(search(score, seed=seed, trials=60), "val_loss")
    assert list(shares)[:2] == ["stddev", "learning_rate"]
    assert shares["width"] + shares["activation"] < 0.1


def test_shares_are_of_every_hyperparameter_and_one_in_sum():
    shares = importance(search(by_learning_rate), "val_accuracy")
    assert set(shares) == {"learning_rate", "stddev", "width", "activation"}
    assert sum(shares.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in shares.values())
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_what_makes_trials_diverge_is_important_although_their_scores_are_equal():
    def score(point, generator):
        return None if point["stddev"] > 1 else generator.normal(0.9, 0.01)

    assert next(iter(importance(search(score), "val_accuracy"))) == "stddev"


def test_a_name_may_decide_and_so_may_a_list_or_a_boolean():
    def score(point, generator):
        return {"relu": 0.9, "tanh": 0.5, "elu": 0.7}[point["activation"]]

    assert importance(search(score), "val_accuracy")["activation"] > 0.9
    for convert in (lambda name: [1, name], lambda name: name == "relu"):
        trials = search(score)
        for trial in trials:
            trial.point["activation"] = convert(trial.point["activation"])
        assert importance(trials, "val_accuracy")["activation"] > 0.9


def test_whether_a_conditional_hyperparameter_is_active_may_decide():
    trials = search(lambda point, generator: 0.9 if point["width"] > 100 else 0.1)
    for trial in trials:
        if trial.point.pop("width") > 100:
            trial.point["momentum"] = -0.5
    assert importance(trials, "val_accuracy")["momentum"] > 0.9


def test_neither_the_order_of_the_trials_nor_chance_changes_the_shares():
    trials = search(by_learning_rate)
    np.random.seed(1)
    first = importance(trials, "val_accuracy")
    np.random.seed(2)
    assert importance(trials[::-1], "val_accuracy") == first


def test_the_scale_of_the_scores_does_not_matter():
    trials = search(by_learning_rate)
    scaled = search(lambda point, generator: 1e6 * by_learning_rate(point, generator))
    assert importance(scaled, "val_r2") == importance(trials, "val_accuracy")


@pytest.mark.parametrize("trials", [0, 1, 7])
def test_few_trials_say_nothing(trials):
    assert importance(search(by_learning_rate, trials=trials), "val_accuracy") == {}


@pytest.mark.parametrize("trials", [8, 9, 12])
def test_from_eight_trials_on_there_may_be_an_answer(trials):
    shares = importance(
        search(lambda point, _: point["learning_rate"], trials=trials), "val_accuracy"
    )
    assert next(iter(shares)) == "learning_rate"


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_blamed_on_no_hyperparameter(seed):
    trials = search(lambda point, generator: generator.uniform(), seed=seed)
    assert importance(trials, "val_accuracy") == {}


def test_equal_scores_and_a_space_of_nothing_say_nothing():
    assert importance(search(lambda point, _: 0.5), "val_accuracy") == {}
    empty = [Trial(i, {}, {}, 0, "completed", i / 9, 2, 0.1, 10, "") for i in range(1, 10)]
    assert importance(empty, "val_accuracy") == {}
