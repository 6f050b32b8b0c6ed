"""JAX: a compiled scan over the epoch, which gathers each batch inside.

In the same work as kfc the scan counts right classes, and the compiled epoch ends with the
test rows.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from data import Data
from measuring import Measurement, Scores, measure_training, start_weights
from workloads import Workload


def train(workload: Workload, data: Data, seconds: float, *, same_work: bool) -> Measurement:
    """Measures it; the state of training is donated to each call."""
    weights = [jnp.asarray(weight) for weight in start_weights(workload)]
    zeros = [jnp.zeros_like(weight) for weight in weights]
    state = (weights, zeros, [jnp.zeros_like(weight) for weight in weights], jnp.zeros(()))
    train = (data.inputs(), data.targets(workload.loss), data.y.astype(np.int32))
    test = (data.test_inputs(), data.test_targets(workload.loss), data.y_test.astype(np.int32))
    train, test = jax.tree.map(jnp.asarray, (train, test if same_work else None))
    generator = np.random.default_rng(0)
    rows = len(data.x) - len(data.x) % workload.batch_size

    def epoch() -> Scores | None:
        nonlocal state
        order = generator.permutation(len(data.x))[:rows].astype(np.int32)
        order = order.reshape(-1, workload.batch_size)
        state, scores = _epoch(workload, state, train, test, order)
        jax.block_until_ready(state)
        return Scores(*map(float, scores)) if same_work else None

    def trained() -> list:
        return [np.asarray(weight) for weight in state[0]]

    return measure_training(
        epoch, trained, workload, data, seconds=seconds, whole_batches=True
    )


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _epoch(workload: Workload, state: Any, train: Any, test: Any, order: Any) -> Any:
    """Returns the state, and with test rows also accuracy, test loss and test accuracy."""
    x, y, classes = train
    gradient = jax.grad(_loss, has_aux=True)

    def step(state: Any, rows: Any) -> tuple[Any, Any]:
        gradients, logits = gradient(state[0], workload.loss, x[rows], y[rows])
        update = _adam if workload.optimizer == "adam" else _sgd
        right = None if test is None else _right(logits, classes[rows])
        return update(state, gradients, workload.learning_rate), right

    state, right = jax.lax.scan(step, state, order)
    if test is None:
        return state, None
    test_x, test_y, test_classes = test
    test_loss, logits = _loss(state[0], workload.loss, test_x, test_y)
    test_accuracy = _right(logits, test_classes) / len(test_x)
    return state, (right.sum() / order.size, test_loss, test_accuracy)


def _right(logits: Any, classes: Any) -> Any:
    return (logits.argmax(axis=1) == classes).sum()


def _loss(weights: list, name: str, x: Any, y: Any) -> Any:
    """Returns the mean loss, and the logits."""
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = jax.nn.relu(x @ kernel + bias)
    logits = x @ weights[-2] + weights[-1]
    if name == "mse":
        return jnp.mean((logits - y) ** 2), logits
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
    return -jnp.mean(chosen), logits


def _sgd(state: Any, gradients: list, rate: float) -> Any:
    weights, *rest = state
    return ([w - rate * g for w, g in zip(weights, gradients, strict=True)], *rest)


def _adam(state: Any, gradients: list, rate: float) -> Any:
    weights, means, squares, steps = state
    steps = steps + 1
    rate = rate * jnp.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)
    means = [m + 0.1 * (g - m) for m, g in zip(means, gradients, strict=True)]
    squares = [s + 0.001 * (g * g - s) for s, g in zip(squares, gradients, strict=True)]
    moves = zip(weights, means, squares, strict=True)
    weights = [w - rate * m / (jnp.sqrt(s) + 1e-7) for w, m, s in moves]
    return weights, means, squares, steps
