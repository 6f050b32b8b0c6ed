import keras
import numpy as np
import pytest

from kfc.compat import without_graph_rewriting
from kfc.errors import PluginError
from kfc.spec import load_spec
from kfc.spec.keras_signatures import signatures
from kfc.training.checkpoints.training_state import Progress
from kfc.training.optimizers import TapeSGD, build_optimizer, build_schedule

# A kernel and a bias are all an update rule needs to see; depth is tests/training/test_step.
SHORT = {"network.hidden": [], "training.epochs": 2}
OPTIONS = {
    "clipnorm": {"clipnorm": 0.01},
    "clipvalue": {"clipvalue": 0.001},
    "global_clipnorm": {"global_clipnorm": 0.01},
    "weight_decay": {"weight_decay": 0.1},
    "gradient_accumulation_steps": {"gradient_accumulation_steps": 2},
    "loss_scale_factor": {"loss_scale_factor": 64.0},
    "use_ema": {"use_ema": True, "ema_momentum": 0.5},
    "use_ema, overwriting": {"use_ema": True, "ema_overwrite_frequency": 2},
    "schedule": {
        "learning_rate": {"name": "cosine", "initial_learning_rate": 0.1, "warmup_epochs": 1}
    },
}


def optimizer_of(options):
    return load_spec({"training": {"optimizer": options}}).training.optimizer


def fit_stock(problem, options):
    """Keras's own `fit`, its graph run as kfc's: rewritten, some options round otherwise."""
    case = problem({**SHORT, "training.optimizer": options})
    stock = case.stock()
    with without_graph_rewriting():
        return stock, stock.fit(case.train.x, case.train.y, **case.fit_options).history


def train(problem, options):
    """kfc's loop, from the same weights over the same batches."""
    case = problem({**SHORT, "training.optimizer": options})
    loop = case.loop()
    history = loop.run(Progress()).history
    assert not np.array_equal(
        loop.engine.model.get_weights()[0], case.network().get_weights()[0]
    )
    return loop.engine.model, history


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("adam", "sgd") else pytest.mark.slow)
        for name in signatures("optimizer")
    ],
)
def test_the_engine_trains_as_keras_does(problem, name):
    stock, expected = fit_stock(problem, {"name": name})
    model, actual = train(problem, {"name": name})
    for got, want in zip(model.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(actual["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(actual["accuracy"], expected["accuracy"])


@pytest.fixture(scope="module")
def plain_weights(problem):
    return train(problem, {"name": "tape_sgd", "learning_rate": 0.1})[0].get_weights()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if number < 3 else pytest.mark.slow)
        for number, name in enumerate(OPTIONS)
    ],
)
def test_tape_sgd_gives_the_bits_of_keras_sgd(problem, same_weights, plain_weights, name):
    options = {"learning_rate": 0.1, **OPTIONS[name]}
    stock, expected = fit_stock(problem, {"name": "sgd", **options})
    model, actual = train(problem, {"name": "tape_sgd", **options})
    same_weights(model, stock)
    assert actual["loss"] == expected["loss"]
    # The option does something; but a loss scaled by a power of two is scaled back exactly.
    as_without = np.array_equal(model.get_weights()[0], plain_weights[0])
    assert as_without == (name == "loss_scale_factor")


def test_tape_sgd_subtracts_rate_times_gradient():
    weight = keras.Variable([1.0, 2.0])
    TapeSGD(0.5).apply([keras.ops.convert_to_tensor([1.0, -2.0])], [weight])
    np.testing.assert_array_equal(weight, [0.5, 3.0])


def test_a_plug_in_that_builds_no_optimizer_is_named(monkeypatch):
    monkeypatch.setattr("kfc.training.optimizers.TapeSGD", lambda **options: "rubbish")
    with pytest.raises(PluginError, match="'tape_sgd': expected a keras"):
        build_optimizer(optimizer_of("tape_sgd"), steps_per_epoch=1, epochs=1)


# --- schedules ----------------------------------------------------------------------------

STEPS, EPOCHS = 7, 5


def cosine(step, lasting, alpha=0.0, rate=0.1):
    wave = 0.5 * (1 + np.cos(np.pi * min(step, lasting) / lasting))
    return rate * ((1 - alpha) * wave + alpha)


SCHEDULES = {
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
    optimizer = optimizer_of({"name": "sgd", "learning_rate": {**options, **rate}})
    return build_schedule(optimizer.schedule(), steps_per_epoch=STEPS, epochs=EPOCHS)


@pytest.mark.parametrize(("options", "formula"), SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_follows_its_formula_at_every_step(options, formula):
    schedule = schedule_of(options)
    actual = [float(schedule(step)) for step in range(STEPS * EPOCHS + 3)]
    expected = [formula(step) for step in range(STEPS * EPOCHS + 3)]
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-8)


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


def test_tape_sgd_casts_gradients_as_sgd_does():
    variables = [keras.Variable(np.ones(3), dtype="float64") for _ in range(2)]
    gradient = keras.ops.ones(3, "float32")
    for kind, variable in zip((keras.optimizers.SGD, TapeSGD), variables, strict=True):
        kind(0.1).apply_gradients([(gradient, variable)])
    np.testing.assert_array_equal(*(variable.numpy() for variable in variables))
