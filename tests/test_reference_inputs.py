"""Each formula of `kfc.reference_inputs` against TensorFlow's tape and Keras's layers."""

import numpy as np
import pytest
import tensorflow as tf

from kfc import reference_inputs

EXACT = {"rtol": 1e-11, "atol": 1e-13}


@pytest.fixture
def draw():
    generator = np.random.default_rng(0)
    return lambda *shape: generator.normal(size=shape)


def tape(function, *arguments):
    """Returns the result of a function and its gradients by each argument, in float64."""
    variables = [tf.Variable(argument, dtype="float64") for argument in arguments]
    with tf.GradientTape() as recorded:
        result = function(*variables)
    return [gradient.numpy() for gradient in recorded.gradient(result, variables)]


def test_waves_and_their_gradients_are_the_tape_s(draw):
    x, w, b, v, c = draw(7, 4), draw(4, 5), draw(4, 5), draw(4, 5, 3), draw(4, 3)
    g = draw(7, 4 * 4)

    def computed(w, b, v, c):
        waves = tf.cos(2 * np.pi * x[:, :, None] * w + b)
        e = tf.einsum("bik,iko->bio", waves, v) + c
        return tf.concat([tf.reshape(e, (7, 12)), x], axis=1)

    np.testing.assert_allclose(
        reference_inputs.waves(x, w, b, v, c), computed(w, b, v, c), **EXACT
    )
    found = reference_inputs.waves_backward(x, w, b, v, g)
    expected = tape(lambda *weights: tf.reduce_sum(g * computed(*weights)), w, b, v, c)
    for by_hand, recorded in zip(found, expected, strict=True):
        np.testing.assert_allclose(by_hand, recorded, **EXACT)


def test_pieces_and_their_gradients_are_the_tape_s(draw):
    x, encoded, g = draw(7, 4), draw(7, 4, 5), draw(7, 4 * 3)
    w, c, v = draw(4, 3), draw(4, 3), draw(4, 5, 3)

    def computed(w, c, v):
        e = x[:, :, None] * w + c + tf.einsum("bik,iko->bio", encoded, v)
        return tf.reshape(e, (7, 12))

    np.testing.assert_allclose(
        reference_inputs.pieces(x, w, c, encoded, v), computed(w, c, v), **EXACT
    )
    found = reference_inputs.pieces_backward(x, encoded, g)
    expected = tape(lambda *weights: tf.reduce_sum(g * computed(*weights)), w, c, v)
    for by_hand, recorded in zip(found, expected, strict=True):
        np.testing.assert_allclose(by_hand, recorded, **EXACT)
