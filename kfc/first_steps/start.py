"""Measures the network before the first step: outputs, loss, units and gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kfc.first_steps.subject import Subject, activation_of, layers_of
from kfc.training import trial_update


@dataclass(frozen=True)
class Units:
    """Outputs of one hidden layer after its activation.

    Args:
        name: Name of the layer.
        activation: Name of its activation.
        values: Outputs, (rows, units).
    """

    name: str
    activation: str
    values: np.ndarray

    @cached_property
    def dead(self) -> float:
        """Share of units that have one value for every row, as a relu below 0 has."""
        return float((np.ptp(self.values, axis=0) == 0).mean())

    @cached_property
    def saturated(self) -> float:
        """Share of outputs at an end of a bounded activation, where its slope is near 0."""
        ends = {
            "tanh": (-1, 1),
            "sigmoid": (0, 1),
            "hard_sigmoid": (0, 1),
            "hard_tanh": (-1, 1),
        }
        if self.activation not in ends:
            return 0.0
        low, high = ends[self.activation]
        near = 0.01 * (high - low) / 2  # there the slope is below 2 % of the steepest one
        return float(((self.values < low + near) | (self.values > high - near)).mean())


@dataclass(frozen=True)
class Kernel:
    """One kernel with its gradient and its first update.

    Args:
        path: Path of the variable, such as `hidden_1/kernel`.
        value: Weights, (inputs, units).
        gradient: Gradient of the loss.
        update: Change of the weights by the first update; None without an optimizer.
    """

    path: str
    value: np.ndarray
    gradient: np.ndarray
    update: np.ndarray | None

    @property
    def gain(self) -> float:
        """Factor by which it multiplies the size of its inputs: 1 to 1.5 for Glorot and He.

        sqrt(inputs) times the root mean square of the weights.
        """
        return math.sqrt(self.value.shape[0]) * _rms(self.value)

    @property
    def gradient_rms(self) -> float:
        """Root mean square of the gradient."""
        return _rms(self.gradient)

    @property
    def update_ratio(self) -> float:
        """Size of the first update as a share of the weights."""
        return math.nan if self.update is None else _rms(self.update) / self.size

    @property
    def size(self) -> float:
        """Root mean square of the weights, at least the usual one, 1 / sqrt(inputs)."""
        return max(_rms(self.value), 1 / math.sqrt(self.value.shape[0]))

    @property
    def units_are_identical(self) -> bool:
        """Whether all units have the same weights and the same gradient: they stay so."""
        if self.value.ndim != 2 or self.value.shape[1] < 2:
            return False
        return all(
            bool(np.allclose(part, part[:, :1], rtol=1e-5, atol=1e-12))
            for part in (self.value, self.gradient)
        )


class Start:
    """The untrained network on some rows: outputs, loss, units, gradients, first update.

    Args:
        subject: Network with its loss and rows.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    @cached_property
    def loss(self) -> float:
        """Loss before the first step, without penalties."""
        return self._backward[0]

    @cached_property
    def penalty(self) -> float:
        """Sum of the penalties of weights, such as `l2`."""
        return self._backward[1]

    @cached_property
    def guess_loss(self) -> float:
        """Loss of an answer that knows nothing: equal probabilities, or the mean target."""
        _, y = self.subject.some
        outputs = np.zeros_like(self.subject.outputs, np.float32)
        if self.subject.num_classes and not self.subject.loss.from_logits:
            activation = self.subject.output_activation
            outputs += 0.5 if activation == "sigmoid" else 1 / max(outputs.shape[-1], 1)
        elif not self.subject.num_classes:
            outputs += y.reshape(len(y), -1).mean(axis=0).astype(np.float32)
        return float(self.subject.loss.mean(y, outputs))

    @property
    def guess(self) -> str:
        """Answer that knows nothing, in words."""
        return "a guess" if self.subject.num_classes else "the mean target"

    @cached_property
    def units(self) -> tuple[Units, ...]:
        """Hidden layers with an activation; none where the layers are not a graph."""
        copy = self.subject.copy
        layers = [layer for layer in layers_of(copy)[:-1] if _is_hidden(layer)]
        if not layers:
            return ()
        measured = keras.Model(copy.inputs[0], [layer.output for layer in layers])
        values = measured(self.subject.some[0], training=True)
        values = values if isinstance(values, (list, tuple)) else [values]
        return tuple(
            Units(layer.name, str(activation_of(layer)), _by_unit(value))
            for layer, value in zip(layers, values, strict=True)
        )

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """Kernels from the input to the output, with gradient and first update."""
        model = self.subject.copy
        _, _, gradients = self._backward
        updates = self._updates(gradients)
        found = zip(model.trainable_variables, gradients, updates, strict=True)
        return tuple(
            Kernel(_path(variable), np.asarray(variable), gradient, update)
            for variable, gradient, update in found
            if len(variable.shape) == 2 and gradient is not None and _is_kernel(variable)
        )

    @cached_property
    def without_gradient(self) -> tuple[str, ...]:
        """Paths of the trainable weights that the loss does not depend on."""
        variables = self.subject.copy.trainable_variables
        return tuple(
            _path(variable)
            for variable, gradient in zip(variables, self._backward[2], strict=True)
            if gradient is None
        )

    @cached_property
    def _backward(self) -> tuple[float, float, list[np.ndarray | None]]:
        """Loss, penalty, and the gradient of their sum for each trainable weight."""
        x, y = self.subject.some
        model = self.subject.copy
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = self.subject.loss.mean(y, outputs)
            penalty = sum(model.losses, keras.ops.zeros(()))
            total = loss + keras.ops.cast(penalty, loss.dtype)
        gradients = tape.gradient(total, [variable.value for variable in variables])
        # That of an embedding has only the rows that were looked up, until it is a tensor.
        arrays = [
            None if each is None else np.asarray(tf.convert_to_tensor(each))
            for each in gradients
        ]
        return float(loss), float(penalty), arrays

    def _updates(self, gradients: list[Any]) -> list[np.ndarray | None]:
        """Returns the changes by one update, which is taken back."""
        make, variables = self.subject.make_optimizer, self.subject.copy.trainable_variables
        if make is None or not self.subject.learning_rate:
            return [None] * len(variables)
        return [*trial_update(make(), gradients, variables)]


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, np.float64)))))


def _is_hidden(layer: keras.layers.Layer) -> bool:
    return activation_of(layer) not in (None, "linear") and layer.output.dtype != "string"


def _is_kernel(variable: Any) -> bool:
    return str(variable.path).rpartition("/")[2] == "kernel"


def _path(variable: Any) -> str:
    return "/".join(str(variable.path).split("/")[-2:])


def _by_unit(values: Any) -> np.ndarray:
    array = np.asarray(values, np.float32)
    return array.reshape(len(array), -1)


def entry_rms(subject: Subject) -> float | None:
    """Returns the root mean square of the inputs of the first dense layer, scaled ones.

    Args:
        subject: Network with its rows.

    Returns:
        The number; None where the layers are not a graph.
    """
    entry = _entry(subject)
    return None if entry is None else _rms(entry)


def entry_sizes(subject: Subject) -> tuple[float, float] | None:
    """Returns the sizes of scaled inputs by which sparse ones are not taken for small ones.

    Args:
        subject: Network with its rows.

    Returns:
        Root mean square of the entries other than 0, and that of the lengths of rows; None
        where the first dense layer has inputs that are learned, as of an embedding.
    """
    entry = _entry(subject, learned=False)
    if entry is None:
        return None
    rows = np.asarray(entry, np.float64).reshape(len(entry), -1)
    entries = rows[rows != 0]
    if not entries.size:
        return None
    return _rms(entries), float(np.sqrt(np.square(rows).sum(axis=1).mean()))


def _entry(subject: Subject, *, learned: bool = True) -> Any:
    """Returns the inputs of the first dense layer; None where they are unknown.

    With `learned=False` also where a layer with weights that are trained comes first.
    """
    copy = subject.copy
    layers = layers_of(copy)
    places = [n for n, each in enumerate(layers) if isinstance(each, keras.layers.Dense)]
    if not places or len(copy.inputs) != 1:
        return None
    before = layers[: places[0]]
    if not learned and any(layer.trainable_weights for layer in before):
        return None
    entry = keras.Model(copy.inputs[0], layers[places[0]].input)
    return entry(subject.some[0], training=True)
