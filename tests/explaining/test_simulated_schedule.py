import numpy as np
import pytest

from kfc.explaining.simulated_schedule import rates_at, rates_of_steps
from kfc.spec import OptimizerSpec
from kfc.training.optimizers import build_optimizer
from kfc.training.schedules import build_schedule

PER_EPOCH, EPOCHS = 7, 10
SCHEDULES = [
    {"name": "constant", "initial_learning_rate": 0.1, "warmup_epochs": 2},
    {"name": "cosine", "initial_learning_rate": 0.1, "alpha": 0.1},
    {"name": "cosine", "initial_learning_rate": 0.1, "warmup_epochs": 1.5, "decay_epochs": 3},
    {"name": "exponential", "initial_learning_rate": 0.1, "decay_rate": 0.5},
    {"name": "exponential", "initial_learning_rate": 0.1, "staircase": True},
    {"name": "step", "boundaries": [2, 4.5], "values": [0.1, 0.2, 0.01], "warmup_epochs": 1},
    {"name": "coslog", "initial_learning_rate": 0.1, "cycles": 3},
    {"name": "flat_cosine", "initial_learning_rate": 0.1, "warmup_epochs": 1},
]


def spec(schedule, **options):
    values = {"name": "adamw", "learning_rate": schedule, **options}
    return OptimizerSpec.model_validate(values)


@pytest.mark.parametrize("options", SCHEDULES, ids=lambda options: options["name"])
def test_rates_are_those_of_the_training(options):
    schedule = spec(options).schedule()
    steps = np.arange(PER_EPOCH * EPOCHS)
    built = build_schedule(schedule, steps_per_epoch=PER_EPOCH, epochs=EPOCHS)
    expected = [float(built(step)) for step in steps]
    found = rates_at(schedule, steps, PER_EPOCH, EPOCHS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_a_rate_without_a_schedule_is_constant():
    found = rates_of_steps(spec(0.1), 5, per_epoch=PER_EPOCH, epochs=EPOCHS)
    np.testing.assert_array_equal(found.rates, [0.1] * 5)
    np.testing.assert_array_equal(found.decays, [0.004] * 5)


def test_a_long_rise_is_made_faster():
    warm = {"name": "constant", "initial_learning_rate": 0.1, "warmup_epochs": 5}
    found = rates_of_steps(spec(warm), 10, per_epoch=100, epochs=10)
    assert 0.9 * 500 <= found.rise + 1 <= 500
    assert found.rates[0] == pytest.approx(0.1 / 500)
    assert found.rates[5:].min() >= 0.09
    short = {**warm, "warmup_epochs": 0.03}
    found = rates_of_steps(spec(short), 10, per_epoch=100, epochs=10)
    np.testing.assert_allclose(found.rates[:4], [0.1 / 3, 0.2 / 3, 0.1, 0.1])


@pytest.mark.parametrize("name", ["flat_cosine", "coslog"])
def test_decays_are_those_of_the_training(name):
    decay = {"name": name, "initial_weight_decay": 0.02}
    checked = spec(0.1, weight_decay=decay)
    found = rates_of_steps(checked, 20, per_epoch=2, epochs=10).decays
    built = build_optimizer(checked, steps_per_epoch=2, epochs=10).weight_decay
    np.testing.assert_allclose(
        found, [float(built(step)) for step in range(20)], rtol=1e-4, atol=1e-7
    )
