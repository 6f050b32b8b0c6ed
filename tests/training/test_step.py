import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc.errors import NumbersError, SpecError
from kfc.training.step import TapeModel

VARIANTS = {
    "sgd": {"training.optimizer": {"name": "sgd", "learning_rate": 0.1}},
    "adam": {"training.optimizer": {"name": "adam", "learning_rate": 0.01}},
    "relu and l2": {"network.activation": "relu", "network.l2": 0.01},
    "batch normalisation": {"network.normalization": "batch"},
    "mean squared error": {"training.loss": "mse"},
}


def fit_both(problem, overrides, **options):
    """Keras's own step and the tape's, each under Keras's `fit`."""
    case = problem(overrides)
    stock, tape = case.stock(), case.model()
    histories = [
        model.fit(case.train.x, case.train.y, **case.fit_options, **options).history
        for model in (stock, tape)
    ]
    return stock, tape, *histories


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(overrides, id=name, marks=[] if number < 2 else pytest.mark.slow)
        for number, (name, overrides) in enumerate(VARIANTS.items())
    ],
)
def test_the_tape_step_gives_the_bits_of_keras(problem, same_weights, overrides):
    stock, tape, expected, actual = fit_both(problem, overrides)
    same_weights(tape, stock)
    for name in ("loss", "accuracy"):
        assert actual[name] == expected[name]


def test_sample_weights_give_the_bits_of_keras(problem, same_weights):
    weights = np.random.default_rng(2).random(70).astype(np.float32)
    stock, tape, expected, actual = fit_both(problem, {}, sample_weight=weights)
    case = problem()
    (plain := case.model()).fit(case.train.x, case.train.y, **case.fit_options)
    same_weights(tape, stock)
    assert actual["loss"] == expected["loss"]
    assert not np.array_equal(tape.get_weights()[0], plain.get_weights()[0])


def test_weighted_metrics_are_those_of_keras(problem):
    case = problem()
    weights = np.random.default_rng(2).random(70).astype(np.float32)
    models = case.network(), TapeModel(case.network())
    histories = []
    for model in models:
        model.compile(
            optimizer=keras.optimizers.SGD(0.1),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        history = model.fit(
            case.train.x, case.train.y, sample_weight=weights, **case.fit_options
        ).history
        history.pop("batch_loss", None)
        histories.append(history)
    assert histories[1] == histories[0]


def test_the_logged_loss_is_the_mean_over_rows_not_over_batches(problem):
    # A learning rate too small to move a weight leaves one loss for every batch's weights.
    case = problem({"training.optimizer": {"name": "sgd", "learning_rate": 1e-12}})
    logged = case.model().fit(case.train.x, case.train.y, **case.fit_options).history["loss"]
    network = case.network()
    logits = network(case.train.x)
    rows = keras.losses.sparse_categorical_crossentropy(
        case.train.y, logits, from_logits=True
    ).numpy()
    np.testing.assert_allclose(logged, [rows.mean()] * 3, rtol=1e-6)
    batches = [rows[:32].mean(), rows[32:64].mean(), rows[64:].mean()]
    assert abs(np.mean(batches) - rows.mean()) > 1e-4


def test_the_batch_loss_is_that_of_the_batch_alone(problem):
    case = problem({"training.optimizer": {"name": "sgd", "learning_rate": 1e-12}})
    model, losses = case.model(), []
    for first, last in ((0, 32), (32, 64), (64, 70)):
        batch = tf.constant(case.train.x[first:last]), tf.constant(case.train.y[first:last])
        losses.append(float(model.train_step(batch)["batch_loss"]))
    rows = keras.losses.sparse_categorical_crossentropy(
        case.train.y, case.network()(case.train.x), from_logits=True
    ).numpy()
    expected = [rows[:32].mean(), rows[32:64].mean(), rows[64:].mean()]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_a_weight_without_a_gradient_is_refused_by_name(problem):
    x = keras.Input((4,))
    used = keras.layers.Dense(3, name="used")(x)
    unused = keras.layers.Dense(3, name="unused")(x)
    stopped = keras.layers.Lambda(tf.stop_gradient)(unused)
    model = TapeModel(keras.Model(x, keras.layers.Add()([used, stopped])))
    model.compile(optimizer="sgd", loss="mse")
    case = problem()
    with pytest.raises(NumbersError, match=r"unused/kernel: expected a gradient"):
        model.fit(case.train.x, np.zeros((70, 3)), verbose=0)


def test_a_new_learning_rate_takes_effect_without_a_new_trace(problem):
    case = problem({"training.optimizer": {"name": "tape_sgd", "learning_rate": 0.1}})
    model = case.model()
    traces = 0

    @tf.function
    def step(x, y):
        nonlocal traces
        traces += 1
        return model.train_step((x, y))["batch_loss"]

    batch = tf.constant(case.train.x[:32]), tf.constant(case.train.y[:32])
    start = model.get_weights()

    def movement():
        model.set_weights(start)
        step(*batch)
        return model.get_weights()[0] - start[0]

    slow = movement()
    model.optimizer.learning_rate = 0.2
    fast = movement()
    np.testing.assert_allclose(fast, 2 * slow, rtol=1e-3, atol=1e-7)
    assert traces == 1


def test_the_network_holds_the_trained_weights(problem, same_weights):
    case = problem()
    network = case.network()
    before = network.get_weights()[0]
    model = TapeModel(network)
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    model.fit(case.train.x, case.train.y, verbose=0)
    same_weights(network, model)
    assert not np.array_equal(network.get_weights()[0], before)


def test_a_saved_model_is_the_plain_network(problem, same_weights, tmp_path):
    model = problem().model()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded).__module__.startswith("keras.")
    same_weights(loaded, model)


def test_a_network_without_a_trainable_weight_is_measured_and_stays():
    """As in Keras's `fit`, which trains nothing either."""
    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model = TapeModel(network)
    model.trainable = False
    model.compile(loss="mse")
    before = network.get_weights()
    history = model.fit(np.ones((8, 4)), np.ones((8, 1)), batch_size=3, verbose=0)
    value = float(network(np.ones((1, 4)))[0, 0])
    assert history.history["loss"][0] == pytest.approx((value - 1) ** 2, rel=1e-5)
    for weights, same in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, same)


def test_a_network_without_an_optimizer_is_refused():
    inputs = keras.Input((4,))
    model = TapeModel(keras.Model(inputs, keras.layers.Dense(1)(inputs)))
    model.compile(loss="mse")
    with pytest.raises(SpecError, match="expected an optimizer, got none"):
        model.train_step((tf.ones((2, 4)), tf.ones((2, 1))))
