import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc import reference
from kfc.network.learned_factors import with_factors
from kfc.training.checkpoints.training_state import Progress
from kfc.training.engine.factor_product import FactorProduct
from kfc.training.engine.tensor_inputs import training_network

FACTORS = {
    "network.hidden": [6, 5],
    "network.activation": "selu",
    "network.input_scale": True,
    "network.parametric_activation": True,
    "network.bias_init": {"name": "random_normal", "stddev": 1.0},
    "training.optimizer": {"name": "adam", "learning_rate": 0.05},
}


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


def after_training(case, engine):
    loop = case({**FACTORS, "training.engine": engine}).loop()
    history = loop.run(Progress()).history
    return history["loss"], [weight.numpy() for weight in loop.engine.model.weights]


def test_every_form_trains_the_factors_as_the_formulas_in_float64_do(problem):
    case = problem(FACTORS)
    weights = [np.asarray(w, np.float64) for w in case.network().get_weights()]
    first, adam, size = weights, reference.Adam(0.05), case.spec.training.batch_size
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
