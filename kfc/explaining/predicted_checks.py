"""Looks for problems in the prediction of a training: each check takes (spec, explanation)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kfc.errors import Finding
from kfc.explaining.explanation import Explanation, LayerSignal, brief
from kfc.explaining.simulated_schedule import rates_at
from kfc.spec import Spec, StepSpec

_LARGE_INPUT = 5.0  # root mean square; scaled inputs have about 1
_LARGE_LOSS = 4.0  # times the loss of a constant answer
_LARGE_GAIN = 3.0  # largest gain of a layer; about 1 keeps signals
_SMALL_SIGNAL = 1e-3  # of the inputs, after the hidden layers
_CONSTANT = 0.9  # share of units that answer the same for every row
_SATURATED = 0.7  # share of outputs whose slope is almost 0
_SMALL_GRADIENT = 1e-5  # in the first hidden layer, of that of the last one
_SLOW = 1e-5  # of the largest stable rate
_PARTS_OF_EPOCH = 20  # at which the rate of a schedule is looked at
_LEAST_REACHED = 0.5  # of the largest rate of a schedule, which a warm-up should reach
_LEAST_MEAN = 0.01  # of the largest rate: the steps of the training are those of a hundredth

_USUAL = {"global_clipnorm": 1.0, "clipnorm": 1.0, "clipvalue": 1.0, "epsilon": 1e-7}
"""Options of optimizers by which updates may be too small, with usual values."""

_INITIALIZERS = {"relu": "he_normal", "selu": "lecun_normal"}
"""Initializer that keeps the signal of an activation; glorot_uniform for others.

Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks", 2017,
https://arxiv.org/abs/1706.02515, for selu.
"""


def inputs_too_large(spec: Spec, explanation: Explanation) -> Finding | None:
    """Finds inputs so large that the outputs, and with them the loss, start too large."""
    signal = explanation.input_signal or 0.0
    if signal < _LARGE_INPUT or not _starts_large(explanation):
        return None
    return Finding(
        "data.scale",
        "scaled inputs, whose root mean square is about 1",
        f"{brief(signal)}, which predicts outputs of {brief(explanation.logits)} and a loss "
        f"of {brief(explanation.loss)} at the start",
        "Use data.scale: standard.",
        evidence={"input_signal": signal, **_start(explanation)},
        cure={"data.scale": "standard"},
    )


def weights_too_large(spec: Spec, explanation: Explanation) -> Finding | None:
    """Finds initial weights that make the signal, and the loss at the start, explode."""
    gains = [layer.gain for layer in explanation.layers]
    if not gains or not _starts_large(explanation):
        return None
    gain = max(gains)
    if gain < _LARGE_GAIN or inputs_too_large(spec, explanation):
        return None
    init = _initializer(spec)
    return Finding(
        _init_path(spec),
        "initial weights that keep the scale of the signal from layer to layer",
        f"a gain of {brief(gain)}, which predicts outputs of "
        f"{brief(explanation.logits)} and a loss of {brief(explanation.loss)} at the start "
        f"instead of about {brief(explanation.chance_loss)}",
        f"Use network.init: {init}.",
        evidence={"gain": gain, **_start(explanation)},
        cure=_with_init(spec, init),
    )


def units_equal(spec: Spec, explanation: Explanation) -> Finding | None:
    """Finds a hidden layer whose units all have the same weights, and keep them."""
    for number, layer in enumerate(explanation.layers[:-1]):
        if layer.equal_units and layer.units > 1:
            init = _initializer(spec)
            return Finding(
                _init_path(spec, number),
                "random initial weights, so that units learn different things",
                f"the same weights in each of the {layer.units:,} units of {layer.name}",
                f"Use network.init: {init}.",
                evidence={"units": layer.units, "layer": number + 1},
                cure=_with_init(spec, init),
            )
    return None


def signal_vanishes(spec: Spec, explanation: Explanation) -> Finding | None:
    """Finds initial weights so small that nothing of the inputs reaches the outputs."""
    hidden, signal = explanation.layers[:-1], explanation.input_signal
    if not hidden or not signal:
        return None
    if units_equal(spec, explanation) or units_constant(spec, explanation):
        return None
    share = hidden[-1].signal / signal
    if share >= _SMALL_SIGNAL:
        return None
    init = _initializer(spec)
    return Finding(
        _init_path(spec),
        "initial weights that keep the scale of the signal from layer to layer",
        f"a signal of {brief(share)} times the inputs after {len(hidden)} hidden layers",
        f"Use network.init: {init}.",
        evidence={"share": share, "layers": len(hidden)},
        cure=_with_init(spec, init),
    )


def units_constant(spec: Spec, explanation: Explanation) -> Finding | None:
    """Finds a hidden layer in which almost no unit depends on the inputs."""
    for number, layer in enumerate(explanation.layers[:-1]):
        if layer.constant_units > _CONSTANT and not layer.equal_units:
            return _unit_finding(
                spec, number, layer, "the same answer for every row", layer.constant_units
            )
    return None


def slopes_flat(spec: Spec, explanation: Explanation) -> Finding | None:
    """Finds a hidden layer in which the slope of the activation is almost 0."""
    if inputs_too_large(spec, explanation) or weights_too_large(spec, explanation):
        return None
    for number, layer in enumerate(explanation.layers[:-1]):
        if layer.saturated > _SATURATED:
            return _unit_finding(spec, number, layer, "a slope of almost 0", layer.saturated)
    return None


def gradient_fades(spec: Spec, explanation: Explanation) -> Finding | None:
    """Finds a network whose first layer gets almost no gradient."""
    hidden = explanation.layers[:-1]
    if len(hidden) < 2 or not hidden[-1].gradient:  # an output layer of zeros passes none
        return None
    share = hidden[0].gradient / hidden[-1].gradient
    others = (units_equal, signal_vanishes, units_constant, slopes_flat)
    if share >= _SMALL_GRADIENT or any(check(spec, explanation) for check in others):
        return None
    cure = {"network.activation": "relu", "network.init": "he_normal"}
    return Finding(
        "network.activation",
        "gradients that reach the first layer",
        f"{brief(share)} times those of the last hidden layer",
        "Use network.activation: relu and network.init: he_normal.",
        evidence={"share": share},
        cure=cure,
    )


def rate_too_large(spec: Spec, explanation: Explanation) -> Finding | None:
    """Finds a learning rate with which the first steps do not learn, while a smaller does."""
    steps, rate, better = explanation.first_steps, explanation.rate, explanation.better_rate
    if steps is None or rate is None or better is None or steps.outcome == "learns":
        return None
    if inputs_too_large(spec, explanation) or weights_too_large(spec, explanation):
        return None
    return Finding(
        "training.optimizer.learning_rate",
        _below(explanation.stable_rate),
        f"{rate:g}, with which the loss is predicted to go from {brief(steps.first_loss)} to "
        f"{brief(steps.last_loss)} in {steps.steps} steps",
        _use_rate(spec, better),
        evidence=_finite(
            rate=rate, stable_rate=explanation.stable_rate, last_loss=steps.last_loss
        ),
        cure=_with_rate(spec, better),
    )


def _below(stable: float | None) -> str:
    if stable is None:
        return "a rate whose first steps learn"
    return f"a rate below {brief(stable)}, above which steps along the steepest direction grow"


def _with_rate(spec: Spec, rate: float) -> dict[str, Any]:
    """Returns the change of a spec that gives it a rate, or a schedule such a largest one."""
    optimizer, path = spec.training.optimizer, "training.optimizer.learning_rate"
    schedule = optimizer.schedule()
    if schedule is None:
        return {path: rate}
    if isinstance(schedule, StepSpec):
        factor = rate / optimizer.largest_rate
        return {f"{path}.values": [float(f"{v * factor:.3g}") for v in schedule.values]}
    return {f"{path}.initial_learning_rate": rate}


def _use_rate(spec: Spec, rate: float) -> str:
    ((path, value),) = _with_rate(spec, rate).items()
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f"Use {path}: {shown}."


def rate_too_small(spec: Spec, explanation: Explanation) -> Finding | None:
    """Finds a learning rate so small that a training changes almost nothing."""
    rate, stable, steps = explanation.rate, explanation.stable_rate, explanation.first_steps
    if steps is None or rate is None or not stable or steps.outcome == "learns":
        return None
    better = explanation.larger_rate
    if rate >= _SLOW * stable or better is None:
        return None
    if small := _small_updates(spec):
        return small
    return Finding(
        "training.optimizer.learning_rate",
        f"a rate nearer to {brief(stable)}, above which steps along the steepest direction "
        "grow",
        f"{rate:g}, with which the loss is predicted to stay at {brief(steps.last_loss)}",
        _use_rate(spec, better),
        evidence=_finite(rate=rate, stable_rate=stable),
        cure=_with_rate(spec, better),
    )


def _small_updates(spec: Spec) -> Finding | None:
    """Returns the option that makes updates small, where it is another than the rate."""
    options = spec.training.optimizer.options
    for name, usual in _USUAL.items():
        given = options.get(name)
        small = given is not None and (given > usual if name == "epsilon" else given < usual)
        if small:
            path = f"training.optimizer.{name}"
            return Finding(
                path,
                f"a value such as {usual:g}, with which steps move the weights",
                f"{given:g}, with which the loss is predicted to stay where it begins",
                f"Use {path}: {usual:g}.",
                evidence={name: given or 0.0},
                cure={path: usual},
            )
    return None


def rate_hardly_reached(spec: Spec, explanation: Explanation) -> Finding | None:
    """Finds a schedule whose warm-up outlasts the training, or whose rate is soon near 0."""
    optimizer, epochs = spec.training.optimizer, spec.training.epochs
    schedule = optimizer.schedule()
    if schedule is None:
        return None
    rates = rates_at(schedule, np.arange(epochs * _PARTS_OF_EPOCH), _PARTS_OF_EPOCH, epochs)
    largest = float(rates.max()) / optimizer.largest_rate
    mean = float(rates.mean()) / optimizer.largest_rate
    if largest >= _LEAST_REACHED and mean >= _LEAST_MEAN:
        return None
    path = "training.optimizer.learning_rate"
    if largest < _LEAST_REACHED:
        warmup = float(f"{0.05 * epochs:.2g}")
        return Finding(
            f"{path}.warmup_epochs",
            f"a warm-up that ends within the {epochs} epochs of the training",
            f"{schedule.warmup_epochs:g} epochs, so that the rate stays below "
            f"{brief(100 * largest)} % of the largest one",
            f"Use {path}.warmup_epochs: {warmup:g}.",
            evidence={"largest": largest, "mean": mean},
            cure={f"{path}.warmup_epochs": warmup},
        )
    return Finding(
        path,
        "a rate that lasts for some of the training",
        f"a mean of {brief(100 * mean)} % of the largest rate over {epochs} epochs",
        f"Use {path}: {{name: cosine, initial_learning_rate: {optimizer.largest_rate:g}}}.",
        evidence={"largest": largest, "mean": mean},
        cure={path: {"name": "cosine", "initial_learning_rate": optimizer.largest_rate}},
    )


def _starts_large(explanation: Explanation) -> bool:
    """Returns whether the loss at the start is far above that of a constant answer."""
    loss, chance = explanation.loss, explanation.chance_loss
    return loss is not None and chance is not None and not loss <= _LARGE_LOSS * chance


def _unit_finding(
    spec: Spec, number: int, layer: LayerSignal, problem: str, share: float
) -> Finding:
    init = _initializer(spec)
    cure = {**_with_init(spec, init), "network.bias_init": "zeros"}
    return Finding(
        _init_path(spec, number),
        "units whose answers depend on the inputs",
        f"{problem} in {share:.0%} of {layer.name}",
        f"Use network.init: {init} and network.bias_init: zeros.",
        evidence={"share": share, "layer": number + 1},
        cure=cure,
    )


def _initializer(spec: Spec) -> str:
    activation = spec.network.activation.name
    relus = {"relu", "leaky_relu", "relu6", "elu", "celu", "gelu", "silu", "mish"}
    return _INITIALIZERS.get("relu" if activation in relus else activation, "glorot_uniform")


def _init_path(spec: Spec, number: int = 0) -> str:
    own = spec.network.hidden and spec.network.hidden[number].init is not None
    return f"network.hidden[{number}].init" if own else "network.init"


def _with_init(spec: Spec, init: str) -> dict[str, Any]:
    """Returns the changes that give every layer an initializer."""
    changes: dict[str, Any] = {"network.init": init}
    for number, layer in enumerate(spec.network.hidden):
        if layer.init is not None:
            changes[f"network.hidden[{number}].init"] = init
    if spec.network.output_init is not None:
        changes["network.output_init"] = None
    return changes


def _start(explanation: Explanation) -> dict[str, float]:
    return _finite(logits=explanation.logits, loss=explanation.loss)


def _finite(**numbers: float | None) -> dict[str, float]:
    return {name: v for name, v in numbers.items() if v is not None and abs(v) < 1e300}
