"""The tutorial's `repeat()` without a count, in plain TensorFlow, in Keras and in kfc."""

import itertools

import keras
import numpy as np
import tensorflow as tf

import kfc
from kfc.errors import DataError

ROWS, BATCH = 60_000, 100


def show_endless(epochs=3):
    """Returns how many steps a first epoch of 600 has, for as long as anybody looks.

    Args:
        epochs: After so many times 600 steps, and one more, the loops are stopped.
    """
    looks = epochs * ROWS // BATCH + 1
    labels = np.arange(ROWS, dtype=np.int32) % 10
    rows = tf.data.Dataset.from_tensor_slices((np.eye(10, dtype=np.float32)[labels], labels))
    batches = rows.batch(BATCH).repeat()
    return {
        "steps per epoch": ROWS // BATCH,
        "for x, y in batches": sum(1 for _ in itertools.islice(batches, looks)),
        "network.fit(batches)": _steps_of_fit(batches, looks),
        "kfc.fit(data=batches)": _refusal(batches),
    }


def _steps_of_fit(batches, looks):
    """Returns the steps of Keras's first epoch when a callback at last stops it."""
    network = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("sgd", loss)
    last = {}

    def stop(batch, logs):
        last["step"] = batch + 1
        if last["step"] == looks:
            network.stop_training = True

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    network.fit(batches, epochs=1, callbacks=[callback], shuffle=False, verbose=0)
    return last["step"]


def _refusal(batches):
    try:
        kfc.fit({"training": {"epochs": 1}}, data=batches)
    except DataError as error:
        return f"exit code {error.exit_code}: {error}"
    return "trained"
