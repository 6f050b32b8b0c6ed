"""The updates of `kfc.reference` against Keras's, and kfc's epoch on real MNIST against it."""

import inspect

import keras
import numpy as np
import pytest

from kfc import reference
from kfc.reference_updates import SGD, UPDATES, Adam, Momentum, clip


@pytest.fixture(scope="module")
def float64(experiment):
    return experiment("float64")


@pytest.fixture(scope="module")
def rows(float64, idx_datasets):
    return float64.read_rows(idx_datasets / "mnist")


@pytest.mark.parametrize(
    ("steps", "loss"),
    [
        (47, "cross_entropy"),
        pytest.param(469, "cross_entropy", marks=pytest.mark.slow),
        pytest.param(469, "mse", marks=pytest.mark.slow),
    ],
)
def test_an_epoch_with_tanh_stays_within_rounding_of_float64(
    float64, rows, tmp_path, steps, loss
):
    x, labels = (part[: 128 * steps - 32] for part in rows)  # a short last batch
    spec = float64.epoch_spec("tanh", loss)
    options = {"engines": ("xla", "graph"), "runs": tmp_path}
    for engine, error in float64.compare(x, labels, spec, **options).items():
        assert error["weights"] <= 3e-5, engine
        assert error["loss"] <= 1e-6, engine


@pytest.mark.parametrize(
    ("activation", "bound"),
    [("relu", 5e-3), ("tanh", 1e-4)],
)
@pytest.mark.parametrize(
    ("loss", "batch_size", "optimizer"),
    [
        pytest.param("mse", 128, "sgd", id="mse"),
        pytest.param("cross_entropy", 256, "tape_sgd", id="cross_entropy"),
    ],
)
@pytest.mark.slow
def test_an_epoch_moves_kernels_and_biases_ten_times_further_than_their_errors(
    float64, rows, tmp_path, loss, batch_size, optimizer, activation, bound
):
    spec = float64.epoch_spec(activation, loss, batch_size=batch_size, optimizer=optimizer)
    options = {"engines": ("xla", "graph"), "runs": tmp_path}
    for engine, error in float64.compare(*rows, spec, **options).items():
        assert error["of_largest"] <= bound, engine
        assert error["of_own_movement"] < 0.1, engine
        assert error["loss"] <= 2e-4, engine


@pytest.mark.parametrize(
    "engine",
    [
        "xla",
        pytest.param("graph", marks=pytest.mark.slow),
        pytest.param("eager", marks=pytest.mark.slow),
    ],
)
def test_a_single_step_with_relu_agrees_as_tightly(float64, rows, tmp_path, engine):
    x, labels = (part[:128] for part in rows)
    spec = float64.epoch_spec("relu", "cross_entropy")
    error = float64.compare(x, labels, spec, engines=(engine,), runs=tmp_path)[engine]
    assert error["weights"] <= 3e-5


def rows_and_weights():
    """21 rows, of which batches of 8 leave a short last one, and a network for them."""
    generator = np.random.default_rng(0)
    sizes = ((4, 6), (6,), (6, 3), (3,))
    weights = [generator.normal(size=size) for size in sizes]
    return generator.normal(size=(21, 4)), generator.integers(0, 3, 21), weights


# Fractions of powers of two, because Keras rounds such numbers to float32.
EXACT = {"beta_1": 0.5, "beta_2": 0.75}
NESTEROV = {"momentum": 0.875, "nesterov": True}


@pytest.mark.parametrize(
    ("kind", "in_keras", "options", "bound"),
    [
        pytest.param(SGD, "SGD", {}, 1e-12, id="sgd"),
        pytest.param(Momentum, "SGD", {"momentum": 0.875}, 1e-12, id="momentum"),
        pytest.param(Momentum, "SGD", NESTEROV, 1e-12, id="nesterov"),
        pytest.param(Adam, "Adam", EXACT, 1e-12, id="adam"),
        pytest.param(Adam, "Adam", {}, 2e-5, id="adam by default"),
    ],
)
def test_three_epochs_with_a_short_last_batch_are_keras_s(
    float64_in_keras, kind, in_keras, options, bound
):
    x, y, weights = rows_and_weights()
    update = kind(0.125, **options)
    optimizer = getattr(keras.optimizers, in_keras)(learning_rate=0.125, **options)
    variables = [keras.Variable(weight, dtype="float64") for weight in weights]
    for first in [0, 8, 16] * 3:
        batch, truth = x[first : first + 8], y[first : first + 8]
        _, gradients = reference.gradients(
            weights, batch, truth, activation="tanh", loss="cross_entropy"
        )
        weights = update.step(weights, gradients)
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
    for by_hand, variable in zip(weights, variables, strict=True):
        np.testing.assert_allclose(by_hand, variable.numpy(), rtol=0, atol=bound)


@pytest.mark.parametrize(
    "option",
    [{}, {"clipnorm": 0.1}, {"global_clipnorm": 0.1}, {"clipvalue": 0.01}, {"clipnorm": 1e3}],
    ids=str,
)
def test_gradients_are_clipped_as_keras_does(float64_in_keras, option):
    x, y, weights = rows_and_weights()
    variables = [keras.Variable(weight, dtype="float64") for weight in weights]
    _, gradients = reference.gradients(weights, x, y, activation="tanh", loss="cross_entropy")
    keras.optimizers.SGD(1.0, **option).apply(
        [keras.ops.convert_to_tensor(g) for g in gradients], variables
    )
    clipped = clip(gradients, **option)
    for weight, gradient, variable in zip(weights, clipped, variables, strict=True):
        np.testing.assert_allclose(weight - gradient, variable.numpy(), rtol=0, atol=1e-8)


@pytest.fixture
def float64_in_keras():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_keeps_its_state_to_itself_and_the_weights_as_they_were(name):
    x, y, weights = rows_and_weights()
    before = [weight.copy() for weight in weights]
    _, gradients = reference.gradients(weights, x, y, activation="relu", loss="mse")
    takes = "momentum" in inspect.signature(UPDATES[name]).parameters
    options = {"momentum": 0.9} if takes else {}
    first, second = (UPDATES[name](0.1, **options) for _ in range(2))
    first.step(first.step(weights, gradients), gradients)
    moved = second.step(weights, gradients)
    again = UPDATES[name](0.1, **options).step(weights, gradients)
    for weight, kept, here, there in zip(weights, before, moved, again, strict=True):
        np.testing.assert_array_equal(weight, kept)
        np.testing.assert_array_equal(here, there)
