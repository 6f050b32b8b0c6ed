"""MNIST through the chain of operations: the tutorial's fifty steps."""

import os
import time
from pathlib import Path

import numpy as np
from operations import Network

import kfc
from kfc.data.sources.builtin_sources import idx

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("KFC_DATASETS", "datasets")) / "mnist"
STEP = 0.6  # on the mean loss; the tutorial's 1e-5 on the sum over 60,000 rows


def read_rows(folder=FOLDER):
    """Returns (x, labels) to train and to test on; x from 0 to 1 with a column of ones."""

    def prepared(rows):
        x = rows.x.reshape(len(rows.x), -1).astype(np.float32) / 255
        return np.hstack([x, np.ones_like(x[:, :1])]), rows.y  # (rows, 785)

    source = idx(str(folder))
    return prepared(source.train), prepared(source.test)


def start(seed, inputs=785, hidden=100, classes=10):
    """Returns w1 and w2, normal with deviation 1, in float32."""
    generator = np.random.default_rng(seed)
    shapes = (inputs, hidden), (hidden, classes)
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


def train(train_rows, test_rows, *, seed, stable, epochs=50):
    """Trains full batch and returns what came of it.

    Returns:
        The mean loss, both accuracies, the shares of training rows whose true class has a
        probability below 1e-12 before and after, and the seconds of the steps.
    """
    (x, labels), (x_test, labels_test) = train_rows, test_rows
    onehot = np.eye(10, dtype=np.float32)[labels]
    weights, network = start(seed), Network(stable=stable)
    before, began = impossible(network.logits(x, *weights), labels), time.perf_counter()
    for _ in range(epochs):
        network.forward(x, onehot, *weights)
        for weight, gradient in zip(weights, network.backward(), strict=True):
            weight -= STEP / len(x) * gradient
    seconds = time.perf_counter() - began
    loss = network.forward(x, onehot, *weights) / len(x)
    logits = network.logits(x, *weights)
    test_logits = network.logits(x_test, *weights)
    return {
        "loss": float(loss),
        "train_accuracy": float(np.mean(logits.argmax(axis=1) == labels)),
        "test_accuracy": float(np.mean(test_logits.argmax(axis=1) == labels_test)),
        "silent_before": before,
        "silent_after": impossible(logits, labels),
        "seconds": seconds,
    }


def impossible(logits, labels):
    """Returns the share of rows whose true class has a probability below 1e-12."""
    highest = logits.max(axis=1)
    totals = np.exp(logits - highest[:, None]).sum(axis=1)
    logs = logits[np.arange(len(labels)), labels] - highest - np.log(totals)
    return float(np.mean(logs < np.log(1e-12)))


def train_by_kfc(changes, *, runs):
    """Returns the numbers of kfc's own; loss and train_accuracy are from before the last step.

    Args:
        changes: Dotted path -> value, for `spec.yaml`.
        runs: Folder for the run folder.
    """
    run = kfc.fit(HERE / "spec.yaml", overrides=changes, runs=runs, verbose=False)
    return {
        "loss": run.history["loss"][-1],
        "train_accuracy": run.history["accuracy"][-1],
        "test_accuracy": run.metrics["test_accuracy"],
        "seconds": run.seconds,
    }


def spread(results):
    """Returns [lowest, median, highest] of each number."""
    return {
        name: np.quantile([result[name] for result in results], (0, 0.5, 1)).round(4).tolist()
        for name in results[0]
    }
