"""The parts of a spec that a prediction does not cover."""

from __future__ import annotations

from kfc.explaining.activations import simulated_activation
from kfc.explaining.sampling import RowSample
from kfc.explaining.simulated_loss import loss_of
from kfc.explaining.simulated_optimizer import optimizer_unsupported
from kfc.spec import Spec

NETWORK, LOSS, STEPS, DATA = "network", "loss", "steps", "data"
"""Parts of a prediction."""

_BLOCKS = ("dense", "residual")


def not_simulated(spec: Spec, sample: RowSample | str) -> dict[str, str]:
    """Returns the reasons why parts of a prediction are missing, by part.

    `network` is for signals, the loss and everything after it, `loss` for the loss and the
    steps, `steps` for the learning rate and the first steps.

    Args:
        spec: Valid spec.
        sample: Rows, or the reason why there are none.
    """
    found: dict[str, str] = {}
    if isinstance(sample, str):
        found[DATA] = sample
    if reason := _network_reason(spec):
        found[NETWORK] = reason
    if reason := _loss_reason(spec, sample):
        found[LOSS] = reason
    if reason := optimizer_unsupported(spec.training.optimizer):
        found[STEPS] = reason
    return found


def _network_reason(spec: Spec) -> str:
    network = spec.network
    if network.block.name not in _BLOCKS or network.block.options:
        return f"network.block {network.block.name} has no formula here"
    for number, layer in enumerate(network.layers()):
        if layer.activation is not None and simulated_activation(layer.activation) is None:
            name = layer.activation.name
            return f"the activation {name} of network.hidden[{number}] has no formula here"
    return ""


def _loss_reason(spec: Spec, sample: RowSample | str) -> str:
    loss = spec.training.loss
    if spec.training.class_weight is not None:
        return "training.class_weight has no formula here"
    classes = sample.classes if isinstance(sample, RowSample) else 2
    if loss is not None and loss_of(loss, classes=classes) is None:
        return f"the loss {loss.name} has no formula here for these targets"
    return ""
