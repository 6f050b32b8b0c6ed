"""An epoch on MNIST in each form of the engine, against `kfc.reference` in float64."""

import argparse
import gzip
import json
import os
import tempfile
from pathlib import Path

import numpy as np

import kfc
from kfc import reference, reference_updates

RATE = 0.05
ACTIVATIONS = ("tanh", "relu")
LOSSES = ("mse", "cross_entropy")


def train_epoch(x, labels, weights, *, activation, loss, batch_size):
    """Gradient descent over the rows as they come.

    Returns:
        The weights, and the mean loss over rows, each before its batch's update.
    """
    update, total = reference_updates.SGD(RATE), 0.0
    for first in range(0, len(x), batch_size):
        batch, truth = x[first : first + batch_size], labels[first : first + batch_size]
        value, gradients = reference.gradients(
            weights, batch, truth, activation=activation, loss=loss
        )
        total += value * len(batch)
        weights = update.step(weights, gradients)
    return weights, total / len(x)


def read_rows(folder):
    """Returns MNIST's training images, (60000, 784) from 0 to 1, and labels."""

    def read(name, header):
        with gzip.open(folder / name) as content:
            return np.frombuffer(content.read(), np.uint8, offset=header)

    images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784) / 255.0
    return images, read("train-labels-idx1-ubyte.gz", 8)


def epoch_spec(activation, loss, *, batch_size=128, optimizer="tape_sgd"):
    """The network of the tutorials, one epoch, rows as they come."""
    return {
        "data": {"validation": 0, "pixels": True},  # rows of 784 bytes: flattened images
        "network": {
            "hidden": [256, 128],
            "activation": activation,
            "init": {"name": "truncated_normal", "stddev": 0.1},
        },
        "training": {
            "loss": loss,
            "optimizer": {"name": optimizer, "learning_rate": RATE},
            "batch_size": batch_size,
            "epochs": 1,
            "shuffle": False,
        },
    }


def compare(x, labels, spec, *, engines, runs):
    """Returns the errors of kfc's epoch by engine.

    Args:
        x: Images from 0 to 1, float64; kfc gets the bytes they were.
        labels: Their classes.
        spec: What to train, from `epoch_spec`.
        engines: Forms of kfc's engine.
        runs: Folder for run folders.
    """
    start = kfc.build(spec, input_shape=(784,), classes=10).get_weights()
    training = {name: spec["training"][name] for name in ("loss", "batch_size")}
    activation = spec["network"]["activation"]
    expected, expected_loss = train_epoch(x, labels, start, activation=activation, **training)
    pixels = np.round(x * 255).astype(np.uint8)
    data = ((pixels, labels), (pixels[:1000], labels[:1000]))
    found = {}
    for engine in engines:
        form = {"training.engine": engine}
        run = kfc.fit(spec, overrides=form, data=data, runs=runs, verbose=False)
        loss = run.history["loss"][0]
        found[engine] = {
            **weight_errors(run.model.get_weights(), expected, start),
            "loss": abs(loss - expected_loss) / expected_loss,
        }
    return found


def weight_errors(weights, expected, start):
    """Returns the worst error of any weight as three shares.

    Returns:
        `weights`, of the largest movement of any weight; `of_largest`, of the largest weight;
        `of_own_movement`, of the largest movement within the same kernel or bias.
    """

    def furthest(these, those):
        return np.array([np.abs(a - b).max() for a, b in zip(these, those, strict=True)])

    errors = furthest(weights, expected)
    return {
        "weights": float(errors.max() / furthest(expected, start).max()),
        "of_largest": float(errors.max() / max(np.abs(weight).max() for weight in expected)),
        "of_own_movement": float((errors / furthest(weights, start)).max()),
    }


def measure(folder, *, small=False, batch_size=128, runs="runs"):
    """Returns the errors by activation, loss and engine."""
    x, labels = read_rows(folder)
    if small:
        x, labels = x[:1500], labels[:1500]
    options = {"engines": ("xla", "graph", "eager"), "runs": runs}
    return {
        activation: {
            loss: compare(
                x, labels, epoch_spec(activation, loss, batch_size=batch_size), **options
            )
            for loss in LOSSES
        }
        for activation in ACTIVATIONS
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="1,500 images, 12 steps")
    parser.add_argument("--batch-size", type=int, default=128)
    default = Path(os.environ.get("KFC_DATASETS", "datasets")) / "mnist"
    parser.add_argument("--mnist", type=Path, default=default, help="folder of MNIST's files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        chosen = {"small": options.small, "batch_size": options.batch_size}
        print(json.dumps(measure(options.mnist, **chosen, runs=runs), indent=1))
