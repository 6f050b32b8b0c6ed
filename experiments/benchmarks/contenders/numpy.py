"""Training by hand in NumPy: float32, arrays made beforehand, all weights in one vector."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from data import Data
from measuring import (
    Measurement,
    Scores,
    accuracy_of,
    logits_of,
    loss_of,
    measure_training,
    start_weights,
)
from workloads import Workload


def train(workload: Workload, data: Data, seconds: float, *, same_work: bool) -> Measurement:
    """Measures it; an epoch is of whole batches."""
    network = _Network(workload)
    x, y, classes = data.inputs(), data.targets("mse"), data.y
    test_x, test_y = data.test_inputs(), data.test_targets(workload.loss)
    generator, size = np.random.default_rng(0), workload.batch_size
    rows = len(x) - len(x) % size

    def epoch() -> Scores | None:
        order, right = generator.permutation(len(x)), 0
        for first in range(0, rows, size):
            batch = order[first : first + size]
            network.step(x, y, batch, classes=classes if same_work else None)
            right += network.right
        if not same_work:
            return None
        logits = logits_of(network.weights, test_x)
        return Scores(
            accuracy=right / rows,
            test_loss=loss_of(logits, test_y, workload.loss),
            test_accuracy=accuracy_of(logits, data.y_test),
        )

    return measure_training(
        epoch, lambda: network.weights, workload, data, seconds=seconds, whole_batches=True
    )


class _Network:
    """Weights, gradients and the batch's arrays, all reused from step to step."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        start = start_weights(workload)
        self._vector = np.concatenate([weight.ravel() for weight in start])
        self._gradient, self._mean, self._square, self._work = np.zeros(
            (4, len(self._vector)), np.float32
        )
        ends = [0, *np.cumsum([weight.size for weight in start])]
        shapes = [weight.shape for weight in start]
        self.weights, self._gradients = (
            [vector[a:b].reshape(s) for (a, b), s in zip(pairwise(ends), shapes, strict=True)]
            for vector in (self._vector, self._gradient)
        )
        sizes, batch = workload.sizes, workload.batch_size
        self._hidden = [np.empty((batch, units), np.float32) for units in sizes]
        self._deltas = [np.empty((batch, units), np.float32) for units in sizes]
        self._y = np.empty((batch, sizes[-1]), np.float32)
        self._steps = 0
        self.right = 0

    def step(
        self,
        x: np.ndarray,
        y: np.ndarray,
        rows: np.ndarray,
        *,
        classes: np.ndarray | None = None,
    ) -> None:
        """Trains on the batch of these rows; with classes, it counts the right ones."""
        # Without "clip" take() works in a copy of `out`.
        np.take(x, rows, axis=0, out=self._hidden[0], mode="clip")
        np.take(y, rows, axis=0, out=self._y, mode="clip")
        self._forward()
        if classes is not None:
            self.right = int(np.sum(self._hidden[-1].argmax(axis=1) == classes[rows]))
        self._backward()
        (self._adam if self.workload.optimizer == "adam" else self._sgd)()

    def _forward(self) -> None:
        last = len(self._hidden) - 2
        for i in range(last + 1):
            out = np.matmul(self._hidden[i], self.weights[2 * i], out=self._hidden[i + 1])
            out += self.weights[2 * i + 1]
            if i < last:
                np.maximum(out, 0, out=out)

    def _backward(self) -> None:
        delta = self._hidden[-1]
        if self.workload.loss == "cross_entropy":
            delta -= delta.max(axis=1, keepdims=True)
            np.exp(delta, out=delta)
            delta /= delta.sum(axis=1, keepdims=True)
        delta -= self._y
        delta *= np.float32(2 / delta.size if self.workload.loss == "mse" else 1 / len(delta))
        for i in reversed(range(len(self._hidden) - 1)):
            np.matmul(self._hidden[i].T, delta, out=self._gradients[2 * i])
            np.sum(delta, axis=0, out=self._gradients[2 * i + 1])
            if i:
                delta = np.matmul(delta, self.weights[2 * i].T, out=self._deltas[i])
                delta *= self._hidden[i] > 0

    def _sgd(self) -> None:
        self._gradient *= np.float32(self.workload.learning_rate)
        self._vector -= self._gradient

    def _adam(self) -> None:
        self._steps += 1
        gradient, work = self._gradient, self._work
        np.subtract(gradient, self._mean, out=work)
        self._mean += np.multiply(work, np.float32(0.1), out=work)
        np.subtract(np.multiply(gradient, gradient, out=work), self._square, out=work)
        self._square += np.multiply(work, np.float32(0.001), out=work)
        np.sqrt(self._square, out=work)
        work += np.float32(1e-7)
        np.divide(self._mean, work, out=work)
        correction = np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
        work *= np.float32(self.workload.learning_rate * correction)
        self._vector -= work
