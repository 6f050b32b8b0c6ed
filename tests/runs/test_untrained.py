import keras
import pytest

import kfc


@pytest.mark.parametrize(
    "arguments",
    [
        {"input_shape": (784,), "classes": 1},
        {"input_shape": (784,), "classes": True},
        {"input_shape": (), "classes": 10},
        {"input_shape": (0,), "classes": 10},
        {"input_shape": 784, "classes": 10},
        {"input_shape": (True,), "classes": 10},
        {"input_shape": (784,), "classes": "10"},
    ],
    ids=["one class", "a bool", "no shape", "no features", "a number", "a true size", "text"],
)
def test_build_refuses(arguments):
    with pytest.raises(kfc.SpecError):
        kfc.build("mnist", **arguments)


def test_build_gives_the_tutorials_network():
    model = kfc.build("mnist", input_shape=(784,), classes=10)
    assert model.count_params() == 235_146
    assert [layer.name for layer in model.layers[1:]] == ["hidden_1", "hidden_2", "logits"]


def test_initial_weights_that_need_rows_are_refused_by_their_keys():
    network = {"hidden": [{"units": 8, "init": "unit_variance"}, 4], "bias_init": "he_plus_5"}
    with pytest.raises(kfc.SpecError, match=r"kfc\.build has none") as caught:
        kfc.build({"network": network}, input_shape=(784,), classes=10)
    keys = [finding.where for finding in caught.value.findings]
    assert keys == ["network.hidden[0].init", "network.bias_init"]


def test_keras_settings_that_change_the_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "floatx", lambda: "float64")
    with pytest.raises(kfc.SpecError, match="expected float32, got 'float64'"):
        kfc.build("digits", input_shape=(64,), classes=10)
