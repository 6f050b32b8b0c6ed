"""Predicts the start of a spec's training in NumPy: signals, loss, gradients and rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from kfc.explaining.cost import (
    memory_bytes,
    num_parameters,
    operations_per_second,
    seconds_per_epoch,
)
from kfc.explaining.explanation import Explanation, LayerSignal
from kfc.explaining.mean_field import LayerTheory, expected_layer
from kfc.explaining.sampling import RowSample, sample_of
from kfc.explaining.simulated_loss import loss_of
from kfc.explaining.simulated_network import Pass, SimulatedNetwork, simulated_network
from kfc.explaining.simulated_optimizer import largest_stable_rate
from kfc.explaining.trial_steps import TrialSteps, chance_loss, try_steps
from kfc.explaining.unsimulated import LOSS, NETWORK, STEPS, not_simulated
from kfc.findings import run_checks
from kfc.network import BINARY_LOSSES
from kfc.spec import Spec, SpecLike, load_spec, settle_preset

Array = np.ndarray

_OPERATIONS = 6e8  # floating-point operations of each part, some 0.05 s
_LEAST_ROWS, _MOST_ROWS = 16, 256
_LEAST_STEPS, _MOST_STEPS = 20, 100
_STEP_OPERATIONS = 1.5e9  # of all first steps, which are in float32
_PRODUCTS = 18  # operations of the curvature for each weight and row, which takes 0.1 s
_FLAT = 0.01  # of the largest slope of an activation


def explain(
    spec: SpecLike, overrides: Mapping[str, Any] | None = None, *, data: Any = None
) -> Explanation:
    """Predicts a training before it runs, in NumPy and without TensorFlow.

    The weights are those that a training draws, by the initializers and the seed of the
    spec. A sample of the rows passes through them in float64, forward and back, by the
    formulas of `kfc.reference`. The largest stable rate is that at which the curvature of
    the loss at the start makes steps grow, and some steps on the sample in float32 say how
    the training begins. A part of the spec without a formula is named in `not_predicted`.

    Args:
        spec: A built-in spec's name, a file, a dict or a `Spec`.
        overrides: Dotted path -> value, such as `{"training.optimizer.learning_rate": 0.1}`.
        data: Rows that replace `data.source`, as for `kfc.fit`.

    Returns:
        The prediction, with findings where it shows a problem.

    Raises:
        SpecError: If the spec is wrong.
        DataError: If the data cannot be read, or a check refuses them.

    Examples:
        >>> explanation = kfc.explain("digits")
        >>> explanation.outcome, explanation.parameters
        ('learns', 19210)
        >>> wild = {"name": "random_normal", "stddev": 1.0}
        >>> kfc.explain("digits", {"network.init": wild}).loss > 50
        True
    """
    valid = load_spec(spec, overrides)
    rate = operations_per_second(valid.training.threads)
    with threadpool_limits(1):  # small products are faster on one thread
        sample = sample_of(valid, data)
        if isinstance(sample, RowSample):
            valid = settle_preset(valid, classification=bool(sample.classes))
        explanation = _explained(valid, sample, rate)
    found = run_checks("explained", valid, explanation, accept=valid.accept)
    return replace(explanation, findings=found)


def _explained(spec: Spec, sample: RowSample | str, rate: float) -> Explanation:
    reasons = not_simulated(spec, sample)
    if isinstance(sample, str):
        return Explanation(spec.name, "none", not_predicted=reasons)
    if spec.network.members > 1:
        note = f"; one of {spec.network.members} members"
        sample = replace(sample, origin=sample.origin + note)
    inputs, outputs = sample.x.shape[1], _num_outputs(spec, sample)
    explanation = Explanation(spec.name, sample.origin, inputs, outputs)
    if NETWORK in reasons:
        return replace(explanation, not_predicted=reasons)
    rate_known = STEPS not in reasons
    sizes: dict[str, Any] = {"inputs": inputs, "outputs": outputs}
    explanation = replace(
        explanation,
        input_signal=_rms(sample.x),
        rate=spec.training.optimizer.largest_rate if rate_known else None,
        parameters=num_parameters(spec, **sizes) + sample.embedding_weights,
        memory_bytes=memory_bytes(
            spec, **sizes, rows=sample.num_rows, row_bytes=sample.row_bytes
        ),
        seconds_per_epoch=seconds_per_epoch(spec, **sizes, rows=sample.num_rows, rate=rate),
        not_predicted=reasons,
    )
    if LOSS in reasons:
        return explanation
    loss = loss_of(spec.training.loss, classes=sample.classes)
    if loss is None:
        raise ValueError("training.loss: expected a loss with a formula")
    network = simulated_network(spec, inputs, outputs, loss, sample.x)
    return _simulated(spec, sample, network, explanation)


def _num_outputs(spec: Spec, sample: RowSample) -> int:
    loss = spec.training.loss
    binary = loss is not None and loss.full_name(loss.name) in BINARY_LOSSES
    return 1 if binary and sample.classes == 2 else sample.targets


def _simulated(
    spec: Spec, sample: RowSample, network: SimulatedNetwork, explanation: Explanation
) -> Explanation:
    """Adds everything that the simulated network shows."""
    weights = sum(w.size for w in network.weights)
    x, y = sample.spaced(_rows_for(2 * weights, most=len(sample.x)))
    with np.errstate(all="ignore"):
        outputs, _ = network.forward(x)
        penalty_free = network.loss(outputs, y)[0]
        few = sample.spaced(_rows_for(6 * weights, most=_MOST_ROWS))
        at_start = network.run(*few)
        penalty = at_start.loss - network.loss(at_start.outputs, few[1])[0]
        explanation = replace(
            explanation,
            layers=_layers(spec, network, at_start, few[0]),
            loss=float(penalty_free + penalty),
            chance_loss=chance_loss(network.loss, sample.y, network.outputs),
        )
        if STEPS in explanation.not_predicted or not np.isfinite(explanation.loss or 0.0):
            return explanation
        batch = min(spec.training.batch_size, len(sample.x))
        eigenvalue, stable = largest_stable_rate(
            spec.training.optimizer,
            network,
            *sample.spaced(_rows_for(_PRODUCTS * weights, most=_MOST_ROWS)),
            batch=batch,
        )
        explanation = replace(explanation, eigenvalue=eigenvalue, stable_rate=stable)
        steps = np.clip(_STEP_OPERATIONS / (6 * weights * batch), _LEAST_STEPS, _MOST_STEPS)
        return _with_steps(spec, sample, network, explanation, int(steps))


def _with_steps(
    spec: Spec,
    sample: RowSample,
    network: SimulatedNetwork,
    explanation: Explanation,
    steps: int,
) -> Explanation:
    """Adds the first steps and, where they do not learn, a rate with which they do."""

    def steps_at(rate: float | None) -> TrialSteps:
        rows = sample.num_rows
        return try_steps(
            network, spec, sample.x, sample.y, steps=steps, rate=rate, num_rows=rows
        )

    first = steps_at(None)
    explanation = replace(explanation, first_steps=first)
    rate, stable = explanation.rate, explanation.stable_rate
    if first.outcome == "learns" or rate is None or stable == 0 or stable == float("inf"):
        return explanation
    others = [one_digit(0.3 * stable), one_digit(0.03 * stable)] if stable else []
    if stable is None:  # the rate is the size of a step
        factor = 0.03 if first.outcome == "diverges" else 30.0
        others = [one_digit(rate * factor**power) for power in (1, 2, 3)]
    for other in others:
        if steps_at(other).outcome == "learns":
            if other < rate:
                return replace(explanation, better_rate=other)
            return replace(explanation, larger_rate=other)
    return explanation


def one_digit(rate: float) -> float:
    """Returns a rate rounded to one digit, such as 0.03."""
    return float(f"{rate:.0e}")


def _rows_for(operations: int, *, most: int) -> int:
    """Returns the number of rows for which so many operations per row are quick."""
    return max(min(_LEAST_ROWS, most), min(most, int(_OPERATIONS / operations)))


def _layers(
    spec: Spec, network: SimulatedNetwork, at_start: Pass, x: Array
) -> tuple[LayerSignal, ...]:
    names = [name for layer in network.layers for name in [layer.name] * len(layer.weights)]
    kinds = [kind for layer in network.layers for kind in layer.weights]
    skipped = int(network.input_scale is not None)
    gradients = {
        name: g
        for name, kind, g in zip(names, kinds, at_start.gradients[skipped:], strict=True)
        if kind == "kernel"
    }
    hidden, signal, found = spec.network.layers(), _rms(x), list[LayerSignal]()
    for number, (layer, seen) in enumerate(zip(network.layers, at_start.seen, strict=True)):
        theory: LayerTheory | None = None
        kernel = layer.weights["kernel"]
        if number < len(hidden) and not layer.shortcut:
            theory = expected_layer(hidden[number], layer.activation, signal, len(kernel))
        constant, saturated = _unresponsive(layer.activation.backward, seen)
        output = _rms(seen["y"])
        found.append(
            LayerSignal(
                layer.name,
                kernel.shape[1],
                output,
                output / signal if signal else 0.0,
                theory,
                constant,
                saturated,
                _rms(seen["da"]) * len(x),
                _ratio(np.linalg.norm(gradients[layer.name]), np.linalg.norm(kernel)),
                bool(np.ptp(kernel, axis=1).max() == 0),
            )
        )
        signal = output
    return tuple(found)


def _unresponsive(backward: Any, seen: Mapping[str, Any]) -> tuple[float, float]:
    """Returns the share of units with constant outputs, and that of flat slopes elsewhere."""
    y, z = seen["y"], seen["z"]
    constant = np.ptp(y, axis=0) <= 1e-9 * np.abs(y).max(initial=0.0)
    if len(y) < 2 or constant.all():
        return float(constant.mean()), 0.0
    slopes = np.abs(backward(z, np.ones_like(z)))
    flat = slopes[:, ~constant] < _FLAT * max(slopes.max(), 1e-300)
    flat &= np.abs(y[:, ~constant]) > 0  # a relu at 0 is not saturated
    return float(constant.mean()), float(flat.mean())


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _ratio(a: Any, b: Any) -> float:
    return float(a / b) if b else 0.0
