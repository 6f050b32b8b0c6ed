from collections import OrderedDict
from dataclasses import replace

import keras
import numpy as np
import pytest

from kfc import reference, reference_updates
from kfc.data import Task
from kfc.preprocessing import (
    TensorPieces,
    TensorScaling,
    fit_scaling,
    is_learned_scaling,
)
from kfc.training.checkpoints.training_state import Progress
from kfc.training.engine.tensor_inputs import given_variables, training_network

CLASSES = Task((4,), "float32", ("a", "b", "c"))
MEAN, VARIANCE = np.array([1.0, -2.0, 300.0]), np.array([0.5, 4.0, 1e-3])


def scaled(layer):
    inputs = keras.Input((3,))
    network = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
    return network, training_network(network)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Normalization(mean=MEAN, variance=VARIANCE, name="scaling"),
        keras.layers.Rescaling([0.5, 2.0, 1 / 3], [0.1, 0.0, -7.0], name="scaling"),
        keras.layers.Rescaling(3.5, 100.0, name="value"),
    ],
    ids=["normalization", "rescaling", "value"],
)
def test_a_learned_scaling_gives_the_bits_of_keras_layer(layer):
    network, trained = scaled(layer)
    x = np.random.default_rng(0).normal(0, 50, (64, 3)).astype(np.float32)
    np.testing.assert_array_equal(trained(x), network(x))


def test_what_is_the_same_for_all_rows_stays_keras_layer():
    pixels = keras.layers.Rescaling(1 / 255, name="scaling")
    network, trained = scaled(pixels)
    assert not is_learned_scaling(pixels)
    assert trained is network


def test_given_variables_are_no_weights():
    network, trained = scaled(keras.layers.Normalization(mean=MEAN, variance=VARIANCE))
    assert len(trained.weights) == 2
    assert trained.count_params() == 8
    mean, variance = given_variables(trained)
    np.testing.assert_allclose(mean.numpy().ravel(), MEAN)
    np.testing.assert_allclose(variance.numpy().ravel(), VARIANCE)
    assert given_variables(network) == []


def test_a_twin_trains_the_layers_of_the_network():
    network, trained = scaled(keras.layers.Normalization(mean=MEAN, variance=VARIANCE))
    assert isinstance(trained.layers[1], TensorScaling)
    assert trained.layers[-1] is network.layers[-1]


def test_a_scaling_by_quantiles_gives_the_bits_of_its_network():
    x = np.random.default_rng(0).normal(0, 50, (64, 3)).astype(np.float32)
    scaling = fit_scaling("quantile", x[:40])
    network, trained = scaled(scaling.layer())
    np.testing.assert_array_equal(trained(x), network(x))
    assert isinstance(trained.layers[1], TensorPieces)
    assert len(trained.weights) == 2
    middle, starts, numbers = given_variables(trained)
    assert [middle.shape, starts.shape, numbers.shape] == [(3,), (3 * 128,), (3 * 128, 4)]


def train_both(cases, kept):
    """Trains each with shared steps and with its own, which must agree; returns the losses."""
    ends = []
    for case in cases:
        shared, own = case.loop(), case.loop(shared=False)
        histories = [loop.run(Progress()).history for loop in (shared, own)]
        for name, values in histories[0].items():
            np.testing.assert_allclose(values, histories[1][name], rtol=2e-6, err_msg=name)
        ends.append(histories[0]["loss"][-1])
    graphs = [key for key in kept if "MultiStep" in key]  # a graph's evaluation is another
    assert len(graphs) == 1
    return ends


@pytest.fixture
def kept(monkeypatch):
    """The functions that were compiled to be shared."""
    monkeypatch.setattr(
        "kfc.training.engine.graph_cache._graphs", (functions := OrderedDict())
    )
    return functions


@pytest.mark.slow
def test_trainings_with_other_rates_of_dropout_share_steps_and_keep_their_own(problem, kept):
    cases = [problem({"network.dropout": rate}) for rate in (0.1, 0.5)]
    first, second = train_both(cases, kept)
    assert first != second


@pytest.mark.parametrize("engine", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["standard", "quantile"])
def test_trainings_on_other_rows_share_steps_and_keep_their_own_numbers(
    problem, kept, engine, kind
):
    x = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    scalings = [fit_scaling(kind, x + np.float32(shift)) for shift in (0.0, 0.3)]
    cases = [
        problem({"training.engine": engine}, task=replace(CLASSES, scaling=scaling))
        for scaling in scalings
    ]
    first, second = train_both(cases, kept)
    assert first != second


FACTORS = {
    "network.hidden": [6, 5],
    "network.activation": "selu",
    "network.input_scale": True,
    "network.parametric_activation": True,
    "network.bias_init": {"name": "random_normal", "stddev": 1.0},
    "training.optimizer": {"name": "adam", "learning_rate": 0.05},
}


def after_training(case, engine):
    loop = case({**FACTORS, "training.engine": engine}).loop()
    history = loop.run(Progress()).history
    return history["loss"], [weight.numpy() for weight in loop.engine.model.weights]


def test_every_form_trains_the_factors_as_the_formulas_in_float64_do(problem):
    case = problem(FACTORS)
    weights = [np.asarray(w, np.float64) for w in case.network().get_weights()]
    first, adam, size = weights, reference_updates.Adam(0.05), case.spec.training.batch_size
    # Exactly as `Loop` does without shuffling: batches of 32, 32 and 6 rows in each epoch.
    losses = []
    x, y = case.task.scaling.apply_float64(case.train.x), case.train.y
    for _ in range(case.spec.training.epochs):
        of_epoch = []
        for begin in range(0, len(y), size):
            part = slice(begin, begin + size)
            loss, gradients = reference.gradients(
                weights, x[part], y[part], activation="selu", loss="cross_entropy"
            )
            weights = adam.step(weights, gradients)
            of_epoch.append((loss, len(y[part])))
        values, rows = np.transpose(of_epoch)
        losses.append(np.average(values, weights=rows))
    moved = [place for place, w in enumerate(weights) if not np.allclose(w, first[place])]
    assert len(moved) == len(weights) == 9
    for engine in ("eager", "graph", "xla"):
        found, trained = after_training(problem, engine)
        np.testing.assert_allclose(found, losses, rtol=1e-4, err_msg=engine)
        for one, other in zip(trained, weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4, err_msg=engine)
