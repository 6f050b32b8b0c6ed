"""Changes of a spec that cure several problems of the first steps, by dotted path."""

from __future__ import annotations

from typing import Any

from kfc.spec import Spec

_STEPS, _BATCH, _UNITS = 1000, 32, 32

_RELU_LIKE = (
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "swish",
    "mish",
    "relu6",
    "softplus",
)


def init_cure(spec: Spec | None) -> dict[str, Any]:
    """Returns the changes that give every kernel initial weights of the usual size.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015,
    https://arxiv.org/abs/1502.01852, for relu; Glorot and Bengio, "Understanding the
    difficulty of training deep feedforward neural networks", 2010, for the others.
    """
    if spec is None:
        return {}
    name = "he_normal" if spec.network.activation.name in _RELU_LIKE else "glorot_uniform"
    cure: dict[str, Any] = {"network.init": name}
    for number, layer in enumerate(spec.network.hidden):
        if layer.init is not None:
            cure[f"network.hidden[{number}].init"] = name
        if layer.bias_init is not None:
            cure[f"network.hidden[{number}].bias_init"] = "zeros"
    if spec.network.bias_init.name != "zeros":
        cure["network.bias_init"] = "zeros"
    if spec.network.output_init is not None:
        cure["network.output_init"] = "glorot_uniform"
    return cure


def relu_cure(spec: Spec | None) -> dict[str, Any]:
    """Returns the changes that let signals and gradients pass through many layers."""
    if spec is None:
        return {}
    cure: dict[str, Any] = {"network.activation": "relu", "network.init": "he_normal"}
    for number, layer in enumerate(spec.network.hidden):
        for key, value in (("activation", "relu"), ("init", "he_normal")):
            if getattr(layer, key) is not None:
                cure[f"network.hidden[{number}].{key}"] = value
    return cure


def rate_cure(spec: Spec | None, rate: float) -> dict[str, Any]:
    """Returns the change of the learning rate to `rate`, with one digit."""
    if spec is None or not rate > 0:
        return {}
    path, value = "training.optimizer.learning_rate", float(f"{rate:.1g}")
    schedule = spec.training.optimizer.schedule()
    if schedule is not None and hasattr(schedule, "initial_learning_rate"):
        path += ".initial_learning_rate"
    return {path: value}


def option_cure(spec: Spec | None, option: str, value: Any) -> dict[str, Any]:
    """Returns the change of an option of the optimizer."""
    return {} if spec is None else {f"training.optimizer.{option}": value}


def more_steps_cure(spec: Spec | None, steps: int, batch_size: int) -> dict[str, Any]:
    """Returns the change that gives a training of few steps a thousand of them.

    Args:
        spec: Spec of the training.
        steps: Its number of steps.
        batch_size: Rows of a step.
    """
    if spec is None:
        return {}
    smaller = max(1, batch_size // _BATCH)
    if smaller * steps >= _STEPS:
        return {"training.batch_size": _BATCH}
    epochs = -(-_STEPS * spec.training.epochs // (smaller * steps))
    batch = {"training.batch_size": _BATCH} if smaller > 1 else {}
    return {**batch, "training.epochs": epochs}


def loss_cure(spec: Spec | None) -> dict[str, Any]:
    """Returns the change that leaves out the options of the loss."""
    loss = None if spec is None else spec.training.loss
    return {} if loss is None else {"training.loss": loss.name}


def widened(spec: Spec | None, needed: int = 2) -> dict[str, Any]:
    """Returns the changes that give narrow hidden layers some more units.

    Args:
        spec: Spec of the network.
        needed: Units below which a layer is narrow.
    """
    if spec is None:
        return {}
    return {
        f"network.hidden[{number}].units": _UNITS
        for number, layer in enumerate(spec.network.hidden)
        if layer.units < needed
    }
