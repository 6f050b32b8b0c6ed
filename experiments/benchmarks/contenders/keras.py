"""Keras's `fit` on NumPy arrays, everything as it is by default.

In the same work as kfc it has the metric `accuracy`, and the test rows as `validation_data`.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from data import Data
from measuring import Clock, Measurement, Scores, training_loss
from workloads import Workload


def train(workload: Workload, data: Data, seconds: float, *, same_work: bool) -> Measurement:
    """Measures one `fit` over many epochs."""
    return measure_fit(workload, data, seconds, same_work=same_work)


def measure_fit(
    workload: Workload,
    data: Data,
    seconds: float,
    *,
    same_work: bool,
    batches: tf.data.Dataset | None = None,
    settings: str = "",
    **compiling: Any,
) -> Measurement:
    """Measures `fit` on arrays, or on batches, after `compile` with more options."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(units, activation="relu") for units in workload.hidden]
    model = keras.Sequential(
        [keras.Input((workload.sizes[0],)), *layers, keras.layers.Dense(10)]
    )
    optimizers = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    losses = {
        "mse": keras.losses.MeanSquaredError(),
        "cross_entropy": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    model.compile(
        optimizer=optimizers[workload.optimizer](workload.learning_rate),
        loss=losses[workload.loss],
        metrics=["accuracy"] if same_work else None,
        **compiling,
    )
    first_loss = training_loss(model.get_weights(), workload, data)
    until = _Until(seconds)
    fitting = {"epochs": 10**9, "verbose": 0, "callbacks": [until]}
    if same_work:
        fitting["validation_data"] = (data.test_inputs(), data.test_targets(workload.loss))
    if batches is None:
        x, y = data.inputs(), data.targets(workload.loss)
        model.fit(x, y, batch_size=workload.batch_size, **fitting)
        samples = len(x)
    else:
        model.fit(batches, **fitting)
        samples = len(batches) * workload.batch_size
    if same_work:
        Scores(*map(until.logs.get, ("accuracy", "val_loss", "val_accuracy"))).check(
            model.get_weights(), workload, data
        )
    last_loss = training_loss(model.get_weights(), workload, data)
    return until.clock.measurement(
        samples, first_loss=first_loss, last_loss=last_loss, settings=settings
    )


class _Until(keras.callbacks.Callback):
    """Ends the training after the epoch in which the time is up."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.clock = Clock(self._seconds)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.logs = dict(logs or {})
        self.model.stop_training = self.clock.epoch_done()
