import numpy as np
import pytest

from kfc import reference
from kfc.explaining.trial_steps import TrialSteps, chance_loss, try_steps
from kfc.spec import load_spec


def spec(rate):
    return load_spec({"training": {"optimizer": {"name": "sgd", "learning_rate": rate}}})


@pytest.mark.parametrize(
    ("rate", "outcome"), [(0.1, "learns"), (1e-9, "stalls"), (5.0, "diverges")]
)
def test_the_first_steps_say_how_a_training_begins(linear, rate, outcome):
    network, x, _ = linear
    y = x @ np.array([[1.0], [-2.0], [0.5], [0.0]])
    before = [w.copy() for w in network.weights]
    steps = try_steps(network, spec(rate), x, y, steps=60)
    assert steps.outcome == outcome
    assert len(steps.losses) == steps.steps <= 60
    for old, new in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_numbers_that_float32_cannot_hold_end_the_steps(linear):
    network, x, y = linear
    steps = try_steps(network, spec(1e30), x, y, steps=60)
    assert steps.outcome == "diverges"
    assert steps.last_loss == float("inf")
    assert steps.steps < 10


@pytest.mark.parametrize(
    ("first", "last", "outcome"),
    [
        (2.3, 0.5, "learns"),
        (2.3, 2.3, "stalls"),
        (2.3, 2.5, "diverges"),
        (900.0, 2.3, "stalls"),  # it has fallen to a constant answer
        (900.0, 400.0, "learns"),
        (2.3, float("inf"), "diverges"),
    ],
)
def test_an_outcome_is_judged_by_the_start_and_by_a_constant_answer(first, last, outcome):
    assert TrialSteps(9, np.zeros(9), first, last, 2.3).outcome == outcome


def test_the_loss_of_a_constant_answer():
    y = np.array([0, 0, 0, 1])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert chance_loss(reference.cross_entropy, y, 2) == pytest.approx(entropy)
    assert chance_loss(reference.binary_cross_entropy, y, 1) == pytest.approx(entropy)
    assert chance_loss(reference.mse, y, 2) == pytest.approx(0.75 * 0.25)
    numbers = np.array([[1.0], [2.0], [6.0]])
    assert chance_loss(reference.mse, numbers, 1) == pytest.approx(numbers.var())
