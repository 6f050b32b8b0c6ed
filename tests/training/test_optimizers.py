import keras
import numpy as np
import pytest

from kfc.compat import without_graph_rewriting
from kfc.errors import PluginError
from kfc.spec import load_spec
from kfc.spec.keras_signatures import signatures
from kfc.training.checkpoints.training_state import Progress
from kfc.training.optimizers import TapeSGD, build_optimizer

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


def test_tape_sgd_casts_gradients_as_sgd_does():
    variables = [keras.Variable(np.ones(3), dtype="float64") for _ in range(2)]
    gradient = keras.ops.ones(3, "float32")
    for kind, variable in zip((keras.optimizers.SGD, TapeSGD), variables, strict=True):
        kind(0.1).apply_gradients([(gradient, variable)])
    np.testing.assert_array_equal(*(variable.numpy() for variable in variables))
