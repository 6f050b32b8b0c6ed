"""Fits each problem on one device and on three, and prints how far the results differ.

    python mirrored_fits.py FOLDER PROBLEM...

The devices are three parts of the processor, which a process must make before its first
operation; therefore this is a script.
"""

import json
import os
import sys

import kfc
from kfc.system import import_tensorflow

import_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402

PLAIN = {
    "training.epochs": 3,
    "training.batch_size": 34,  # of 1,293 rows, so that the last batch has one row
    "training.optimizer": "tape_sgd",
    "network.activation": "tanh",
    "network.hidden": [24, 16],
    "report": False,
}
PROBLEMS = {
    "tape_sgd": ("digits", {}),
    "adam": ("digits", {"training.optimizer": "adam"}),
    "adam with dropout, decay and clipping": (
        "digits",
        {
            "training.optimizer.name": "adamw",
            "training.optimizer.global_clipnorm": 0.1,
            "network.dropout": 0.2,
            "network.l2": 0.001,
        },
    ),
    "class weights": (
        "digits",
        {
            "training.class_weight": "balanced",
            "training.loss.name": "cross_entropy",
            "training.loss.reduction": "mean_with_sample_weight",
        },
    ),
    "a loss of whole batches": (
        "digits",
        {"training.loss.name": "dice", "training.batch_size": 35},
    ),
    "regression": ({"data": {"source": "sklearn:diabetes"}}, {}),
    "members": ("digits", {"network.members": 4, "training.optimizer": "adam"}),
    "rows on the disk": ("digits", {"data.stream": "always", "data.source": "npy:."}),
    "early stopping": (
        "digits",
        {"training.early_stopping": {"patience": 1, "min_delta": 0.5}, "training.epochs": 9},
    ),
    "relu, one step": (
        "digits",
        {"network.activation": "relu", "training.epochs": 1, "training.batch_size": 1293},
    ),
}


def difference(spec, overrides):
    on_one, on_all = (
        kfc.fit(
            spec,
            overrides=PLAIN
            | overrides
            | {"training.distribute": how, "training.engine": form},
            verbose=False,
        )
        for how, form in (("none", "graph"), ("mirrored", "auto"))
    )
    assert on_all.spec.training.distribute == "mirrored"
    first, second = on_one.network.get_weights(), on_all.network.get_weights()
    largest = max(np.abs(each).max() for each in first)
    weights = max(np.abs(a - b).max() for a, b in zip(first, second, strict=True))
    metrics = max(
        abs(a - b)
        for name, values in on_one.history.items()
        for a, b in zip(values, on_all.history[name], strict=True)
    )
    return {"weights": float(weights / largest), "metrics": metrics, "epochs": on_all.epochs}


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 3
    )
    os.chdir(sys.argv[1])
    x, y = load_digits(return_X_y=True)
    np.save("x.npy", x.astype(np.float32)[:1293])
    np.save("y.npy", y[:1293])
    print(json.dumps({name: difference(*PROBLEMS[name]) for name in sys.argv[2:]}))
