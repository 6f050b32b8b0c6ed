"""The numbers of layers are those of a network by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc.reporting.layer_section import layer_numbers


def test_signals_and_gradients_are_those_of_keras(digits_run):
    prepared = digits_run.prepared(None)
    x, y = np.asarray(prepared.test.x[:50]), prepared.test.y[:50]
    found = layer_numbers(digits_run.network, x, y, digits_run.task)
    dense = [layer for layer in digits_run.network.layers if hasattr(layer, "kernel")]
    assert [each.name for each in found] == [layer.name for layer in dense]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        answer = digits_run.network(x, training=False)
        value = loss(y, answer)
    gradients = tape.gradient(value, [layer.kernel.value for layer in dense])
    for each, layer, gradient in zip(found, dense, gradients, strict=True):
        kernel = np.asarray(layer.kernel)
        assert each.weight == pytest.approx(np.sqrt((kernel**2).mean()), rel=1e-5)
        expected = np.sqrt((np.asarray(gradient) ** 2).mean())
        assert each.gradient == pytest.approx(expected, rel=1e-3)
    assert found[-1].signal == pytest.approx(np.asarray(answer).std(), rel=1e-4)


def test_a_dead_unit_is_counted(digits_run):
    prepared = digits_run.prepared(None)
    x, y = np.asarray(prepared.test.x[:50]), prepared.test.y[:50]
    network = keras.models.clone_model(digits_run.network)
    network.set_weights(digits_run.network.get_weights())
    hidden = next(layer for layer in network.layers if hasattr(layer, "kernel"))
    kernel, bias = hidden.get_weights()
    kernel[:, :64], bias[:64] = 0.0, -1.0  # a quarter of 256 units, below zero for all rows
    hidden.set_weights([kernel, bias])
    found = layer_numbers(network, x, y, digits_run.task)
    before = layer_numbers(digits_run.network, x, y, digits_run.task)
    assert found[0].zero >= 0.25 > before[0].zero
