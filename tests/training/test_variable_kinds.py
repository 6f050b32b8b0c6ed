import keras
import numpy as np
import pytest

from kfc.training.variable_kinds import fan_in, kind_of

KINDS = {
    "hidden_1/kernel": "kernel",
    "logits/kernel": "kernel",
    "hidden_1_projection/kernel": "kernel",
    "member_scale/kernel": "kernel",
    "hidden_2/bias": "bias",
    "hidden_1_normalization/gamma": "bias",
    "input_scale/kernel": "input_scale",
    "embedding_4/kernel": "embedding",
    "numeric_embedding/kernel": "numeric_embedding",
    "numeric_embedding_waves/bias": "numeric_embedding",
    "hidden_1_slope/kernel": "activation",
}


@pytest.mark.parametrize(("path", "kind"), KINDS.items())
def test_the_kind_of_a_variable_follows_from_its_layer(path, kind):
    layer, name = path.split("/")
    with keras.name_scope(layer):
        variable = keras.Variable(np.zeros(3), name=name)
    assert kind_of(variable) == kind


def test_the_inputs_of_a_kernel_are_counted_for_each_member():
    assert float(fan_in(keras.Variable(np.zeros((5, 3))))) == 5
    assert float(fan_in(keras.Variable(np.zeros((8, 5, 3))))) == 5
    with keras.name_scope("member_scale"):
        variable = keras.Variable(np.zeros((8, 5)), name="kernel")
    assert float(fan_in(variable)) == 1
