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


def test_the_rate_of_adam_is_38_by_the_preconditioned_eigenvalue(linear):
    network, x, y = linear
    found, stable = largest_stable_rate(spec("adam"), network, x, y, batch=50)
    assert stable == pytest.approx(38 / found)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("rmsprop", "rmsprop has no formula"),
        ({"name": "adam", "amsgrad": True}, "amsgrad"),
        ({"learning_rate": {"name": "cosine", "initial_learning_rate": 0.1}}, "a schedule"),
        ({"rate_factors": {"bias": 0.1}}, "rate_factors"),
        ({"use_ema": True}, "use_ema"),
    ],
)
def test_an_optimizer_without_a_formula_is_named(options, reason):
    assert reason in optimizer_unsupported(spec(options))
