"""The operations and their chain -> how far their gradients are from the tape's."""

import numpy as np
import tensorflow as tf
from operations import Log, LogSoftmax, Matmul, Network, Relu, Softmax

OPERATIONS = {
    "matmul": (Matmul(), tf.matmul, [(4, 3), (3, 2)]),
    "relu": (Relu(), tf.nn.relu, [(4, 3)]),
    "softmax": (Softmax(), tf.nn.softmax, [(4, 3)]),
    "log": (Log(), lambda x: tf.math.log(x + 1e-12), [(4, 3)]),
    "log_softmax": (LogSoftmax(), tf.nn.log_softmax, [(4, 3)]),
}
"""Name -> the operation, TensorFlow's, and the shapes of what they take."""


def check():
    """Returns the largest error of each gradient, as a share of its largest number."""
    generator = np.random.default_rng(0)
    found = {}
    for name, (operation, function, shapes) in OPERATIONS.items():
        inputs = [generator.uniform(0.1, 1, shape) for shape in shapes]
        inputs[0] -= 0.5 * (name != "log")  # both sides of relu's kink
        gradient = generator.normal(size=operation.forward(*inputs).shape)
        by_hand = operation.backward(gradient)
        by_hand = by_hand if isinstance(by_hand, tuple) else (by_hand,)
        tape = gradients(lambda *x, f=function, g=gradient: tf.reduce_sum(g * f(*x)), *inputs)
        found[name] = worst(by_hand, tape)
    weights = [generator.normal(size=shape) for shape in ((8, 6), (6, 3))]
    for stable in (False, True):
        by_hand, tape = chain(weights, generator.normal(size=(9, 8)), stable=stable)
        found["stable chain" if stable else "chain"] = worst(by_hand, tape)
    return found


def chain(weights, x, *, stable):
    """Returns the gradients of the whole chain by hand, and by the tape."""
    onehot = np.eye(3)[np.arange(len(x)) % 3]
    network = Network(stable=stable)
    network.forward(x, onehot, *weights)

    def loss(w1, w2):
        logits = tf.nn.relu(x @ w1) @ w2
        if stable:
            return -tf.reduce_sum(onehot * tf.nn.log_softmax(logits))
        return -tf.reduce_sum(onehot * tf.math.log(tf.nn.softmax(logits) + 1e-12))

    return network.backward(), gradients(loss, *weights)


def gradients(function, *inputs):
    """Returns the tape's gradients of `function` by each input."""
    variables = [tf.Variable(value) for value in inputs]
    with tf.GradientTape() as tape:
        result = function(*variables)
    return [gradient.numpy() for gradient in tape.gradient(result, variables)]


def worst(by_hand, expected):
    """Returns the largest difference as a share of the largest number."""
    pairs = zip(by_hand, expected, strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
