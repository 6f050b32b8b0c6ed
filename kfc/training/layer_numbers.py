"""Signals, gradients and updates of each layer of a network on some rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kfc.network import with_layer_outputs


@dataclass(frozen=True)
class LayerNumbers:
    """Numbers of one layer with a kernel, on some rows.

    Args:
        layer: Name of the layer.
        weights: Number of its weights.
        signal: Standard deviation of its outputs over rows and units, after the activation
            that follows it.
        constant: Share of its units whose output is the same for all rows, 0 to 1.
        weight: Root of the mean squared weight of the kernel.
        gradient: Root of the mean squared gradient of the loss by the kernel.
        update: Root of the mean squared change of the kernel in one step on these rows; None
            where no step was tried.
    """

    layer: str
    weights: int
    signal: float
    constant: float
    weight: float
    gradient: float
    update: float | None = None


class LayerProbe:
    """Measures the layers of a network that have a kernel.

    Args:
        network: Functional network; its weights may change between two measurements.

    Attributes:
        layers: Its layers with a kernel, in the order of the network.
    """

    def __init__(self, network: keras.Model) -> None:
        self._network = network
        called, self._probe = with_layer_outputs(network)
        # The signal of a layer: its output, or that of the activation that follows it.
        self.layers: list[keras.Layer] = []
        self._signals: list[int] = []
        for number, layer in enumerate(called):
            if getattr(layer, "kernel", None) is not None:
                self.layers.append(layer)
                self._signals.append(number)
            elif (
                isinstance(layer, keras.layers.Activation)
                and self.layers
                and called[self._signals[-1]] is self.layers[-1]
            ):
                self._signals[-1] = number

    def measure(
        self,
        x: np.ndarray,
        loss: Callable[[tf.Tensor], tf.Tensor],
        update: Callable[[Sequence[Any]], Sequence[np.ndarray]] | None = None,
    ) -> list[LayerNumbers]:
        """Returns the numbers of each layer; no variable is changed.

        Args:
            x: Encoded rows, (rows, ...).
            loss: Function of the outputs of the network, which returns the mean loss.
            update: Function of the gradients of `network.trainable_variables`, which returns
                the change of each in one step.
        """
        variables = self._network.trainable_variables
        values = [variable.value for variable in variables]
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = self._probe(tf.constant(x), training=False)
            mean_loss = loss(outputs[-1])
        gradients = tape.gradient(mean_loss, values)
        place = {id(variable): number for number, variable in enumerate(variables)}
        changes = update(gradients) if update is not None else None
        found = []
        for layer, place_of_signal in zip(self.layers, self._signals, strict=True):
            output = outputs[place_of_signal]
            number = place.get(id(layer.kernel))  # None if the layer is frozen
            gradient = None if number is None else gradients[number]
            units = np.asarray(output, np.float64).reshape(output.shape[0], -1)
            found.append(
                LayerNumbers(
                    layer.name,
                    layer.count_params(),
                    float(units.std()),
                    float((np.ptp(units, axis=0) == 0).mean()),
                    _root_mean_square(layer.kernel),
                    0.0 if gradient is None else _root_mean_square(gradient),
                    None
                    if changes is None
                    else (0.0 if number is None else _root_mean_square(changes[number])),
                )
            )
        return found


def _root_mean_square(values: Any) -> float:
    return float(np.sqrt(np.square(np.asarray(values, np.float64)).mean()))
