"""The judge's criterion: one epoch on real MNIST against NumPy in float64, written by hand."""

import gzip

import numpy as np
import pytest

import kfc


def forward(x, weights, activate):
    """Returns the input of each layer, and the logits."""
    inputs = [x]
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        inputs.append(activate(inputs[-1] @ kernel + bias))
    return inputs, inputs[-1] @ weights[-2] + weights[-1]


def squared_error(logits, labels):
    """Mean squared error with one-hot rows: the loss, and its gradient by the logits."""
    errors = logits - np.eye(10)[labels]
    return np.mean(errors**2), 2 * errors / errors.size


def cross_entropy(logits, labels):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    losses = -np.log(shares[np.arange(len(labels)), labels])
    return losses.mean(), (shares - np.eye(10)[labels]) / len(labels)


# Name -> the activation, and its derivative in terms of its own value.
ACTIVATIONS = {
    "tanh": (np.tanh, lambda value: 1 - value**2),
    "relu": (lambda x: np.maximum(x, 0), lambda value: (value > 0).astype(float)),
}
# Name -> the loss with its gradient, and the batch size of the criterion.
LOSSES = {"mse": (squared_error, 128), "cross_entropy": (cross_entropy, 256)}


def train_epoch(x, labels, weights, *, activation, loss, rate=0.05):
    """Gradient descent over the rows as they come.

    Returns:
        The weights, and the mean loss over rows, each before its batch's update.
    """
    activate, slope = ACTIVATIONS[activation]
    loss_of, batch_size = LOSSES[loss]
    weights, total = [np.array(weight, np.float64) for weight in weights], 0.0
    for first in range(0, len(x), batch_size):
        batch, truth = x[first : first + batch_size], labels[first : first + batch_size]
        inputs, logits = forward(batch, weights, activate)
        value, gradient = loss_of(logits, truth)
        total += value * len(batch)
        for layer in reversed(range(len(inputs))):
            kernel = weights[2 * layer].copy()
            weights[2 * layer] -= rate * inputs[layer].T @ gradient
            weights[2 * layer + 1] -= rate * gradient.sum(axis=0)
            gradient = (gradient @ kernel.T) * slope(inputs[layer])
    return weights, total / len(x)


def read(file, header):
    with gzip.open(file) as content:
        return np.frombuffer(content.read(), np.uint8, offset=header)


@pytest.fixture(scope="module")
def folder(idx_datasets):
    return idx_datasets / "mnist"


@pytest.fixture(scope="module")
def rows(folder):
    images = read(folder / "train-images-idx3-ubyte.gz", 16).reshape(60_000, 784) / 255.0
    return images, read(folder / "train-labels-idx1-ubyte.gz", 8)


@pytest.mark.parametrize(
    ("activation", "tolerance"), [("tanh", 1e-4), ("relu", 5e-3)], ids=["tanh", "relu"]
)
@pytest.mark.parametrize("loss", LOSSES)
def test_an_epoch_on_mnist_agrees_with_numpy(
    folder, rows, tmp_path, loss, activation, tolerance
):
    optimizer = {"mse": "sgd", "cross_entropy": "tape_sgd"}[loss]
    spec = {
        "data": {"source": f"idx:{folder}", "validation": 0},
        "network": {
            "hidden": [256, 128],
            "activation": activation,
            "init": {"name": "truncated_normal", "stddev": 0.1},
        },
        "training": {
            "loss": loss,
            "optimizer": {"name": optimizer, "learning_rate": 0.05},
            "batch_size": LOSSES[loss][1],
            "epochs": 1,
            "shuffle": False,
        },
    }
    start = kfc.build(spec, input_shape=(784,), classes=10).get_weights()
    expected, expected_loss = train_epoch(*rows, start, activation=activation, loss=loss)
    run = kfc.fit(spec, runs=tmp_path, verbose=False)

    largest = max(np.abs(weight).max() for weight in expected)
    for got, want, first in zip(run.model.get_weights(), expected, start, strict=True):
        assert np.abs(got - want).max() <= tolerance * largest
        assert np.abs(got - first).max() > 10 * np.abs(got - want).max()
    assert run.history["loss"] == pytest.approx([expected_loss], abs=2e-4)
