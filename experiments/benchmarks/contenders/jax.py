"""JAX: a compiled scan over the epoch, which gathers each batch inside."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from data import Data
from measuring import Measurement, measure_training, start_weights
from workloads import Workload


def train(workload: Workload, data: Data, seconds: float) -> Measurement:
    """Measures it; the state of training is donated to each call."""
    weights = [jnp.asarray(weight) for weight in start_weights(workload)]
    zeros = [jnp.zeros_like(weight) for weight in weights]
    state = (weights, zeros, [jnp.zeros_like(weight) for weight in weights], jnp.zeros(()))
    x, y = jnp.asarray(data.inputs()), jnp.asarray(data.targets(workload.loss))
    generator = np.random.default_rng(0)
    rows = len(x) - len(x) % workload.batch_size

    def epoch() -> None:
        nonlocal state
        order = generator.permutation(len(x))[:rows].astype(np.int32)
        state = _epoch(workload, state, x, y, order.reshape(-1, workload.batch_size))
        jax.block_until_ready(state)

    def trained() -> list:
        return [np.asarray(weight) for weight in state[0]]

    return measure_training(
        epoch, trained, workload, data, seconds=seconds, whole_batches=True
    )


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _epoch(workload: Workload, state: Any, x: Any, y: Any, order: Any) -> Any:
    def step(state: Any, rows: Any) -> tuple[Any, None]:
        gradients = jax.grad(_loss)(state[0], workload.loss, x[rows], y[rows])
        update = _adam if workload.optimizer == "adam" else _sgd
        return update(state, gradients, workload.learning_rate), None

    return jax.lax.scan(step, state, order)[0]


def _loss(weights: list, name: str, x: Any, y: Any) -> Any:
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = jax.nn.relu(x @ kernel + bias)
    logits = x @ weights[-2] + weights[-1]
    if name == "mse":
        return jnp.mean((logits - y) ** 2)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
    return -jnp.mean(chosen)


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
