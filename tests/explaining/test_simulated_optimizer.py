import keras
import numpy as np
import pytest

from kfc.explaining.simulated_optimizer import (
    SimulatedOptimizer,
    largest_stable_rate,
    optimizer_unsupported,
)
from kfc.spec import OptimizerSpec
from kfc.training.optimizers import build_optimizer

CASES = [
    {"name": "sgd", "learning_rate": 0.1},
    {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    {"name": "sgd", "learning_rate": 0.1, "clipnorm": 0.5},
    {"name": "tape_sgd", "learning_rate": 0.2},
    {"name": "adam", "learning_rate": 0.01},
    {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
    {"name": "adam", "learning_rate": 0.01, "amsgrad": True},
    {"name": "rmsprop", "learning_rate": 0.01},
    {"name": "rmsprop", "learning_rate": 0.01, "momentum": 0.8, "centered": True},
    {"name": "adagrad", "learning_rate": 0.1},
    {"name": "adadelta", "learning_rate": 1.0},
    {"name": "adamax", "learning_rate": 0.01},
    {"name": "nadam", "learning_rate": 0.01},
    {"name": "lion", "learning_rate": 0.01, "weight_decay": 0.1},
    {"name": "ftrl", "learning_rate": 0.1, "beta": 0.1},
    {
        "name": "ftrl",
        "learning_rate": 0.1,
        "l1_regularization_strength": 0.2,
        "l2_shrinkage_regularization_strength": 0.1,
    },
]


def spec(options):
    return OptimizerSpec.model_validate(options)


@pytest.mark.parametrize("options", CASES, ids=str)
def test_steps_are_those_of_keras(options):
    generator = np.random.default_rng(0)
    start, gradients = generator.normal(size=(3, 2)), generator.normal(size=(5, 3, 2))
    variable = keras.Variable(start)
    optimizer = build_optimizer(spec(options), steps_per_epoch=5, epochs=1)
    simulated, weights = SimulatedOptimizer(spec(options)), [start]
    for g in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g, "float32")], [variable])
        weights = simulated.step(weights, [g])
    np.testing.assert_allclose(weights[0], variable.numpy(), rtol=1e-5)


@pytest.mark.parametrize("options", CASES[:3], ids=str)
def test_steps_on_a_quadratic_loss_grow_above_the_largest_stable_rate_only(options, linear):
    network, x, y = linear
    _, stable = largest_stable_rate(spec(options), network, x, y, batch=50)
    losses = {}
    for factor in (0.97, 1.03):
        simulated, start = SimulatedOptimizer(spec(options), factor * stable), network.weights
        for _ in range(600):
            network.assign(simulated.step(network.weights, network.run(x, y).gradients))
        losses[factor] = network.run(x, y).loss
        network.assign(start)
    assert losses[0.97] < network.run(x, y).loss < losses[1.03]


@pytest.mark.parametrize(
    "options",
    [
        {"name": "rmsprop", "rho": 0.999},
        {"name": "rmsprop", "rho": 0.999, "momentum": 0.9},
        {"name": "nadam", "beta_2": 0.9999},
    ],
    ids=str,
)
def test_the_rate_of_an_adaptive_rule_belongs_to_its_divisors(options, linear):
    """With divisors that hardly change, steps grow above the rate only."""
    network, x, y = linear
    found, stable = largest_stable_rate(spec(options), network, x, y, batch=50)
    m = options.get("momentum", 0.0)
    factor = 2 + 2 * m if options["name"] == "rmsprop" else 3.8 / 2.8 / 0.1
    assert stable == pytest.approx(factor / found)


@pytest.mark.parametrize("name", ["adadelta", "lion", "ftrl"])
def test_rules_of_a_size_of_their_own_have_no_stable_rate(name, linear):
    assert largest_stable_rate(spec(name), *linear, batch=50) == (None, None)


def test_factors_of_the_rate_and_the_decay_are_those_of_the_kinds(linear):
    network = linear[0]
    options = {
        "name": "adamw",
        "rate_factors": {"kernel": "fan_in", "bias": 0.1},
        "decay_factors": {"bias": 0},
        "weight_decay": 0.5,
    }
    start = [np.ones((4, 2)), np.ones(2)]
    kinds = [("kernel", 4), ("bias", 4)]
    kernel, bias = SimulatedOptimizer(spec(options), 0.01, kinds).step(start, start)
    np.testing.assert_allclose(kernel, 1 - 0.01 * 0.5 - 0.01 / 2, atol=1e-6)
    np.testing.assert_allclose(bias, 1 - 0.01 * 0.1, atol=1e-6)
    assert network.kinds[0] == ("kernel", 4)


def test_the_rate_of_adam_is_38_by_the_preconditioned_eigenvalue(linear):
    network, x, y = linear
    found, stable = largest_stable_rate(spec("adam"), network, x, y, batch=50)
    assert stable == pytest.approx(38 / found)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("muon", "muon has no formula"),
        ("adafactor", "adafactor has no formula"),
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps"),
        ({"use_ema": True, "ema_overwrite_frequency": 9}, "ema_overwrite_frequency"),
    ],
)
def test_an_optimizer_without_a_formula_is_named(options, reason):
    assert reason in optimizer_unsupported(spec(options))
