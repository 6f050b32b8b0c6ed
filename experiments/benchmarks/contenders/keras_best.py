"""Keras's `fit` in the forms that were found fast, of which the fastest counts."""

from __future__ import annotations

import itertools

import tensorflow as tf
from data import Data
from measuring import Measurement
from workloads import Workload

from contenders.keras import measure_fit


def train(workload: Workload, data: Data, seconds: float, *, same_work: bool) -> Measurement:
    """Measures each form for a third of the time: none is best for all workloads.

    All run an epoch in one execution. The rows come from arrays, or as batches gathered
    inside the input pipeline; the step is compiled by XLA, or not.
    """
    measured = []
    for gathered, xla in itertools.product((False, True), repeat=2):
        batches = _batches(workload, data) if gathered else None
        form = ("gathered" if gathered else "arrays", "XLA" if xla else "graph")
        measured.append(
            measure_fit(
                workload,
                data,
                seconds / 3,
                same_work=same_work,
                batches=batches,
                settings=", ".join(form),
                jit_compile=xla,
                steps_per_execution=-(-len(data.x) // workload.batch_size),
            )
        )
    return max(measured, key=lambda measurement: measurement.samples_per_second)


def _batches(workload: Workload, data: Data) -> tf.data.Dataset:
    """Returns an epoch of whole batches, in a new order each time it is read."""
    x, y = tf.constant(data.inputs()), tf.constant(data.targets(workload.loss))
    steps = len(data.x) // workload.batch_size

    def orders(_: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.shuffle(tf.range(len(data.x)))[: steps * workload.batch_size]
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [steps, -1]))

    rows = tf.data.Dataset.range(1).flat_map(orders)
    rows = rows.apply(tf.data.experimental.assert_cardinality(steps))
    pairs = rows.map(lambda i: (tf.gather(x, i), tf.gather(y, i)), tf.data.AUTOTUNE)
    return pairs.prefetch(tf.data.AUTOTUNE)
