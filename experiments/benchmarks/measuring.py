"""Whole epochs -> samples per second, and weights -> scores that prove them trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from data import Data
from workloads import Workload

Weights = Sequence[np.ndarray]
"""Kernel and bias of each layer in turn: (inputs, outputs), (outputs,)."""

_CHECKED_ROWS = 2000


@dataclass(frozen=True)
class Scores:
    """What `kfc.fit` knows at the end of an epoch, and a peer in the same work too.

    Args:
        accuracy: Share of right classes over the epoch's batches, before each update; None
            where a library cannot count them.
        test_loss: Mean loss of the test rows, by the weights at the end of the epoch.
        test_accuracy: Share of right classes among the test rows.
    """

    accuracy: float | None
    test_loss: float
    test_accuracy: float

    def check(self, weights: Weights, workload: Workload, data: Data) -> None:
        """Raises a RuntimeError unless NumPy finds the same for the test rows.

        Rounding may turn the class of a row whose two largest logits are equal.
        """
        y = data.test_targets(workload.loss)
        outputs = logits_of(weights, data.test_inputs())
        expected = (loss_of(outputs, y, workload.loss), accuracy_of(outputs, data.y_test))
        found = (self.test_loss, self.test_accuracy)
        if not np.allclose(found, expected, rtol=1e-3, atol=2 / len(y)):
            raise RuntimeError(f"it evaluates wrongly: {found}, by NumPy {expected}")
        if self.accuracy is not None and not 0 < self.accuracy <= 1:
            raise RuntimeError(f"it counts wrongly: a training accuracy of {self.accuracy}")


@dataclass(frozen=True)
class Measurement:
    """What a contender reports of a workload.

    Args:
        samples_per_second: Over whole epochs after the first.
        first_epoch_seconds: Of the first epoch, compilation and all.
        first_loss: Before the training, or in its first epoch; None where none is trained.
        last_loss: The same at its end.
        settings: What the contender chose, where it chooses.
    """

    samples_per_second: float
    first_epoch_seconds: float
    first_loss: float | None = None
    last_loss: float | None = None
    settings: str = ""

    def check(self) -> None:
        """Raises a RuntimeError unless the loss is finite and went down."""
        if self.first_loss is None or self.last_loss is None:
            return
        if not np.isfinite(self.last_loss) or self.last_loss >= self.first_loss:
            raise RuntimeError(f"it does not learn: {self.first_loss} to {self.last_loss}")


class Clock:
    """Times epochs after the first, until `seconds` have passed since that one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = [time.perf_counter()]

    def epoch_done(self) -> bool:
        """Takes the time at the end of an epoch; returns whether it was the last."""
        self._ends.append(time.perf_counter())
        return len(self._ends) > 2 and self._ends[-1] - self._ends[1] >= self._seconds

    def measurement(self, samples: int, **rest: float | str | None) -> Measurement:
        """Returns the rate, where an epoch has so many samples."""
        epochs = len(self._ends) - 2
        rate = epochs * samples / (self._ends[-1] - self._ends[1])
        return Measurement(rate, self._ends[1] - self._ends[0], **rest)


def time_epochs(
    epoch: Callable[[], object], *, samples: int, seconds: float, **rest: str
) -> Measurement:
    """Calls `epoch`, which trains on `samples` rows, for `seconds` after its first time."""
    clock = Clock(seconds)
    epoch()
    while not clock.epoch_done():
        epoch()
    return clock.measurement(samples, **rest)


def training_loss(weights: Weights, workload: Workload, data: Data) -> float:
    """Returns the loss on the first training rows, computed by NumPy from the weights."""
    head = Data(data.x[:_CHECKED_ROWS], data.y[:_CHECKED_ROWS], data.x_test, data.y_test)
    return loss_of(
        logits_of(weights, head.inputs()), head.targets(workload.loss), workload.loss
    )


def logits_of(weights: Weights, x: np.ndarray) -> np.ndarray:
    """Returns the outputs of relu layers and a last layer without activation, by NumPy."""
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = np.maximum(x @ kernel + bias, 0)
    return x @ weights[-2] + weights[-1]


def loss_of(logits: np.ndarray, y: np.ndarray, loss: str) -> float:
    """Returns the mean loss of logits against `Data.targets(loss)`, by NumPy."""
    if loss == "mse":
        return float(np.mean((logits - y) ** 2))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(log_sum - shifted[np.arange(len(shifted)), y]))


def accuracy_of(logits: np.ndarray, classes: np.ndarray) -> float:
    """Returns the share of rows whose largest logit is that of their class."""
    return float(np.mean(logits.argmax(axis=1) == classes))


def measure_training(
    epoch: Callable[[], Scores | None],
    weights: Callable[[], Weights],
    workload: Workload,
    data: Data,
    *,
    seconds: float,
    whole_batches: bool = False,
    settings: str = "",
) -> Measurement:
    """Times a training, and computes its loss before and after.

    Args:
        epoch: Trains one epoch, in a new order of rows, and waits for its end. In the same
            work as kfc it also returns its scores; those of the last epoch are checked.
        weights: Returns the weights as they are now.
        workload: What is trained.
        data: Its rows.
        seconds: How long to measure.
        whole_batches: Whether an epoch leaves out the rows that fill no batch.
        settings: What the contender chose.
    """
    samples = len(data.x)
    if whole_batches:
        samples -= samples % workload.batch_size
    first_loss = training_loss(weights(), workload, data)
    last: Scores | None = None

    def counted() -> None:
        nonlocal last
        last = epoch()

    measured = time_epochs(counted, samples=samples, seconds=seconds)
    if last is not None:
        last.check(weights(), workload, data)
    return Measurement(
        measured.samples_per_second,
        measured.first_epoch_seconds,
        first_loss,
        training_loss(weights(), workload, data),
        settings,
    )


def start_weights(workload: Workload) -> list[np.ndarray]:
    """Returns kernels from a normal distribution of deviation 0.05, and zeros as biases."""
    generator = np.random.default_rng(0)
    weights = []
    for rows, columns in zip(workload.sizes, workload.sizes[1:], strict=False):
        weights.append(generator.normal(0, 0.05, (rows, columns)).astype(np.float32))
        weights.append(np.zeros(columns, np.float32))
    return weights
