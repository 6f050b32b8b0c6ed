import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc.training.engine.counter_dropout import keep_mask, keep_threshold
from kfc.training.step import TapeModel


def uint32(number):
    return tf.constant(number, tf.uint32)


def mask(seed=0, step=0, shape=(256, 384), rate=0.2):
    return np.asarray(
        keep_mask(uint32(seed), uint32(step), tf.constant(shape), keep_threshold(rate))
    )


def lowbias32(x):
    """Wellons' hash in NumPy, as he prints it."""
    x = x.astype(np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def test_the_mask_is_the_published_hash_of_seed_step_and_position():
    with np.errstate(over="ignore"):
        key = lowbias32(np.uint32(5) + lowbias32(np.uint32(7)))
        bits = lowbias32(np.arange(12, dtype=np.uint32) * np.uint32(0x9E3779B9) + key)
    expected = (bits >= round(0.5 * 2**32)).reshape(3, 4)
    np.testing.assert_array_equal(mask(7, 5, (3, 4), 0.5), expected)


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_rate(rate):
    dropped = [1 - mask(seed=3, step=step, rate=rate).mean() for step in range(20)]
    # 98,304 positions a mask: five standard deviations of a binomial share.
    assert dropped == pytest.approx([rate] * 20, abs=5 * (rate * (1 - rate) / 98_304) ** 0.5)


def test_rows_units_steps_and_seeds_are_independent():
    a = mask()
    for other in (
        mask(step=1),
        mask(seed=1),
        mask(step=2**31),
        np.roll(a, 1, 0),
        np.roll(a, 1, 1),
    ):
        agreement = np.corrcoef(a.ravel(), other.ravel())[0, 1]
        assert abs(agreement) < 5 / np.sqrt(a.size)
    assert a.mean(axis=0).std() < 0.03  # 0.025 for independent units of 256 rows


def test_masks_are_the_same_in_xla_and_in_a_graph():
    least = uint32(keep_threshold(0.3))
    xla = tf.function(
        lambda step: keep_mask(uint32(1), step, [32, 48], least), jit_compile=True
    )
    np.testing.assert_array_equal(xla(uint32(9)), mask(1, 9, (32, 48), 0.3))


def test_dropout_masks_a_new_share_in_each_step_and_keeps_the_mean(problem):
    model = problem({"network.dropout": 0.5, "network.hidden": [2000]}).model()
    tap = keras.Model(model.inputs[0], model.get_layer("hidden_1_dropout").output)
    x = np.ones((8, 4), np.float32)
    plain, dropped = np.asarray(tap(x, training=False)), np.asarray(tap(x, training=True))
    zeros = dropped == 0
    assert zeros.mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(dropped[~zeros], 2 * plain[~zeros], rtol=1e-6)
    np.testing.assert_array_equal(tap(x, training=True), dropped)
    model.optimizer.iterations.assign_add(1)
    assert (np.asarray(tap(x, training=True)) != dropped).any()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("flat_cosine", ((0, 0.4), (15, 0.4), (20, 0.3), (25, 0.1), (30, 0.0))),
        # Between waves 1 + 15 t is a power of 2; steps 18 and 21 are on the last wave.
        (
            "coslog",
            ((0, 0.0), (2, 0.0), (14, 0.0), (18, 0.2873419), (21, 0.3978123), (30, 0.0)),
        ),
    ],
)
def test_the_rate_of_dropout_follows_its_schedule(problem, jit_compile, schedule, rates):
    changes = {
        "network.hidden": [2000],
        "network.dropout": 0.4,
        "network.dropout_schedule": schedule,
        "training.epochs": 10,
    }
    model = problem(changes).model()  # 30 steps
    tap = keras.Model(model.inputs[0], model.get_layer("hidden_1_dropout").output)
    call = tf.function(lambda x: tap(x, training=True), jit_compile=jit_compile)
    x = np.ones((16, 4), np.float32)
    plain = np.asarray(tap(x, training=False))
    for step, rate in rates:
        model.optimizer.iterations.assign(step)
        dropped = np.asarray(call(x))
        zeros = dropped == 0
        assert zeros.mean() == pytest.approx(rate, abs=0.015)
        np.testing.assert_allclose(dropped[~zeros], plain[~zeros] / (1 - rate), rtol=1e-5)


def test_masks_change_while_gradients_accumulate(problem):
    optimizer = {"name": "sgd", "gradient_accumulation_steps": 2}
    case = problem({"network.dropout": 0.5, "training.optimizer": optimizer})
    model = case.model()
    batch = case.train.x[:32], case.train.y[:32]
    losses = [float(model.train_step(batch)["batch_loss"]) for _ in range(2)]
    assert losses[0] != losses[1]  # the weights have not moved in between


def test_a_rate_of_almost_one_drops_almost_everything():
    assert mask(rate=0.9999999999).mean() == 0.0


def test_a_mask_of_another_shape_is_left_to_keras():
    inputs = keras.Input((4,))
    rows = keras.layers.Dropout(0.5, noise_shape=(None, 1), seed=0, name="rows")
    model = TapeModel(keras.Model(inputs, rows(inputs)))
    assert model.get_layer("rows") is rows


def test_what_is_saved_has_the_dropout_of_keras(problem, tmp_path):
    network = problem({"network.dropout": 0.3}).network()
    model = TapeModel(network)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.get_layer("hidden_1_dropout")) is keras.layers.Dropout
    assert type(network.get_layer("hidden_1_dropout")) is keras.layers.Dropout
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(loaded(x), network(x))
