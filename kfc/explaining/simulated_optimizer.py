"""Optimizers of a spec in NumPy, and the curvature at which each becomes unstable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kfc import reference_updates
from kfc.explaining.curvature import largest_eigenvalue
from kfc.explaining.simulated_network import SimulatedNetwork
from kfc.spec import OptimizerSpec

Array = np.ndarray

_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")
_KNOWN = ("sgd", "tape_sgd", "adam", "adamw")
_PARTS = 16  # of the rows, whose gradients show how much those of batches differ
_FLOOR = 0.01
_UNUSED = ("rate_factors", "decay_factors", "use_ema", "gradient_accumulation_steps")


def optimizer_unsupported(optimizer: OptimizerSpec) -> str:
    """Returns why steps of an optimizer are not simulated; "" where they are."""
    if optimizer.name not in _KNOWN:
        return f"the optimizer {optimizer.name} has no formula here"
    if optimizer.follows_time:
        return "the learning rate or the weight decay follows a schedule"
    if optimizer.options.get("amsgrad"):
        return "amsgrad has no formula here"
    for option in _UNUSED:
        if optimizer.options.get(option):
            return f"training.optimizer.{option} has no formula here"
    return ""


class SimulatedOptimizer:
    """Updates weights as the optimizer of a spec does.

    Args:
        optimizer: Optimizer for which `optimizer_unsupported` returns "".
        rate: Learning rate; None for that of the spec.
    """

    def __init__(self, optimizer: OptimizerSpec, rate: float | None = None) -> None:
        options = optimizer.options
        self.rate = float(options["learning_rate"]) if rate is None else rate
        self._decay = float(options.get("weight_decay") or 0.0)
        self._clip = {k: options[k] for k in _CLIPPING if options.get(k) is not None}
        self._update: Any
        if optimizer.name in ("adam", "adamw"):
            names = ("beta_1", "beta_2", "epsilon")
            given: dict[str, Any] = {name: float(options[name]) for name in names}
            self._update = reference_updates.Adam(self.rate, **given)
        elif options.get("momentum"):
            self._update = reference_updates.Momentum(
                self.rate, float(options["momentum"]), bool(options.get("nesterov"))
            )
        else:
            self._update = reference_updates.SGD(self.rate)

    def step(self, weights: Sequence[Array], gradients: Sequence[Array]) -> list[Array]:
        """Returns the weights after one update."""
        gradients = reference_updates.clip(gradients, **self._clip)
        if self._decay:
            shrinkages = [self.rate * self._decay] * len(weights)
            weights = reference_updates.decay(weights, shrinkages)
        return list(self._update.step(weights, gradients))


def largest_stable_rate(
    optimizer: OptimizerSpec,
    network: SimulatedNetwork,
    x: Array,
    y: Array,
    *,
    batch: int,
) -> tuple[float, float]:
    """Returns the largest eigenvalue, and the learning rate above which its steps grow.

        gradient descent         2 / lambda
        momentum m               (2 + 2 m) / lambda
        Nesterov's momentum m    (2 + 2 m) / ((1 + 2 m) lambda)
        Adam                     (2 + 2 b1) / ((1 - b1) lambda), 38 / lambda for b1 = 0.9

    lambda belongs to the Hessian H of the loss at the start, and of Adam to P^(-1) H, where P
    is the diagonal of sqrt(v) + epsilon: Cohen, Kaur, Li, Kolter and Talwalkar, "Gradient
    descent on neural networks typically occurs at the edge of stability", 2021,
    https://arxiv.org/abs/2103.00065, and Cohen et al., "Adaptive gradient methods at the edge
    of stability", 2022, https://arxiv.org/abs/2207.14484. Here v is the expected square of the
    gradient of a batch at the start, estimated from the rows: other rows may give Adam half or
    twice the rate.

    Args:
        optimizer: Optimizer for which `optimizer_unsupported` returns "".
        network: Network at the start.
        x: Scaled rows.
        y: Their targets.
        batch: Rows in a batch.
    """
    options = optimizer.options
    if optimizer.name in ("adam", "adamw"):
        b1 = float(options["beta_1"])
        roots = _adam_divisors(network, x, y, batch, float(options["epsilon"]))
        found = largest_eigenvalue(network, x, y, divisors=roots)
        factor = (2 + 2 * b1) / (1 - b1)
    else:
        found = largest_eigenvalue(network, x, y)
        m = float(options.get("momentum") or 0.0)
        factor = 2 + 2 * m
        if options.get("nesterov"):
            factor /= 1 + 2 * m
    return found, factor / found if found > 0 else float("inf")


def _adam_divisors(
    network: SimulatedNetwork, x: Array, y: Array, batch: int, epsilon: float
) -> list[Array]:
    """Returns sqrt(v) + epsilon by weight, v the expected square of a batch's gradient.

        v = m^2 + (s - m^2) p / batch + 0.01 mean(m^2 + (s - m^2) p / batch)

    m is the gradient of all rows, and s the mean square of the gradients of parts of p rows.
    The last term, a mean over a tensor, is for weights that few rows of the sample use.
    """
    size = max(1, len(x) // _PARTS)
    firsts = range(0, size * (len(x) // size), size)
    parts = [network.run(x[i : i + size], y[i : i + size]).gradients for i in firsts]
    divisors = []
    for gradients in zip(*parts, strict=True):
        square = np.mean(gradients, axis=0) ** 2
        noise = np.mean(np.square(gradients), axis=0) - square
        v = square + np.maximum(noise, 0.0) * min(1.0, size / batch)
        divisors.append(np.sqrt(v + _FLOOR * v.mean()) + epsilon)
    return divisors
