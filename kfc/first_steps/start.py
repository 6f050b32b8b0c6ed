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

_DIRECTIONS = 4  # random sums of the outputs
_ANSWERING = 0.1  # share of these rows that have a gradient
_TWO = 2  # inputs and outputs at least, of which there are several directions
_JUDGED = 64  # rows; of a relu layer not all units are silent for each of them


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
    def has_equal_units(self) -> bool:
        """Whether all of several units have the same weights."""
        return self.value.shape[1] > 1 and bool((self.value == self.value[:, :1]).all())

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
        gradients, updates = self._backward[2], self.updates()
        found = zip(model.trainable_variables, gradients, updates, strict=True)
        return tuple(
            Kernel(variable_path(variable), np.asarray(variable), gradient, update)
            for variable, gradient, update in found
            if len(variable.shape) == 2 and gradient is not None and _is_kernel(variable)
        )

    @cached_property
    def without_gradient(self) -> tuple[str, ...]:
        """Paths of the trainable weights that the loss does not depend on."""
        variables = self.subject.copy.trainable_variables
        return tuple(
            variable_path(variable)
            for variable, gradient in zip(variables, self._backward[2], strict=True)
            if gradient is None
        )

    @cached_property
    def output_gradient(self) -> np.ndarray | None:
        """Gradient of the loss of each row for its outputs; None where there is none."""
        gradient = self._backward[3]
        return None if gradient is None else len(gradient) * gradient.astype(np.float64)

    @property
    def directions(self) -> float:
        """Share of a second direction in which inputs change outputs; NaN if unknown."""
        return float(self.passing[1])

    @cached_property
    def passing(self) -> np.ndarray:
        """Shares of the directions in which inputs change outputs, the first one 1.

        The gradients of random sums of the outputs for the inputs of the first dense layer are
        vectors that one number between them makes parallel, and n numbers of rank n. A share
        is a singular value by the first one, the largest of a few rows; NaN if unknown.
        """
        unknown = np.full(_DIRECTIONS, math.nan)
        entry, rest = split_at_entry(self.subject.copy)
        if rest is None or self.subject.width < _TWO:
            return unknown
        inputs = tf.convert_to_tensor(entry(self.subject.some[0][:_JUDGED], training=False))
        generator, gradients = np.random.default_rng(0), []
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(inputs)
            outputs = rest(inputs, training=False)
            weights = generator.normal(size=(_DIRECTIONS, *outputs.shape[1:]))
            sums = [tf.reduce_sum(outputs * tf.constant(w, outputs.dtype)) for w in weights]
        for each in sums:
            gradient = tape.gradient(each, inputs)
            if gradient is None:
                return unknown
            gradients.append(np.asarray(gradient, np.float64).reshape(len(inputs), -1))
        if gradients[0].shape[1] < _TWO:  # that is a fault where the rows had several numbers
            return np.zeros(_TWO) if np.prod(self.subject.x.shape[1:]) >= _TWO else unknown
        if not np.isfinite(gradients).all():
            return unknown
        values = np.linalg.svd(np.stack(gradients, axis=1), compute_uv=False)
        moved = values[:, 0] > 0
        if moved.mean() < _ANSWERING:  # outputs that are cut off
            return unknown
        return np.asarray((values[moved] / values[moved, :1]).max(axis=0))

    @cached_property
    def _backward(
        self,
    ) -> tuple[float, float, list[np.ndarray | None], np.ndarray | None]:
        """Loss, penalty, gradients of their sum for weights, and of the loss for outputs."""
        x, y = self.subject.some
        model = self.subject.copy
        variables = model.trainable_variables
        with tf.GradientTape(persistent=True) as tape:
            outputs = model(x, training=True)
            tape.watch(outputs)
            loss = self.subject.loss.mean(y, outputs)
            penalty = sum(model.losses, keras.ops.zeros(()))
            total = loss + keras.ops.cast(penalty, loss.dtype)
        gradients = tape.gradient(total, [variable.value for variable in variables])
        # That of an embedding has only the rows that were looked up, until it is a tensor.
        arrays = [
            None if each is None else np.asarray(tf.convert_to_tensor(each))
            for each in (*gradients, tape.gradient(loss, outputs))
        ]
        return float(loss), float(penalty), arrays[:-1], arrays[-1]

    def largest_update(self, factor: float = 1.0, **options: Any) -> float:
        """Returns the largest share of a kernel that an update changes; 0 without one.

        Args:
            factor: Factor of the gradients.
            **options: Options of the optimizer that are other ones.
        """
        variables = self.subject.copy.trainable_variables
        changes = self.updates(factor, **options)
        ratios = [
            _rms(change) / kernel.size
            for kernel in self.kernels
            for variable, change in zip(variables, changes, strict=True)
            if change is not None and kernel.path == variable_path(variable)
        ]
        return max(ratios, default=0.0)

    def updates(self, factor: float = 1.0, **options: Any) -> list[np.ndarray | None]:
        """Returns the changes of the weights by one update, which is taken back.

        Args:
            factor: Factor of the gradients.
            **options: Options of the optimizer that are other ones.
        """
        make, variables = self.subject.make_optimizer, self.subject.copy.trainable_variables
        gradients = [None if g is None else factor * g for g in self._backward[2]]
        if make is None or not self.subject.learning_rate or all(g is None for g in gradients):
            return [None] * len(variables)
        optimizer: Any = make()
        if options:
            optimizer = type(optimizer).from_config({**optimizer.get_config(), **options})
        return [*trial_update(optimizer, gradients, variables)]


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, np.float64)))))


def _is_hidden(layer: keras.layers.Layer) -> bool:
    return activation_of(layer) not in (None, "linear") and layer.output.dtype != "string"


def _is_kernel(variable: Any) -> bool:
    return str(variable.path).rpartition("/")[2] == "kernel"


def variable_path(variable: Any) -> str:
    """Returns the last two parts of a variable's path, such as `hidden_1/kernel`."""
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
    layers = layers_of(subject.copy)
    first = next((n for n, each in enumerate(layers) if _is_dense(each)), 0)
    if not learned and any(layer.trainable_weights for layer in layers[:first]):
        return None
    entry, _ = split_at_entry(subject.copy)
    return None if entry is None else entry(subject.some[0], training=True)


def split_at_entry(network: keras.Model) -> tuple[Any, Any]:
    """Returns the models before and from the inputs of the first dense layer.

    Args:
        network: Functional or sequential network with one input; of another one both are None.

    Returns:
        The two models; the second is None where other tensors pass the first dense layer by.
    """
    dense = next((each for each in layers_of(network) if _is_dense(each)), None)
    if dense is None or len(network.inputs) != 1:
        return None, None
    entry = keras.Model(network.inputs[0], dense.input)
    try:
        return entry, keras.Model(dense.input, network.outputs[0])
    except ValueError:
        return entry, None


def _is_dense(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.Dense)
