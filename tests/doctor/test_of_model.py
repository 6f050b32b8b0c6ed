import keras
import numpy as np
import pytest

import kfc
from kfc.errors import SpecError


def test_the_weights_of_a_model_are_not_changed(model, rows, logits_loss):
    before = model.get_weights()
    kfc.doctor(model, data=rows, loss=logits_loss, optimizer=keras.optimizers.Adam(10.0))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_loss_and_optimizer_are_by_default_those_of_the_compiled_model(model, rows):
    rate = keras.optimizers.schedules.ExponentialDecay(10.0, 100, 0.5)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    names = [each.name for each in kfc.doctor(model, data=rows).findings]
    assert names == ["logits_as_probabilities", "update_too_large"]


def test_a_model_of_a_class_of_its_own_is_looked_at(rows, logits_loss):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = keras.layers.Dense(8, "relu", kernel_initializer="zeros")
            self.last = keras.layers.Dense(3, kernel_initializer="zeros")

        def call(self, x):
            return self.last(self.hidden(x))

        def get_config(self):
            return {}

    found = kfc.doctor(Own(), data=rows, loss=logits_loss, optimizer="adam").findings
    assert [each.name for each in found] == ["units_identical"]


def test_held_out_rows_come_as_in_keras(model, rows, logits_loss):
    x, y = rows
    order = np.argsort(y, kind="stable")
    found = kfc.doctor(
        model, data=(x[order], y[order]), loss=logits_loss, validation_split=0.2
    )
    assert "class_not_in_part" in [each.name for each in found.findings]
    copied = kfc.doctor(model, data=rows, loss=logits_loss, validation_data=(x[:90], y[:90]))
    assert "training_rows_repeated" in [each.name for each in copied.findings]


def test_a_finding_of_a_model_has_no_change_of_a_spec(model, rows, logits_loss):
    x, y = rows
    diagnosis = kfc.doctor(model, data=(1000 * x, y), loss=logits_loss)
    assert [each.name for each in diagnosis.findings] == ["unscaled_input"]
    assert diagnosis.changes == {}
    assert "Normalization" in diagnosis.findings[0].remedy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": None}, "the loss of the model"),
        ({"loss": "no_such_loss"}, "a loss of Keras"),
        ({"data": None}, "the rows of the model"),
        ({"overrides": {"training.epochs": 1}}, "none for a model"),
        ({"epoch": 3}, "arguments among loss, optimizer"),
    ],
)
def test_a_wrong_call_is_refused(model, rows, options, message):
    with pytest.raises(SpecError, match=message):
        kfc.doctor(model, **{"data": rows, "loss": "mse", **options})


def test_arguments_of_a_model_are_refused_beside_a_spec():
    with pytest.raises(SpecError, match="none of them for a spec"):
        kfc.doctor("digits", loss="mse")


def test_inputs_that_a_layer_of_the_model_scales_are_no_finding(rows, logits_loss):
    x, y = rows
    x = 1000 * x + 5000
    scaling = keras.layers.Normalization()
    scaling.adapt(x)
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4,)), scaling, keras.layers.Dense(8, "relu"), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    assert kfc.doctor(model, data=(x, y), loss=logits_loss, optimizer="adam").findings == ()


def test_a_model_of_several_inputs_or_outputs_is_refused_with_their_names(rows):
    x, y = rows
    inputs = keras.Input((3,), name="size"), keras.Input((1,), name="age")
    joined = keras.layers.Concatenate()(inputs)
    outputs = keras.layers.Dense(3)(joined), keras.layers.Dense(1)(joined)
    parts = (x[:, :3], x[:, 3:])
    for model in (keras.Model(inputs, outputs[0]), keras.Model(inputs, outputs)):
        with pytest.raises(SpecError, match=r"2 inputs \(size, age\)"):
            kfc.doctor(model, data=(parts, y), loss="mse")
    with pytest.raises(SpecError, match=r"keras.Model\(model.input, model.outputs\[0\]\)"):
        kfc.doctor(keras.Model(joined, outputs), data=(x, y), loss="mse")
