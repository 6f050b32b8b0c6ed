"""Settings of layers and optimizers that stop a training, and healthy ones like them."""

import keras
import numpy as np
import pytest

import kfc

SGD, ADAM = keras.optimizers.SGD, keras.optimizers.Adam
LAYERS = keras.layers


def names(rows, *layers, optimizer="adam", outputs=3, x=None, **training):
    keras.utils.set_random_seed(0)
    x = rows[0] if x is None else x
    last = LAYERS.Dense(outputs, "softmax")
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers, last])
    loss = "sparse_categorical_crossentropy"
    found = kfc.doctor(model, data=(x, rows[1]), loss=loss, optimizer=optimizer, **training)
    return [each.name for each in found.findings]


def dense(units=16, activation="relu", **options):
    return LAYERS.Dense(units, activation, **options)


@pytest.mark.parametrize(
    ("optimizer", "epochs", "found"),
    [
        (lambda: SGD(0.0), 5, "rate_not_positive"),
        (lambda: SGD(-0.1), None, "rate_not_positive"),
        (lambda: ADAM(1e-9), None, "update_too_small"),
        (lambda: SGD(0.1, global_clipnorm=1e-7), 20, "option_stops_updates"),
        (lambda: SGD(0.1, clipvalue=1e-9), 20, "option_stops_updates"),
        (lambda: ADAM(0.001, epsilon=10.0), 20, "option_stops_updates"),
        (lambda: SGD(0.1, momentum=0.9999), 20, "momentum_too_long"),
        (lambda: SGD(0.001, momentum=1.0), 20, "momentum_too_long"),
        (lambda: ADAM(0.01, gradient_accumulation_steps=10**6), 20, "weights_stand_still"),
        (lambda: SGD(0.1, weight_decay=8.0), 20, "decay_dominates"),
        (lambda: SGD(0.1, use_ema=True, ema_momentum=0.9999), 20, "weight_average_too_slow"),
        (
            lambda: SGD(0.1, use_ema=True, ema_overwrite_frequency=5),
            20,
            "weight_average_too_slow",
        ),
        (lambda: ADAM(0.01, gradient_accumulation_steps=60), 20, "weights_stand_still"),
        (lambda: ADAM(0.01, beta_2=0.0), 20, "steps_diverge"),
        (lambda: ADAM(0.01, loss_scale_factor=1e38), 20, "weights_stand_still"),
        (lambda: ADAM(0.01, beta_2=0.9), 20, None),
        (lambda: ADAM(0.01, loss_scale_factor=1e6), 20, None),
        (lambda: SGD(0.1, use_ema=True, ema_momentum=0.99), 20, None),
        (lambda: SGD(0.1, use_ema=True, ema_overwrite_frequency=100), 20, None),
        (lambda: SGD(0.1, global_clipnorm=1.0), 20, None),
        (lambda: ADAM(0.01, epsilon=0.1), 20, None),
        (lambda: SGD(0.01, momentum=0.99), 20, None),
        (lambda: ADAM(0.01, gradient_accumulation_steps=50), 20, None),
    ],
)
def test_options_of_optimizers_that_stop_the_training_are_named(
    rows, optimizer, epochs, found
):
    found = [found] if found else []
    assert names(rows, dense(), optimizer=optimizer(), epochs=epochs) == found


def test_a_training_of_few_steps_is_named_and_its_rate_is_not(rows):
    assert names(rows, dense(), batch_size=300, epochs=1) == ["steps_too_few"]
    assert names(rows, dense(), batch_size=300, epochs=100) == []


def test_a_hidden_layer_of_one_unit_is_named_where_outputs_need_more(rows):
    assert names(rows, dense(), dense(1, "tanh"), dense()) == ["one_number_passes"]
    assert names(rows, dense(), dense(2, "tanh"), dense()) == []


def test_a_layer_with_fewer_units_than_the_classes_have_digits_is_named(rows):
    y = np.arange(300) % 10
    for units, found in ((2, ["few_numbers_pass"]), (4, [])):
        layers = dense(), dense(units), dense()
        assert set(names((rows[0], y), *layers, outputs=10)) - {"targets_unrelated"} == set(
            found
        )


def test_a_layer_that_others_pass_by_may_be_narrow(rows):
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    narrow = dense()(dense(2)(x))
    model = keras.Model(x, LAYERS.Dense(10, "softmax")(LAYERS.Concatenate()([x, narrow])))
    loss = "sparse_categorical_crossentropy"
    total = rows[0].sum(axis=1)
    y = np.digitize(total, np.quantile(total, np.arange(1, 10) / 10))
    assert kfc.doctor(model, data=(rows[0], y), loss=loss, optimizer="adam").findings == ()


def test_adafactor_fails_where_an_input_is_always_zero(rows):
    for constant, found in ((0.0, ["update_not_finite"]), (1.0, [])):
        x = np.c_[np.abs(rows[0][:, :3]), np.full(300, constant)].astype("float32")
        y = np.digitize(x[:, :2].sum(axis=1), [1.0, 2.0])
        optimizer = keras.optimizers.Adafactor(0.01)
        init = keras.initializers.GlorotUniform(seed=0)  # a unit of it is silent in all rows
        layer = dense(kernel_initializer=init)
        assert names((x, y), layer, optimizer=optimizer, epochs=50) == found


@pytest.mark.parametrize(("rate", "found"), [(0.1, ("KFC365",)), (0.01, ())])
def test_a_rate_that_throws_the_network_about_is_named_with_a_better_one(rate, found):
    spec = {"data": {"source": "sklearn:digits"}, "network": {"hidden": [64, 64, 64]}}
    spec["training"] = {"epochs": 8, "optimizer": {"name": "adam", "learning_rate": rate}}
    diagnosis = kfc.doctor(spec)
    assert diagnosis.codes == found
    cure = {"training.optimizer.learning_rate": 0.001}
    assert diagnosis.changes == (cure if found else {})


def test_an_average_that_begins_at_zero_is_no_vanishing(rows):
    optimizer = keras.optimizers.ScheduleFreeAdamW(0.005)
    assert names(rows, dense(64), dense(64), optimizer=optimizer, epochs=30) == []


def test_targets_far_from_zero_are_named_and_near_ones_are_not(rows):
    y = np.tanh(rows[0][:, 0] * rows[0][:, 1])
    for offset, found in ((20.0, ["target_offset"]), (1.0, [])):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), dense(), LAYERS.Dense(1)])
        adam = ADAM(0.001)
        diagnosis = kfc.doctor(
            model, data=(rows[0], y + offset), loss="mse", optimizer=adam, epochs=20
        )
        assert [each.name for each in diagnosis.findings] == found


def test_a_mean_over_all_features_is_one_number(rows):
    mean = LAYERS.Reshape((4, 1)), LAYERS.GlobalAveragePooling1D()
    assert "one_number_passes" in names(rows, *mean, dense())


def test_a_unit_that_others_pass_by_is_no_bottleneck(rows):
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    gate = LAYERS.Dense(1, "sigmoid")(x)
    hidden = LAYERS.Multiply()([LAYERS.Dense(8, "tanh")(x), gate])
    model = keras.Model(x, LAYERS.Dense(3, "softmax")(hidden))
    loss = "sparse_categorical_crossentropy"
    assert kfc.doctor(model, data=rows, loss=loss, optimizer="adam").findings == ()


def test_frozen_layers_are_named_unless_they_have_been_trained(rows):
    assert names(rows, dense(trainable=False), dense()) == ["frozen_untrained"]
    trained = dense(trainable=False)
    trained.build((None, 4))
    trained.kernel.assign(0.9 * trained.kernel)
    assert names(rows, trained, dense()) == []


def test_a_normalization_over_one_unit_is_named(rows):
    assert names(rows, dense(1, None), LAYERS.LayerNormalization()) == ["norm_of_one"]
    assert names(rows, dense(), LAYERS.LayerNormalization()) == []


@pytest.mark.parametrize(("momentum", "found"), [(0.9999, ["average_too_slow"]), (0.99, [])])
def test_averages_that_outlast_the_training_are_named(rows, momentum, found):
    layer = LAYERS.BatchNormalization(momentum=momentum)
    assert names(rows, dense(), layer, epochs=10) == found


def test_a_constraint_that_takes_the_weights_away_is_named(rows):
    tiny = keras.constraints.MaxNorm(1e-3)
    assert names(rows, dense(kernel_constraint=tiny)) == ["weights_vanish"]
    assert names(rows, dense(kernel_constraint=keras.constraints.MaxNorm(3.0))) == []


def test_numbers_without_a_row_of_an_embedding_are_named(rows):
    words = np.digitize(rows[0], [-1, 0, 1])
    for x, found in (
        (words, []),
        (words + 1, "value_not_embedded"),
        (words / 4, "value_not_embedded"),
    ):
        layers = LAYERS.Embedding(4, 3), LAYERS.Flatten(), dense()
        assert names(rows, *layers, x=x) == ([found] if found else [])


def test_rows_of_another_shape_than_the_input_are_named(rows, model, logits_loss):
    found = kfc.doctor(model, data=(rows[0][:, :3], rows[1]), loss=logits_loss)
    assert [each.name for each in found.findings] == ["rows_not_computed"]
    assert "(256, 3)" in found.findings[0].got


def test_the_targets_of_an_autoencoder_are_no_leak():
    x = np.eye(4, dtype="float32")[np.arange(200) % 4]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), dense(8), LAYERS.Dense(4, "sigmoid")])
    found = kfc.doctor(model, data=(x, x), loss="binary_crossentropy", optimizer="adam")
    assert "target_in_column" not in [each.name for each in found.findings]
