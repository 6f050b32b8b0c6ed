"""The loop of TensorFlow's tutorials: eager, variables by hand, one batch at a time."""

from __future__ import annotations

import keras
import tensorflow as tf
from data import Data
from measuring import Measurement, measure_training, start_weights
from workloads import Workload


def train(workload: Workload, data: Data, seconds: float) -> Measurement:
    """Measures it; Adam is Keras's, as nobody writes it by hand in a tutorial."""
    variables = [tf.Variable(weight) for weight in start_weights(workload)]
    optimizer = keras.optimizers.Adam(workload.learning_rate)
    pairs = (data.inputs(), data.targets(workload.loss))
    batches = tf.data.Dataset.from_tensor_slices(pairs)
    batches = batches.shuffle(len(data.x)).batch(workload.batch_size)

    def epoch() -> None:
        for x, y in batches:
            with tf.GradientTape() as tape:
                loss = _loss(workload.loss, y, _forward(variables, x))
            gradients = tape.gradient(loss, variables)
            if workload.optimizer == "adam":
                optimizer.apply_gradients(zip(gradients, variables, strict=True))
            else:
                for variable, gradient in zip(variables, gradients, strict=True):
                    variable.assign_sub(workload.learning_rate * gradient)

    def weights() -> list:
        return [variable.numpy() for variable in variables]

    return measure_training(epoch, weights, workload, data, seconds=seconds)


def _forward(variables: list[tf.Variable], x: tf.Tensor) -> tf.Tensor:
    for kernel, bias in zip(variables[:-2:2], variables[1:-2:2], strict=True):
        x = tf.nn.relu(x @ kernel + bias)
    return x @ variables[-2] + variables[-1]


def _loss(name: str, y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    if name == "mse":
        return tf.reduce_mean(tf.square(logits - y))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
    return tf.reduce_mean(losses)
