import keras
import numpy as np
import pytest

from kfc import spec as specs
from kfc.errors import PluginError, SpecError
from kfc.spec.signatures import signatures
from kfc.training.optimizers import TapeSGD, build_optimizer, build_schedule

LINEAR = {"sgd", "tape_sgd"}
OPTIONS = {
    "momentum": {"name": "sgd", "momentum": 0.9, "nesterov": True},
    "amsgrad": {"name": "adam", "amsgrad": True},
    "centered": {"name": "rmsprop", "centered": True, "momentum": 0.5},
    **{
        f"{name}, {option}": {"name": name, "learning_rate": 0.1, option: value}
        for name in ("sgd", "tape_sgd")
        for option, value in {
            "clipnorm": 0.01,
            "clipvalue": 0.001,
            "global_clipnorm": 0.01,
            "weight_decay": 0.1,
            "gradient_accumulation_steps": 2,
            "loss_scale_factor": 64.0,
            "use_ema": True,
        }.items()
    },
    "tape_sgd, schedule": {
        "name": "tape_sgd",
        "learning_rate": {"name": "cosine", "initial_learning_rate": 0.1, "warmup_epochs": 1},
    },
}
CASES = {**{name: {"name": name} for name in signatures("optimizer")}, **OPTIONS}


def optimizer_of(options):
    return specs.load({"training": {"optimizer": options}}).training.optimizer


def train_both(problem, options, epochs=3):
    """Keras's own `fit`, and kfc's loop, from equal weights over equal batches."""
    case = problem({"training.optimizer": options, "training.epochs": epochs})
    stock = case.stock()
    expected = stock.fit(case.train.x, case.train.y, **case.fit_options).history
    loop = case.loop()
    start = loop.engine.model.get_weights()
    actual = loop.run(progress())
    moved = not np.array_equal(loop.engine.model.get_weights()[0], start[0])
    return stock, loop.engine.model, expected, actual.history, moved


def progress():
    from kfc.training.checkpoint import Progress

    return Progress()


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_the_engine_trains_as_keras_does(problem, options):
    stock, model, expected, actual, moved = train_both(problem, options)
    assert moved
    for got, want in zip(model.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(actual["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(actual["accuracy"], expected["accuracy"])


@pytest.mark.parametrize(
    "options",
    [
        *({}, {"clipnorm": 0.01}, {"clipvalue": 0.001}, {"weight_decay": 0.1}),
        *({"use_ema": True}, {"use_ema": True, "ema_overwrite_frequency": 2}),
        *({"gradient_accumulation_steps": 2}, {"loss_scale_factor": 64.0}),
        {"learning_rate": {"name": "exponential", "initial_learning_rate": 0.2}},
    ],
    ids=str,
)
def test_tape_sgd_gives_the_bits_of_sgd(problem, same_weights, options):
    _, sgd, _, expected, _ = train_both(problem, {"name": "sgd", **options})
    _, tape, _, actual, _ = train_both(problem, {"name": "tape_sgd", **options})
    same_weights(tape, sgd)
    assert actual == expected


def test_tape_sgd_subtracts_rate_times_gradient():
    weight = keras.Variable([1.0, 2.0])
    TapeSGD(0.5).apply([keras.ops.convert_to_tensor([1.0, -2.0])], [weight])
    np.testing.assert_array_equal(weight, [0.5, 3.0])


def test_averaged_weights_are_the_ones_training_ends_with(problem):
    rate = {"learning_rate": 0.1}
    _, plain, *_ = train_both(problem, {"name": "sgd", **rate})
    _, averaged, *_ = train_both(
        problem, {"name": "sgd", "use_ema": True, "ema_momentum": 0.5, **rate}
    )
    assert not np.array_equal(plain.get_weights()[0], averaged.get_weights()[0])


def test_a_scaled_loss_moves_the_weights_as_the_plain_one(problem):
    # 64 is a power of two, so that scaling up and down again rounds nothing.
    _, plain, *_ = train_both(problem, {"name": "sgd"})
    _, scaled, *_ = train_both(problem, {"name": "sgd", "loss_scale_factor": 64.0})
    for got, want in zip(scaled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)


def test_options_that_keras_refuses_are_a_fault_of_the_spec():
    options = optimizer_of({"name": "sgd", "clipnorm": 1.0, "clipvalue": 1.0})
    with pytest.raises(SpecError, match=r"training\.optimizer: expected options that 'sgd'"):
        build_optimizer(options, steps_per_epoch=1, epochs=1)


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
        lambda s: min(1, (s + 1) / 7) * (0.3 if s < 21 else 0.1),
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


@pytest.mark.parametrize(("options", "formula"), SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_survives_the_config_of_its_optimizer(options, formula):
    optimizer = TapeSGD(schedule_of(options))
    custom = {"WarmUp": "WarmUp", "_Constant": "_Constant"}
    import kfc.training.optimizers as ours

    with keras.utils.custom_object_scope({name: getattr(ours, name) for name in custom}):
        config = keras.optimizers.serialize(optimizer)
        again = keras.optimizers.deserialize(config, custom_objects={"TapeSGD": TapeSGD})
    for step in range(0, STEPS * EPOCHS, 4):
        optimizer.iterations.assign(step)
        again.iterations.assign(step)
        assert float(again.learning_rate) == float(optimizer.learning_rate)


def test_a_schedule_is_followed_while_training(problem):
    # With a gradient of the same sign and size, the movement of a bias is the rate.
    rate = {"name": "step", "boundaries": [1, 2], "values": [0.25, 0.5, 1.0]}
    case = problem({"training.optimizer": {"name": "tape_sgd", "learning_rate": rate}})
    loop = case.loop()
    rates = []
    for step in range(9):
        loop.engine.begin_epoch(np.arange(70, dtype=np.int32))
        loop.engine.run(step % 3, step % 3 + 1)
        rates.append(float(loop.engine.model.optimizer.learning_rate))
    # The rate shown after a step is the one of the step to come.
    assert rates == [0.25, 0.25, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0]
