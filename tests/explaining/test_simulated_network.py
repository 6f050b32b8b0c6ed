import numpy as np
import pytest
import tensorflow as tf

from kfc.data import prepare
from kfc.explaining.simulated_loss import loss_of
from kfc.explaining.simulated_network import simulated_network
from kfc.network import build
from kfc.spec import load_spec
from kfc.training import build_loss

SPECS = {
    "plain": {},
    "softmax regression": {"hidden": []},
    "no bias": {"use_bias": False, "hidden": [6, 6]},
    "batch normalization": {"normalization": "batch", "hidden": [6, 5]},
    "layer normalization": {"normalization": "layer", "activation": "tanh", "hidden": [6, 5]},
    "residual": {"block": "residual", "hidden": [5, 5, 7]},
    "parametric": {"parametric_activation": True, "activation": "mish", "hidden": [5, 4]},
    "input scale": {"input_scale": True},
    "deep sigmoid": {"activation": "sigmoid", "hidden": [6] * 4, "bias_init": "ones"},
    "slopes": {"activation": {"name": "relu", "negative_slope": 0.1, "max_value": 1.0}},
    "penalties": {"l1": 0.01, "l2": 0.02, "hidden": [6, 5]},
}


def problem(network, loss=None):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 5)).astype(np.float32)
    y = np.arange(40) % 3
    if loss in ("mse_of_numbers", "huber", "mae"):
        y = generator.normal(size=40).astype(np.float32)
    training = {} if loss is None else {"loss": loss.removesuffix("_of_numbers")}
    hidden = {"hidden": [8], "init": "he_normal", **network}
    data = {"test": "none", "validation": 0.0}
    spec = load_spec({"network": hidden, "training": training, "data": data})
    return spec, prepare(spec, (x, y))


def compared(spec, prepared):
    """Returns the loss and the gradients of the simulation and of TensorFlow."""
    task, rows = prepared.task, prepared.train
    scaled = task.scaling.apply_float64(rows.x)
    targets = rows.y if task.classification else task.target_scaling.apply_float64(rows.y)
    outputs = len(task.class_names) or task.outputs
    loss = loss_of(spec.training.loss, classes=len(task.class_names))
    simulated = simulated_network(spec, 5, outputs, loss)
    found = simulated.run(scaled, targets)

    network = build(spec, task)
    keras_loss = build_loss(spec.training.loss, task)
    with tf.GradientTape() as tape:
        value = keras_loss(rows.y, network(rows.x, training=True)) + sum(network.losses)
    gradients = tape.gradient(value, [v.value for v in network.trainable_variables])
    return found, float(value), [np.asarray(g) for g in gradients]


@pytest.mark.parametrize("name", SPECS)
def test_loss_and_gradients_are_those_of_the_network_that_keras_builds(name):
    found, value, gradients = compared(*problem(SPECS[name]))
    assert found.loss == pytest.approx(value, rel=1e-5)
    # The order of a shortcut's matrix differs, so the gradients are paired by their norms.
    norms = [
        sorted(float(np.linalg.norm(g)) for g in each) for each in (found.gradients, gradients)
    ]
    np.testing.assert_allclose(*norms, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(
    "loss",
    ["cross_entropy", "mse", "mae", "mse_of_numbers", "huber", "categorical_crossentropy"],
)
def test_a_loss_is_that_of_keras(loss):
    found, value, _ = compared(*problem({}, loss))
    assert found.loss == pytest.approx(value, rel=1e-5)


def test_a_copy_in_float32_leaves_the_network_as_it_is():
    spec, _ = problem({})
    network = simulated_network(spec, 5, 3, loss_of(None, classes=3))
    copy = network.in_float32()
    copy.assign([w * 0 for w in copy.weights])
    assert {w.dtype for w in copy.weights} == {np.dtype(np.float32)}
    assert {w.dtype for w in network.weights} == {np.dtype(np.float64)}
    assert network.weights[0].any()


def test_dropout_leaves_out_units_and_keeps_the_mean():
    spec, _ = problem({"dropout": 0.5, "hidden": [2000], "activation": "linear"})
    network = simulated_network(spec, 5, 3, loss_of(None, classes=3))
    _, seen = network.forward(np.ones((4, 5)), np.random.default_rng(0))
    kept = seen[0]["kept"]
    assert set(np.unique(kept)) == {0.0, 2.0}
    assert kept.mean() == pytest.approx(1.0, abs=0.05)
