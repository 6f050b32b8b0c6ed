import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc.network.column_product import ColumnProduct, ColumnSums, multiplies_columns
from kfc.training.engine.tensor_inputs import training_network


@pytest.mark.parametrize("bias", [None, "fo"])
@pytest.mark.parametrize(
    ("equation", "shape"), [("bf,fo->bfo", (5,)), ("bfk,fko->bfo", (5, 7))]
)
def test_a_product_and_its_gradients_are_those_of_keras_layer(equation, shape, bias):
    rng = np.random.default_rng(0)
    inputs = keras.Input(shape)
    layer = keras.layers.EinsumDense(
        equation, (5, 3), bias_axes=bias, bias_initializer="random_normal", name="products"
    )
    network = keras.Model(inputs, layer(inputs))
    trained = training_network(network)
    assert isinstance(trained.layers[1], ColumnProduct)
    weights = trained.trainable_weights
    assert [id(weight) for weight in weights] == [id(weight) for weight in layer.weights]
    assert trained.output_shape == network.output_shape
    x = tf.constant(rng.normal(size=(64, *shape)), tf.float32)
    outputs, gradients = [], []
    for model in (network, trained):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs.append(model(x))
            loss = tf.reduce_sum(outputs[-1] ** 2)
        gradients.append(tape.gradient(loss, [x, *(weight.value for weight in weights)]))
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


def test_other_layers_are_none():
    others = [
        keras.layers.Dense(3),
        keras.layers.EinsumDense("bfk,fko->bfo", (5, 3), activation="relu"),
        keras.layers.EinsumDense("bd,d->bd", (5,)),
    ]
    assert not any(map(multiplies_columns, others))


@pytest.mark.parametrize("rows", [0, 1, 9])
def test_sums_are_the_same_products(rows):
    inputs = keras.Input((5, 7))
    layer = keras.layers.EinsumDense("bfk,fko->bfo", (5, 3), bias_axes="fo")
    network = keras.Model(inputs, layer(inputs))
    x = np.random.default_rng(0).normal(size=(rows, 5, 7)).astype(np.float32)
    np.testing.assert_allclose(ColumnSums(layer)(x), network(x), rtol=1e-5, atol=1e-5)
