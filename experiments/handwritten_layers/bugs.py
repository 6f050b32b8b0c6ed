"""Two bugs of the hand-written loop that kfc cannot have, in plain TensorFlow."""

import tensorflow as tf

RATE = 0.001


def show_bugs():
    """Returns what each bug does, and what its cure does."""
    return {
        "w = w - lr * g": [_gradients_of_two_steps(rebind=True)],
        "w.assign_sub(lr * g)": [_gradients_of_two_steps(rebind=False)],
        "int64 == int32": [_compare(tf.int32)],
        "int64 == int64": [_compare(tf.int64)],
    }


def _gradients_of_two_steps(*, rebind):
    """Returns whether each of two steps has a gradient, and what `w` is in the end."""
    w, found = tf.Variable([3.0]), []
    for _ in range(2):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(w**2)
        gradient = tape.gradient(loss, w)
        found.append(gradient is not None)
        if gradient is None:
            continue  # `lr * g` would now raise
        if rebind:
            w = w - RATE * gradient  # a tensor, which no tape watches
        else:
            w.assign_sub(RATE * gradient)
    return {"gradient": found, "w": "Variable" if isinstance(w, tf.Variable) else "Tensor"}


def _compare(dtype):
    """Returns the accuracy of a prediction against labels of `dtype`, or the error."""
    labels = tf.constant([1, 0], dtype)
    predicted = tf.argmax([[0.1, 0.9], [0.2, 0.8]], axis=1)  # int64, (rows,)
    try:
        equal = tf.equal(predicted, labels)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        return type(error).__name__
    return float(tf.reduce_mean(tf.cast(equal, tf.float32)))
