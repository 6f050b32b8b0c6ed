import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc.network.factor_product import FactorProduct
from kfc.network.learned_factors import with_factors
from kfc.training.engine.tensor_inputs import training_network


@pytest.mark.parametrize("shape", [(5,), (3, 5)], ids=str)
def test_a_product_and_its_gradients_are_those_of_keras_layer(shape):
    rng = np.random.default_rng(0)
    inputs = keras.Input(shape)
    network = keras.Model(inputs, with_factors(inputs, "factors"))
    trained = training_network(network)
    assert isinstance(trained.layers[1], FactorProduct)
    (weight,) = trained.trainable_weights
    assert weight is network.layers[1].kernel
    weight.assign(rng.normal(size=5))
    x = tf.constant(rng.normal(size=(64, *shape)), tf.float32)
    outputs, gradients = [], []
    for model in (network, trained):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs.append(model(x))
            loss = tf.reduce_sum(outputs[-1] ** 2)
        gradients.append(tape.gradient(loss, [x, weight.value]))
    np.testing.assert_array_equal(*outputs)
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6)
