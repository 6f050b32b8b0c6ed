import keras
import numpy as np
import pytest

from kfc.spec import load_spec
from kfc.training.optimizers import TapeSGD
from kfc.training.schedules import Coslog, FlatCosine, build_schedule

STEPS, EPOCHS = 7, 5


def cosine(step, lasting, alpha=0.0, rate=0.1):
    wave = 0.5 * (1 + np.cos(np.pi * min(step, lasting) / lasting))
    return rate * ((1 - alpha) * wave + alpha)


def coslog(step, lasting, cycles=4):
    t = min(1, step / lasting)
    return 0.1 * 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + (2**cycles - 1) * t)))


def flat_cosine(step, lasting):
    t = min(1, step / lasting)
    return 0.1 if t <= 0.5 else 0.1 * 0.5 * (1 + np.cos(np.pi * (2 * t - 1)))


SCHEDULES = {
    "coslog": ({"name": "coslog"}, lambda s: coslog(s, 35)),
    "coslog, 2 waves": ({"name": "coslog", "cycles": 2}, lambda s: coslog(s, 35, 2)),
    "coslog, warm-up": (
        {"name": "coslog", "warmup_epochs": 1},
        lambda s: min(1, (s + 1) / 7) * coslog(max(0, s - 7), 28),
    ),
    "flat cosine": ({"name": "flat_cosine"}, lambda s: flat_cosine(s, 35)),
    "constant": ({"name": "constant"}, lambda s: 0.1),
    "constant, warm-up": (
        {"name": "constant", "warmup_epochs": 2},
        lambda s: 0.1 * min(1, (s + 1) / 14),
    ),
    "cosine to the end": ({"name": "cosine"}, lambda s: cosine(s, 35)),
    "cosine, 2 epochs": (
        {"name": "cosine", "decay_epochs": 2, "alpha": 0.1},
        lambda s: cosine(s, 14, 0.1),
    ),
    "cosine, warm-up": (
        {"name": "cosine", "warmup_epochs": 1},
        lambda s: min(1, (s + 1) / 7) * cosine(max(0, s - 7), 28),
    ),
    "exponential": (
        {"name": "exponential", "decay_rate": 0.5, "decay_epochs": 2},
        lambda s: 0.1 * 0.5 ** (s / 14),
    ),
    "exponential, stairs": (
        {"name": "exponential", "decay_rate": 0.5, "staircase": True},
        lambda s: 0.1 * 0.5 ** (s // 7),
    ),
    "exponential, warm-up of half an epoch": (
        {"name": "exponential", "decay_rate": 0.5, "warmup_epochs": 0.5},
        lambda s: min(1, (s + 1) / 4) * 0.1 * 0.5 ** (max(0, s - 4) / 7),
    ),
    "step": (
        {"name": "step", "boundaries": [1, 3], "values": [0.3, 0.2, 0.1]},
        lambda s: 0.3 if s < 7 else 0.2 if s < 21 else 0.1,
    ),
    "step, warm-up": (
        {"name": "step", "boundaries": [2], "values": [0.3, 0.1], "warmup_epochs": 1},
        lambda s: min(1, (s + 1) / 7) * (0.3 if s < 14 else 0.1),
    ),
    "step within the warm-up": (
        {"name": "step", "boundaries": [1, 3], "values": [0.3, 0.2, 0.1], "warmup_epochs": 2},
        lambda s: min(1, (s + 1) / 14) * (0.3 if s < 7 else 0.2 if s < 21 else 0.1),
    ),
}


def schedule_of(options):
    rate = {} if options["name"] == "step" else {"initial_learning_rate": 0.1}
    options = {"name": "sgd", "learning_rate": {**options, **rate}}
    optimizer = load_spec({"training": {"optimizer": options}}).training.optimizer
    return build_schedule(optimizer.schedule(), steps_per_epoch=STEPS, epochs=EPOCHS)


@pytest.mark.parametrize(("options", "formula"), SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_follows_its_formula_at_every_step(options, formula):
    schedule = schedule_of(options)
    actual = [float(schedule(step)) for step in range(STEPS * EPOCHS + 3)]
    expected = [formula(step) for step in range(STEPS * EPOCHS + 3)]
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "options", [options for options, _ in SCHEDULES.values()], ids=SCHEDULES
)
def test_a_schedule_survives_the_config_of_its_optimizer(options):
    optimizer = TapeSGD(schedule_of(options))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    for step in range(0, STEPS * EPOCHS, 4):
        optimizer.iterations.assign(step)
        again.iterations.assign(step)
        assert float(again.learning_rate) == float(optimizer.learning_rate)


def test_a_schedule_is_followed_while_training(problem):
    rate = {"name": "step", "boundaries": [1, 2], "values": [0.25, 0.5, 1.0]}
    case = problem({"training.optimizer": {"name": "tape_sgd", "learning_rate": rate}})
    loop = case.loop()
    rates = []
    for step in range(9):
        loop.engine.set_row_orders(np.arange(70, dtype=np.int32)[None])
        loop.engine.run(step % 3, step % 3 + 1)
        rates.append(float(loop.engine.model.optimizer.learning_rate))
    # The rate shown after a step is the one of the step to come.
    assert rates == [0.25, 0.25, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0]


def test_four_waves_begin_and_end_where_the_paper_says():
    schedule, steps = Coslog(1.0, 15_000), 15_000
    for begin in (0, 1 / 15, 3 / 15, 7 / 15, 1):
        assert float(schedule(round(begin * steps))) == pytest.approx(0, abs=1e-6)
    for wave in range(4):
        middle = (2 ** (wave + 0.5) - 1) / 15
        assert float(schedule(round(middle * steps))) == pytest.approx(1, abs=1e-6)


def test_a_flat_cosine_ends_at_nothing():
    schedule = FlatCosine(0.15, 100)
    values = [float(schedule(step)) for step in (0, 50, 75, 100, 101)]
    np.testing.assert_allclose(values, [0.15, 0.15, 0.075, 0, 0], atol=1e-8)
