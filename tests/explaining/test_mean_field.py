import numpy as np
import pytest

from kfc.explaining.activations import simulated_activation
from kfc.explaining.mean_field import expected_layer
from kfc.explaining.simulated_loss import loss_of
from kfc.explaining.simulated_network import simulated_network
from kfc.spec import load_spec


def theory(network, inputs=512, signal=1.0):
    layer = load_spec({"network": {"hidden": [512], **network}}).network.layers()[0]
    return expected_layer(layer, simulated_activation(layer.activation), signal, inputs)


def test_he_keeps_the_signal_and_the_gradients_of_relu():
    found = theory({"activation": "relu", "init": "he_normal"})
    assert found.gain == pytest.approx(1.0, abs=2e-3)
    assert found.gradient_gain == pytest.approx(1.0, abs=0.02)


def test_lecun_keeps_the_signal_of_selu():
    found = theory({"activation": "selu", "init": "lecun_normal"})
    assert found.gain == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu", "linear"])
@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_a_wide_layer_has_the_gain_of_the_theory(activation, normalization):
    network = {
        "activation": activation,
        "normalization": normalization,
        "init": {"name": "random_normal", "stddev": 0.1},
    }
    found = theory(network, signal=1.5)
    spec = load_spec({"network": {"hidden": [512], **network}})
    simulated = simulated_network(spec, 512, 2, loss_of(None, classes=2))
    x = 1.5 * np.random.default_rng(0).normal(size=(64, 512))
    y = simulated.forward(x)[1][0]["y"]
    assert np.sqrt(np.mean(y**2)) == pytest.approx(found.signal, rel=0.03)


@pytest.mark.parametrize("init", ["zeros", "ones", "identity"])
def test_weights_that_are_not_random_have_no_theory(init):
    assert theory({"init": init}) is None
