"""Faults of plain Keras models, each beside a healthy model that looks like it."""

import keras
import numpy as np
import pytest

import kfc

DENSE = "categorical_crossentropy"
SPARSE = "sparse_categorical_crossentropy"


def sequence(*layers, inputs=4):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((inputs,)), *layers])


def hidden(activation="relu", units=8):
    return keras.layers.Dense(units, activation)


def names(model, x, y, loss=SPARSE, optimizer="adam", **training):
    found = kfc.doctor(model, data=(x, y), loss=loss, optimizer=optimizer, **training)
    return [each.name for each in found.findings]


@pytest.fixture
def one_hot(rows):
    return np.eye(3, dtype="float32")[rows[1]]


def test_an_embedding_whose_gradient_has_a_few_rows_is_examined(rows):
    x, y = rows
    words = np.digitize(x, [-1, 0, 1])
    layers = keras.layers.Embedding(4, 3), keras.layers.Flatten(), hidden(), hidden(None, 3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = sequence(*layers)
    diagnosis = kfc.doctor(model, data=(words, y), loss=loss, optimizer="adam")
    assert diagnosis.findings == ()
    assert diagnosis.measured["sharpness"] > 0


def test_a_loss_below_0_is_no_penalty(rows):
    x, _ = rows
    counts = np.random.default_rng(0).poisson(np.exp(1 + x[:, 0])).astype("float32")
    assert names(sequence(hidden(), hidden("exponential", 1)), x, counts, "poisson") == []


def test_rows_of_several_labels_are_named_under_a_loss_of_one_class(rows, one_hot):
    x, _ = rows
    several = np.maximum(one_hot, np.roll(one_hot, 1, axis=1))
    model = sequence(hidden(), hidden("softmax", 3))
    assert names(model, x, several, DENSE) == ["targets_of_several_classes"]


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: 0.9 * rows + 0.1 / 3,
        lambda rows: rows * np.r_[np.zeros(10), np.ones(290)][:, None],
        lambda rows: rows * [1.0, 2.0, 0.5],
    ],
    ids=["labels are smoothed", "rows are left out", "classes have weights"],
)
def test_rows_of_one_class_are_no_rows_of_several(rows, one_hot, change):
    x, _ = rows
    targets = change(one_hot).astype("float32")
    assert names(sequence(hidden(), hidden("softmax", 3)), x, targets, DENSE) == []


def test_a_target_that_is_constant_is_named(rows):
    x, _ = rows
    model = sequence(hidden(), hidden(None, 1))
    assert names(model, x, np.full(len(x), 3.0), "mse") == ["target_constant"]
    assert names(model, x, np.tanh(x[:, 0] + x[:, 1]), "mse") == []


@pytest.mark.parametrize("activation", ["softmax", None])
def test_a_squared_error_of_one_hot_rows_is_named(rows, one_hot, activation):
    model = sequence(hidden(), hidden(activation, 3))
    assert names(model, rows[0], one_hot, "mse") == ["squared_error_for_classes"]


def test_an_autoencoder_of_one_hot_rows_has_a_squared_error(one_hot):
    x = np.eye(8, dtype="float32")[np.arange(300) % 8]
    code = hidden("softmax", 6)
    assert names(sequence(code, hidden(None, 8), inputs=8), x, x, "mse") == []


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        (lambda: [hidden("relu", 3), keras.layers.Softmax()], ["relu_output"]),
        (
            lambda: [hidden(None, 3), keras.layers.ReLU(), keras.layers.Softmax()],
            "relu_output",
        ),
        (lambda: [hidden(None, 3), keras.layers.Softmax()], []),
        (
            lambda: [hidden(None, 3), keras.layers.Dropout(0.5), keras.layers.Softmax()],
            ["dropout_on_outputs"],
        ),
        (lambda: [keras.layers.Dropout(0.2), hidden("softmax", 3)], []),
        (lambda: [hidden("softmax", 8), hidden("softmax", 3)], ["softmax_hidden"]),
        (
            lambda: [hidden(None, 3), keras.layers.Softmax(axis=0)],
            ["rows_depend_on_others"],
        ),
    ],
)
def test_the_last_layers_are_looked_at(rows, layers, found):
    expected = [found] if isinstance(found, str) else found
    assert names(sequence(hidden(units=16), *layers()), *rows) == expected


def test_a_softmax_that_weighs_other_units_is_no_hidden_layer(rows):
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    weights = keras.layers.Dense(8, "softmax")(x)
    weighted = keras.layers.Multiply()([weights, keras.layers.Dense(8, "relu")(x)])
    model = keras.Model(x, keras.layers.Dense(3, "softmax")(weighted))
    assert "softmax_hidden" not in names(model, *rows)


def test_a_model_without_a_trainable_weight_is_named(rows):
    model = sequence(hidden(), hidden("softmax", 3))
    model.layers[0].trainable = False
    assert "nothing_to_train" not in names(model, *rows)
    model.trainable = False
    assert names(model, *rows) == ["nothing_to_train"]


@pytest.mark.parametrize(
    ("steps", "epochs", "found"),
    [(1, 30, ["rate_collapses"]), (1, None, []), (100, 30, [])],
    ids=["halves in each step", "for an unknown time", "halves in 10 epochs"],
)
def test_a_rate_that_is_soon_0_is_named(rows, steps, epochs, found):
    """A rate that halves in each of 300 steps has a mean of 2 / 300, in 10 steps of 2 / 10."""
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, steps, 0.5)
    optimizer = keras.optimizers.SGD(schedule)
    model = sequence(hidden(), hidden("softmax", 3))
    assert names(model, *rows, optimizer=optimizer, epochs=epochs) == found


@pytest.mark.parametrize(("decay", "found"), [(10.0, ["decay_dominates"]), (0.1, [])])
def test_a_decay_that_outweighs_the_gradient_is_named(rows, decay, found):
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=decay)
    model = sequence(hidden(), hidden("softmax", 3))
    assert names(model, *rows, optimizer=optimizer, epochs=50) == found


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_inputs_that_are_scaled_to_nearly_0_are_named(rows, optimizer):
    x, y = rows
    model = sequence(hidden(), hidden("softmax", 3))
    assert names(model, 1e-4 * x, y, optimizer=optimizer) == ["inputs_too_small"]


def test_small_inputs_of_many_entries_are_no_fault():
    """Rows of length 1, of few or of many entries, have a root mean square of 0.02."""
    generator = np.random.default_rng(0)
    y = np.arange(300) % 3
    sparse = np.eye(2000, dtype="float32")[3 * generator.integers(0, 99, 300) + y]
    full = generator.normal(size=(300, 2000)) + 3 * np.eye(3)[y] @ np.eye(3, 2000)
    full = (full / np.linalg.norm(full, axis=1, keepdims=True)).astype("float32")
    for x in (sparse, full):
        model = sequence(hidden(), hidden("softmax", 3), inputs=2000)
        assert "inputs_too_small" not in names(model, x, y, optimizer="sgd")


def test_small_inputs_that_a_normalization_scales_are_no_fault(rows):
    x, y = rows
    scaling = keras.layers.Normalization()
    scaling.adapt(1e-4 * x)
    assert names(sequence(scaling, hidden(), hidden("softmax", 3)), 1e-4 * x, y) == []
