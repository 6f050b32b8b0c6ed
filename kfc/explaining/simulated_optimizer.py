"""Optimizers of a spec in NumPy, and the curvature at which each becomes unstable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from kfc import reference_updates
from kfc.explaining.curvature import largest_eigenvalue
from kfc.explaining.simulated_network import SimulatedNetwork
from kfc.spec import OptimizerSpec

Array = np.ndarray

_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")
_KNOWN = ("sgd", "tape_sgd", "adam", "adamw", *reference_updates.ADAPTIVE)
_NO_STABLE_RATE = ("adadelta", "lion", "ftrl")
"""Optimizers whose steps do not grow with the gradient, or with the learning rate alone."""

_PARTS = 16  # of the rows, whose gradients show how much those of batches differ
_FLOOR = 0.01
_LARGEST = 2.0  # times the deviation of gradients of batches, of which Adamax has the largest
_UNUSED = ("ema_overwrite_frequency", "gradient_accumulation_steps")


def optimizer_unsupported(optimizer: OptimizerSpec) -> str:
    """Returns why steps of an optimizer are not simulated; "" where they are."""
    if optimizer.name not in _KNOWN:
        return f"the optimizer {optimizer.name} has no formula here"
    for option in _UNUSED:
        if optimizer.options.get(option):
            return f"training.optimizer.{option} has no formula here"
    return ""


class SimulatedOptimizer:
    """Updates weights as the optimizer of a spec does.

    Args:
        optimizer: Optimizer for which `optimizer_unsupported` returns "".
        rate: Learning rate; None for that of the spec, or the largest of its schedule.
        kinds: Kind of each weight and its number of inputs, for `rate_factors` and
            `decay_factors`; None where the optimizer has no such factors.
    """

    def __init__(
        self,
        optimizer: OptimizerSpec,
        rate: float | None = None,
        kinds: Sequence[tuple[str, int]] | None = None,
    ) -> None:
        options = optimizer.options
        self.rate = optimizer.largest_rate if rate is None else rate
        scheduled = optimizer.decay_schedule() is not None
        self.decay = 0.0 if scheduled else float(options.get("weight_decay") or 0.0)
        self._clip = {k: options[k] for k in _CLIPPING if options.get(k) is not None}
        self._decay_factors: Sequence[float] | None = None
        given: dict[str, Any] = {}
        if kinds is not None:
            given["factors"] = rate_factors_of(optimizer, kinds)
            decays = optimizer.decay_factors()
            self._decay_factors = [float(getattr(decays, kind)) for kind, _ in kinds]
        self._update = _update_of(optimizer, self.rate, given)

    def step(
        self,
        weights: Sequence[Array],
        gradients: Sequence[Array],
        *,
        rate: float | None = None,
        decay: float | None = None,
    ) -> list[Array]:
        """Returns the weights after one update.

        Args:
            weights: Weights.
            gradients: Their gradients.
            rate: Learning rate of this step; None for a constant one.
            decay: Weight decay of this step; None for a constant one.
        """
        rate = self.rate if rate is None else rate
        decay = self.decay if decay is None else decay
        self._update.learning_rate = rate
        gradients = reference_updates.clip(gradients, **self._clip)
        if decay:
            factors = self._decay_factors or [1.0] * len(weights)
            shrinkages = [rate * decay * factor for factor in factors]
            weights = reference_updates.decay(weights, shrinkages)
        return list(self._update.step(weights, gradients))


def _update_of(optimizer: OptimizerSpec, rate: float, given: Mapping[str, Any]) -> Any:
    """Returns the rule of an optimizer, with its options."""
    options = optimizer.options
    if optimizer.name in reference_updates.ADAPTIVE:
        kind = reference_updates.ADAPTIVE[optimizer.name]
        own = {each.name for each in fields(kind) if each.init} - {"learning_rate", "factors"}
        return kind(rate, **given, **{name: options[name] for name in own})
    if optimizer.name in ("adam", "adamw"):
        names = ("beta_1", "beta_2", "epsilon")
        numbers: dict[str, Any] = {name: float(options[name]) for name in names}
        amsgrad = bool(options.get("amsgrad"))
        return reference_updates.Adam(rate, **numbers, **given, amsgrad=amsgrad)
    if options.get("momentum"):
        nesterov = bool(options.get("nesterov"))
        return reference_updates.Momentum(rate, float(options["momentum"]), nesterov, **given)
    return reference_updates.SGD(rate, **given)


def rate_factors_of(optimizer: OptimizerSpec, kinds: Sequence[tuple[str, int]]) -> list[float]:
    """Returns the factor of the learning rate of each weight.

    Args:
        optimizer: Optimizer of a spec.
        kinds: Kind of each weight, and its number of inputs.
    """
    factors = optimizer.rate_factors()
    found = [(getattr(factors, kind), inputs) for kind, inputs in kinds]
    return [float(inputs**-0.5 if factor == "fan_in" else factor) for factor, inputs in found]


def largest_stable_rate(
    optimizer: OptimizerSpec,
    network: SimulatedNetwork,
    x: Array,
    y: Array,
    *,
    batch: int,
) -> tuple[float | None, float | None]:
    """Returns the largest eigenvalue, and the learning rate above which its steps grow.

        gradient descent         2 / lambda
        momentum m               (2 + 2 m) / lambda
        Nesterov's momentum m    (2 + 2 m) / ((1 + 2 m) lambda)
        Adam, Adamax             (2 + 2 b1) / ((1 - b1) lambda), 38 / lambda for b1 = 0.9
        Nadam                    (2 + 2 b1) / ((1 + 2 b1) (1 - b1) lambda)
        RMSprop, momentum m      (2 + 2 m) / lambda
        Adagrad                  2 / lambda

    lambda belongs to the Hessian H of the loss at the start, and of the adaptive rules to
    P^(-1) H, where P is the diagonal of their divisors, such as sqrt(v) + epsilon of Adam:
    Cohen, Kaur, Li, Kolter and Talwalkar, "Gradient descent on neural networks typically
    occurs at the edge of stability", 2021, https://arxiv.org/abs/2103.00065, and Cohen et al.,
    "Adaptive gradient methods at the edge of stability", 2022,
    https://arxiv.org/abs/2207.14484. Here v is the expected square of the gradient of a batch
    at the start, estimated from the rows: other rows may give Adam half or twice the rate.
    Adadelta, Lion and FTRL have no such rate: both numbers are None.

    Args:
        optimizer: Optimizer for which `optimizer_unsupported` returns "".
        network: Network at the start.
        x: Scaled rows.
        y: Their targets.
        batch: Rows in a batch.
    """
    if optimizer.name in _NO_STABLE_RATE:
        return None, None
    divisors = _divisors(optimizer, network, x, y, batch)
    if any(optimizer.options.get(name) for name in OptimizerSpec.added):
        factors = rate_factors_of(optimizer, network.kinds)
        known = divisors or [np.ones_like(w) for w in network.weights]
        divisors = [d / max(f, 1e-12) for d, f in zip(known, factors, strict=True)]
    found = largest_eigenvalue(network, x, y, divisors=divisors)
    return found, _stability(optimizer) / found if found > 0 else float("inf")


def _stability(optimizer: OptimizerSpec) -> float:
    """Returns the product of rate and eigenvalue above which steps grow."""
    options = optimizer.options
    m = float(options.get("momentum") or 0.0)
    averages = optimizer.name in ("adam", "adamw", "adamax", "nadam")
    if averages:
        m = float(options["beta_1"])
    factor = 2 + 2 * m
    if options.get("nesterov") or optimizer.name == "nadam":
        factor /= 1 + 2 * m
    return factor / (1 - m) if averages else factor


def _divisors(
    optimizer: OptimizerSpec, network: SimulatedNetwork, x: Array, y: Array, batch: int
) -> list[Array] | None:
    """Returns the divisors of the gradients at the start, by weight; None for ones."""
    name, options = optimizer.name, optimizer.options
    if name in ("sgd", "tape_sgd"):
        return None
    epsilon = float(options["epsilon"])
    squares = _squares(network, x, y, batch)
    if name == "rmsprop":
        return [np.sqrt(v + epsilon) for v in squares]
    if name == "adagrad":
        first = float(options["initial_accumulator_value"])
        return [np.sqrt(v + first + epsilon) for v in squares]
    largest = _LARGEST if name == "adamax" else 1.0
    return [largest * np.sqrt(v) + epsilon for v in squares]


def _squares(network: SimulatedNetwork, x: Array, y: Array, batch: int) -> list[Array]:
    """Returns v by weight, the expected square of a batch's gradient.

        v = m^2 + (s - m^2) p / batch + 0.01 mean(m^2 + (s - m^2) p / batch)

    m is the gradient of all rows, and s the mean square of the gradients of parts of p rows.
    The last term, a mean over a tensor, is for weights that few rows of the sample use.
    """
    size = max(1, len(x) // _PARTS)
    firsts = range(0, size * (len(x) // size), size)
    sums = [np.zeros_like(w) for w in network.weights]
    squares = [np.zeros_like(w) for w in network.weights]
    for first in firsts:
        part = slice(first, first + size)
        gradients = network.run(x[part], y[part]).gradients
        for total, square, g in zip(sums, squares, gradients, strict=True):
            total += g
            square += g * g
    found, parts = [], len(firsts)
    for total, square in zip(sums, squares, strict=True):
        mean = (total / parts) ** 2
        v = mean + np.maximum(square / parts - mean, 0.0) * min(1.0, size / batch)
        found.append(v + _FLOOR * v.mean())
    return found
