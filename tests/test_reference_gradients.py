"""Each formula of `kfc.reference` against TensorFlow's tape and central differences."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc import reference
from kfc.reference import ACTIVATIONS, LOSSES, numerical_gradient

TAPE = {"rtol": 1e-12, "atol": 1e-14}
IN_FLOAT32 = {"rtol": 2e-7, "atol": 1e-8}  # of leaky_relu's 0.2 and gelu's sqrt(2), in Keras
DIFFERENCES = {"rtol": 1e-6, "atol": 1e-8}


@pytest.fixture
def draw():
    """Normal numbers in float64; none is near 0, where relu and its kin have their kink."""
    generator = np.random.default_rng(0)

    def draw(*shape):
        values = generator.normal(size=shape)
        return values + 0.01 * np.sign(values)

    return draw


def tape(function, *arguments):
    """Returns the gradients of `function` by each argument, as float64 arrays."""
    variables = [tf.Variable(argument, dtype="float64") for argument in arguments]
    with tf.GradientTape() as recorded:
        result = function(*variables)
    return [gradient.numpy() for gradient in recorded.gradient(result, variables)]


def in_keras(name, x):
    return keras.activations.get(name)(x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_and_its_slope_are_keras_s(draw, name):
    x, g = draw(7, 5), draw(7, 5)
    forward, backward = ACTIVATIONS[name]
    bound = IN_FLOAT32 if name in ("leaky_relu", "gelu") else TAPE
    np.testing.assert_allclose(forward(x), in_keras(name, tf.constant(x)), **bound)
    (expected,) = tape(lambda v: tf.reduce_sum(g * in_keras(name, v)), x)
    np.testing.assert_allclose(backward(x, g), expected, **bound)
    numbers = numerical_gradient(lambda v: np.sum(g * forward(v)), x)
    np.testing.assert_allclose(backward(x, g), numbers, **DIFFERENCES)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "selu"])
def test_at_the_kink_the_slope_is_tensorflow_s(name):
    (expected,) = tape(lambda v: in_keras(name, v), np.zeros(1))
    found = ACTIVATIONS[name].backward(np.zeros(1), np.ones(1))
    np.testing.assert_allclose(found, expected, **IN_FLOAT32)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_stays_finite_far_from_0(name):
    x = np.array([-1e4, -745.0, 745.0, 1e4])
    for part in (ACTIVATIONS[name].forward(x), ACTIVATIONS[name].backward(x, np.ones(4))):
        assert np.isfinite(part).all()


def test_a_product_s_gradients_are_the_tape_s(draw):
    x, w, g = draw(4, 3), draw(3, 2), draw(4, 2)
    found = reference.matmul_backward(x, w, g)
    expected = tape(lambda a, b: tf.reduce_sum(g * (a @ b)), x, w)
    numbers = (
        numerical_gradient(lambda a: np.sum(g * reference.matmul(a, w)), x),
        numerical_gradient(lambda b: np.sum(g * reference.matmul(x, b)), w),
    )
    for by_hand, recorded, counted in zip(found, expected, numbers, strict=True):
        np.testing.assert_allclose(by_hand, recorded, **TAPE)
        np.testing.assert_allclose(by_hand, counted, **DIFFERENCES)


def test_softmax_and_its_gradient_are_the_tape_s(draw):
    x, g = draw(6, 4), draw(6, 4)
    np.testing.assert_allclose(reference.softmax(x), tf.nn.softmax(x), **TAPE)
    (expected,) = tape(lambda v: tf.reduce_sum(g * tf.nn.softmax(v)), x)
    np.testing.assert_allclose(reference.softmax_backward(x, g), expected, **TAPE)
    numbers = numerical_gradient(lambda v: np.sum(g * reference.softmax(v)), x)
    np.testing.assert_allclose(reference.softmax_backward(x, g), numbers, **DIFFERENCES)


def test_softmax_of_logits_of_ten_thousand_is_finite():
    x = np.array([[1e4, -1e4, 0.0], [1e4, 1e4, -1e4]])
    np.testing.assert_allclose(reference.softmax(x), [[1, 0, 0], [0.5, 0.5, 0]])
    assert np.isfinite(reference.softmax_backward(x, np.ones((2, 3)))).all()
    loss, gradient = LOSSES["cross_entropy"](x, np.array([1, 0]))
    assert loss == pytest.approx((2e4 + np.log(2)) / 2)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("epsilon", [0.0, 1e-12, 0.5])
def test_the_logarithm_s_gradient_is_the_tape_s(draw, epsilon):
    x, g = np.abs(draw(5)), draw(5)
    np.testing.assert_allclose(reference.log(x, epsilon), np.log(x + epsilon), **TAPE)
    (expected,) = tape(lambda v: tf.reduce_sum(g * tf.math.log(v + epsilon)), x)
    found = reference.log_backward(x, g, epsilon)
    np.testing.assert_allclose(found, expected, **TAPE)
    numbers = numerical_gradient(lambda v: np.sum(g * reference.log(v, epsilon)), x)
    np.testing.assert_allclose(found, numbers, **DIFFERENCES)


def labels_of(loss, rows, outputs):
    generator = np.random.default_rng(1)
    if loss == "binary_cross_entropy":
        return generator.integers(0, 2, rows)
    return generator.integers(0, outputs, rows)


KERAS_LOSSES = {
    "mse": lambda y, o: keras.losses.MeanSquaredError()(tf.one_hot(y, o.shape[1]), o),
    "cross_entropy": lambda y, o: keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
        y, o
    ),
    "binary_cross_entropy": lambda y, o: keras.losses.BinaryCrossentropy(from_logits=True)(
        tf.reshape(y, o.shape), o
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_are_keras_s(draw, float64, name):
    outputs = draw(6, 1 if name == "binary_cross_entropy" else 4)
    y = labels_of(name, 6, 4)
    value, gradient = LOSSES[name](outputs, y)
    np.testing.assert_allclose(value, KERAS_LOSSES[name](y, tf.constant(outputs)), **TAPE)
    (expected,) = tape(lambda v: KERAS_LOSSES[name](y, v), outputs)
    np.testing.assert_allclose(gradient, expected, **TAPE)
    numbers = numerical_gradient(lambda v: LOSSES[name](v, y)[0], outputs)
    np.testing.assert_allclose(gradient, numbers, **DIFFERENCES)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_label_smoothing_is_keras_s(draw, float64, smoothing):
    outputs, y = draw(6, 4), labels_of("cross_entropy", 6, 4)
    in_keras = keras.losses.CategoricalCrossentropy(True, label_smoothing=smoothing)
    value, gradient = reference.cross_entropy(outputs, y, smoothing)
    np.testing.assert_allclose(value, in_keras(np.eye(4)[y], tf.constant(outputs)), rtol=1e-7)
    (expected,) = tape(lambda v: in_keras(np.eye(4)[y], v), outputs)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)
    numbers = numerical_gradient(
        lambda v: reference.cross_entropy(v, y, smoothing)[0], outputs
    )
    np.testing.assert_allclose(gradient, numbers, **DIFFERENCES)


def test_the_gradients_with_dropout_and_by_the_rows_are_the_tape_s(draw, float64):
    w1, b1, w2, b2 = network(draw, 4, 6, 3)
    scale, slope, x, y = draw(4), draw(6), draw(7, 4), labels_of("cross_entropy", 7, 3)
    kept = np.where(draw(7, 6) > 0, 0.0, 1 / 0.75)
    weights = [scale, w1, b1, slope, w2, b2]
    options = {"activation": "mish", "kept": [kept]}
    _, found, dx = reference.backward(weights, x, y, loss="cross_entropy", **options)

    def computed(x, s, w1, b1, a, w2, b2):
        z = (s * x) @ w1 + b1
        signal = kept * (z + a * (in_keras("mish", z) - z))
        return KERAS_LOSSES["cross_entropy"](y, signal @ w2 + b2)

    expected = tape(computed, x, *weights)
    for by_hand, recorded in zip([dx, *found], expected, strict=True):
        np.testing.assert_allclose(by_hand, recorded, rtol=1e-10, atol=1e-12)


@pytest.fixture
def float64():
    """Lets Keras's losses compute in float64."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def test_the_squared_error_of_numbers_is_that_of_their_differences(draw):
    outputs, y = draw(5, 2), draw(5, 2)
    value, gradient = LOSSES["mse"](outputs, y)
    assert value == pytest.approx(np.mean((outputs - y) ** 2))
    np.testing.assert_allclose(gradient, (outputs - y) / 5, **TAPE)


def network(draw, *sizes):
    pairs = itertools.pairwise(sizes)
    return [part for inputs, units in pairs for part in (draw(inputs, units), draw(units))]


def tape_of_network(weights, x, y, names, loss):
    def computed(*variables):
        signal = tf.constant(x)
        for number, name in enumerate([*names, "linear"]):
            kernel, bias = variables[2 * number : 2 * number + 2]
            signal = in_keras(name, signal @ kernel + bias)
        return KERAS_LOSSES[loss](y, signal)

    return tape(computed, *weights)


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_network_s_gradients_are_the_tape_s(draw, float64, loss, activation, depth):
    outputs = 1 if loss == "binary_cross_entropy" else 3
    weights = network(draw, 4, *range(6, 6 - depth, -1), outputs)
    x, y = draw(7, 4), labels_of(loss, 7, outputs)
    value, found = reference.gradients(weights, x, y, activation=activation, loss=loss)
    assert value == LOSSES[loss](reference.forward(weights, x, activation=activation)[0], y)[0]
    expected = tape_of_network(weights, x, y, [activation] * depth, loss)
    for by_hand, recorded in zip(found, expected, strict=True):
        np.testing.assert_allclose(by_hand, recorded, rtol=1e-10, atol=1e-12)


def test_each_hidden_layer_may_have_an_activation_of_its_own(draw, float64):
    names = list(ACTIVATIONS)
    weights, x = network(draw, 3, *[4] * len(names), 2), draw(6, 3)
    y = labels_of("cross_entropy", 6, 2)
    _, found = reference.gradients(weights, x, y, activation=names, loss="cross_entropy")
    expected = tape_of_network(weights, x, y, names, "cross_entropy")
    for by_hand, recorded in zip(found, expected, strict=True):
        np.testing.assert_allclose(by_hand, recorded, **IN_FLOAT32)


@pytest.mark.parametrize("name", ["relu", "selu", "mish"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradients_of_an_input_scale_and_of_slopes_are_the_tape_s(
    draw, float64, loss, name
):
    outputs = 1 if loss == "binary_cross_entropy" else 3
    w1, b1, w2, b2, w3, b3 = network(draw, 4, 6, 5, outputs)
    weights = [draw(4), w1, b1, draw(6), w2, b2, w3, b3]  # the second layer has no slope
    x, y = draw(7, 4), labels_of(loss, 7, outputs)
    value, found = reference.gradients(weights, x, y, activation=name, loss=loss)

    def computed(s, w1, b1, a1, w2, b2, w3, b3):
        z = (s * x) @ w1 + b1
        signal = z + a1 * (in_keras(name, z) - z)
        return KERAS_LOSSES[loss](y, in_keras(name, signal @ w2 + b2) @ w3 + b3)

    assert value == pytest.approx(float(computed(*map(tf.constant, weights))), rel=1e-12)
    for by_hand, recorded in zip(found, tape(computed, *weights), strict=True):
        np.testing.assert_allclose(by_hand, recorded, rtol=1e-10, atol=1e-12)


def test_a_slope_of_1_is_the_activation_and_of_0_is_none(draw):
    w1, b1, w2, b2 = weights = network(draw, 4, 6, 2)
    x = draw(7, 4)
    for slope, name in ((np.ones(6), "mish"), (np.zeros(6), "linear")):
        bent, _ = reference.forward([w1, b1, slope, w2, b2], x, activation="mish")
        plain, _ = reference.forward(weights, x, activation=name)
        np.testing.assert_allclose(bent, plain, rtol=1e-13)


def test_a_network_s_gradients_are_its_central_differences(draw):
    weights, x, y = network(draw, 3, 4, 2), draw(5, 3), labels_of("mse", 5, 2)
    options = {"activation": "sigmoid", "loss": "cross_entropy"}
    _, found = reference.gradients(weights, x, y, **options)
    for number, by_hand in enumerate(found):

        def loss(weight, number=number):
            changed = [*weights[:number], weight, *weights[number + 1 :]]
            return reference.gradients(changed, x, y, **options)[0]

        counted = numerical_gradient(loss, weights[number])
        np.testing.assert_allclose(by_hand, counted, **DIFFERENCES)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_members_are_central_differences(draw, loss):
    outputs = 1 if loss == "binary_cross_entropy" else 2
    weights = [draw(3), draw(4, 3), draw(3, 5), draw(5), draw(5), draw(4, 5, outputs)]
    weights.append(draw(4, outputs))
    x, y = draw(6, 3), labels_of("mse", 6, 2)
    options = {"activation": "tanh", "loss": loss}
    value, found = reference.gradients(weights, x, y, **options)
    members, _ = reference.forward(weights, x, activation="tanh")
    each = [LOSSES[loss](members[:, k], y)[0] for k in range(4)]
    np.testing.assert_allclose(value, np.mean(each))
    for number, by_hand in enumerate(found):

        def changed(weight, number=number):
            others = [*weights[:number], weight, *weights[number + 1 :]]
            return reference.gradients(others, x, y, **options)[0]

        counted = numerical_gradient(changed, weights[number])
        np.testing.assert_allclose(by_hand, counted, **DIFFERENCES)


def test_forward_returns_what_each_layer_took_and_made(draw):
    weights, x = network(draw, 3, 4, 2), draw(5, 3)
    outputs, ((first, before), (second, last)) = reference.forward(
        weights, x, activation="tanh"
    )
    np.testing.assert_array_equal(first, x)
    np.testing.assert_array_equal(second, np.tanh(before))
    np.testing.assert_array_equal(last, outputs)


def test_weights_in_float32_are_computed_with_in_float64(draw):
    weights = [weight.astype(np.float32) for weight in network(draw, 3, 4, 2)]
    options = {"activation": "relu", "loss": "mse"}
    _, found = reference.gradients(
        weights, draw(5, 3).astype(np.float32), draw(5, 2), **options
    )
    assert {gradient.dtype for gradient in found} == {np.dtype("float64")}


@pytest.mark.parametrize("sizes", [(3, 2), (3, 4, 2), (5, 4, 3, 2)], ids=str)
def test_the_delta_rule_is_the_tape_s(draw, sizes):
    weights, x = network(draw, *sizes), draw(6, sizes[0])
    targets = np.random.default_rng(1).uniform(size=(6, sizes[-1]))

    def error(*variables):
        signal = tf.constant(x)
        for kernel, bias in zip(variables[::2], variables[1::2], strict=True):
            signal = tf.sigmoid(signal @ kernel + bias)
        return tf.reduce_sum((signal - targets) ** 2) / 2

    found = reference.delta_rule(weights, x, targets)
    for by_hand, recorded in zip(found, tape(error, *weights), strict=True):
        np.testing.assert_allclose(by_hand, recorded, **TAPE)
