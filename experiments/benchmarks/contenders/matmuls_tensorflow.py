"""The bare matrix products of a step in a TensorFlow loop, with XLA or without it."""

from __future__ import annotations

import tensorflow as tf
from data import Data
from measuring import Measurement, time_epochs
from workloads import Workload

from contenders.matmuls_numpy import operands, steps_per_call


def train(workload: Workload, data: Data, seconds: float) -> Measurement:
    """Measures both forms for half of the time each, and returns the faster."""
    measured = [_measure(workload, seconds / 2, xla=xla) for xla in (True, False)]
    return max(measured, key=lambda measurement: measurement.samples_per_second)


def _measure(workload: Workload, seconds: float, *, xla: bool) -> Measurement:
    x, kernels = (tf.nest.map_structure(tf.constant, part) for part in operands(workload))
    steps = steps_per_call(workload)
    loop = tf.function(_products, autograph=False, jit_compile=xla)
    return time_epochs(
        lambda: loop(x, kernels, tf.constant(steps))[1].numpy(),
        samples=steps * workload.batch_size,
        seconds=seconds,
        settings="TensorFlow, XLA" if xla else "TensorFlow, graph",
    )


def _products(x: tf.Tensor, kernels: list[tf.Tensor], steps: tf.Tensor) -> tuple:
    """Returns the last step's gradients, so that no product can be left out.

    A number of each step's last product goes into the next step's batch: otherwise a
    compiler may compute the products once, ahead of the loop.
    """

    def body(step, x, feedback, _):
        x = tf.tensor_scatter_nd_update(x, [[0, 0]], feedback[:1, 0])
        hidden = [x]
        for kernel in kernels:
            hidden.append(hidden[-1] @ kernel)
        delta, gradients = hidden[-1], []
        for i in reversed(range(len(kernels))):
            gradients.insert(0, tf.matmul(hidden[i], delta, transpose_a=True))
            if i:
                delta = tf.matmul(delta, kernels[i], transpose_b=True)
        return step + 1, x, delta, gradients

    start = (
        tf.constant(0),
        x,
        tf.zeros([x.shape[0], kernels[0].shape[1]]),
        [tf.zeros_like(kernel) for kernel in kernels],
    )
    _, _, delta, gradients = tf.while_loop(lambda step, *_: step < steps, body, start)
    return gradients, delta[0, 0]
