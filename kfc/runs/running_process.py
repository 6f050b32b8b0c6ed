"""Describes the process that trains: its machine, its versions, its devices."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kfc.runs import environment


def running_process() -> dict[str, Any]:
    """Returns the machine, versions, devices and Keras settings of this process."""
    threads = tf.config.threading.get_intra_op_parallelism_threads() or None
    return environment.machine(threads) | {
        "devices": [device.name for device in tf.config.list_physical_devices()],
        "keras": {"floatx": keras.config.floatx(), "epsilon": keras.config.epsilon()},
    }
