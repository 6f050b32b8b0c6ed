"""The numbers of layers are those of a network by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc.data import Task
from kfc.training.layer_numbers import LayerProbe

DIGITS = Task((8,), "float32", ("a", "b", "c"))
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def network(problem):
    return problem(
        {"network.hidden": [32, 16], "network.activation": "relu"}, DIGITS
    ).network()


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(50, 8)).astype(np.float32), rng.integers(0, 3, 50)


def test_signals_and_gradients_are_those_of_keras(network, rows):
    x, y = rows
    found = LayerProbe(network).measure(x, lambda answer: LOSS(y, answer))
    dense = [layer for layer in network.layers if hasattr(layer, "kernel")]
    assert [each.layer for each in found] == [layer.name for layer in dense]
    with tf.GradientTape() as tape:
        answer = network(x, training=False)
        value = LOSS(y, answer)
    gradients = tape.gradient(value, [layer.kernel.value for layer in dense])
    for each, layer, gradient in zip(found, dense, gradients, strict=True):
        kernel = np.asarray(layer.kernel)
        assert each.weight == pytest.approx(np.sqrt((kernel**2).mean()), rel=1e-5)
        expected = np.sqrt((np.asarray(gradient) ** 2).mean())
        assert each.gradient == pytest.approx(expected, rel=1e-3)
        assert each.update is None
    assert found[-1].signal == pytest.approx(np.asarray(answer).std(), rel=1e-4)


def test_a_dead_unit_is_counted(network, rows):
    x, y = rows
    probe = LayerProbe(network)
    before = probe.measure(x, lambda answer: LOSS(y, answer))
    kernel, bias = network.get_layer("hidden_1").get_weights()
    kernel[:, :8], bias[:8] = 0.0, -1.0  # a quarter of 32 units, below zero for all rows
    network.get_layer("hidden_1").set_weights([kernel, bias])
    found = probe.measure(x, lambda answer: LOSS(y, answer))
    assert found[0].constant >= 0.25 > before[0].constant


def test_the_signal_is_that_after_the_activation(problem, rows):
    x, y = rows
    network = problem(
        {"network.activation": "relu", "network.normalization": "layer"}, DIGITS
    ).network()
    found = LayerProbe(network).measure(x, lambda answer: LOSS(y, answer))
    activation = next(
        layer for layer in network.layers if isinstance(layer, keras.layers.Activation)
    )
    after = keras.Model(network.inputs[0], activation.output)(x)
    assert found[0].signal == pytest.approx(np.asarray(after).std(), rel=1e-4)


def test_a_frozen_layer_has_no_gradient(network, rows):
    x, y = rows
    network.get_layer("hidden_1").trainable = False
    found = LayerProbe(network).measure(x, lambda answer: LOSS(y, answer))
    assert found[0].gradient == 0.0 < found[1].gradient


def test_a_network_whose_layers_another_one_shares_is_measured(network, rows):
    x, y = rows
    alone = LayerProbe(network).measure(x, lambda answer: LOSS(y, answer))
    keras.models.clone_model(network, clone_function=lambda layer: layer)
    assert LayerProbe(network).measure(x, lambda answer: LOSS(y, answer)) == alone
