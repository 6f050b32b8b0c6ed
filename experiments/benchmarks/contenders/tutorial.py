"""The loop of TensorFlow's tutorials: eager, variables by hand, one batch at a time."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from data import Data
from measuring import Measurement, Scores, measure_training, start_weights
from workloads import Workload


def train(workload: Workload, data: Data, seconds: float, *, same_work: bool) -> Measurement:
    """Measures it; Adam is Keras's, as nobody writes it by hand in a tutorial."""
    variables = [tf.Variable(weight) for weight in start_weights(workload)]
    optimizer = keras.optimizers.Adam(workload.learning_rate)
    rows = (data.inputs(), data.targets(workload.loss), data.y.astype(np.int64))
    batches = tf.data.Dataset.from_tensor_slices(rows)
    batches = batches.shuffle(len(data.x)).batch(workload.batch_size)
    test_x, test_y = data.test_inputs(), data.test_targets(workload.loss)

    def epoch() -> Scores | None:
        counter = keras.metrics.Mean()
        for x, y, classes in batches:
            with tf.GradientTape() as tape:
                logits = _forward(variables, x)
                loss = _loss(workload.loss, y, logits)
            if same_work:
                counter.update_state(_right(logits, classes))
            gradients = tape.gradient(loss, variables)
            if workload.optimizer == "adam":
                optimizer.apply_gradients(zip(gradients, variables, strict=True))
            else:
                for variable, gradient in zip(variables, gradients, strict=True):
                    variable.assign_sub(workload.learning_rate * gradient)
        if not same_work:
            return None
        logits = _forward(variables, test_x)
        return Scores(
            accuracy=float(counter.result()),
            test_loss=float(_loss(workload.loss, test_y, logits)),
            test_accuracy=float(tf.reduce_mean(_right(logits, data.y_test.astype(np.int64)))),
        )

    def weights() -> list:
        return [variable.numpy() for variable in variables]

    return measure_training(epoch, weights, workload, data, seconds=seconds)


def _forward(variables: list[tf.Variable], x: tf.Tensor) -> tf.Tensor:
    for kernel, bias in zip(variables[:-2:2], variables[1:-2:2], strict=True):
        x = tf.nn.relu(x @ kernel + bias)
    return x @ variables[-2] + variables[-1]


def _right(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Returns 1 for each row whose largest logit is that of its class, else 0."""
    return tf.cast(tf.argmax(logits, axis=1) == classes, tf.float32)


def _loss(name: str, y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    if name == "mse":
        return tf.reduce_mean(tf.square(logits - y))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
    return tf.reduce_mean(losses)
