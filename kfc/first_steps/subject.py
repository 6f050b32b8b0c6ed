"""The network that is examined: a copy, with its loss, its optimizer and some rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import keras
import numpy as np

from kfc.data import evenly
from kfc.errors import Finding, SpecError, reason
from kfc.first_steps.loss_facts import LossFacts
from kfc.spec import Spec

MOST_ROWS = 256
"""Rows that the network computes: the share of units that never answer is known to 3 %."""

_MOST_EPOCHS = 100  # of a training whose number is unknown
_SEED = 0

_NOISE = ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D")


@dataclass(frozen=True)
class Subject:
    """Untrained network of a training, with its loss and some rows.

    Args:
        network: Network from raw inputs to outputs; its weights are never changed.
        loss: Loss of its outputs.
        x: Some training rows, (rows, ...).
        y: Their targets.
        make_optimizer: Function that returns a new optimizer with a constant learning rate,
            the largest one of the training; None without an optimizer.
        learning_rate: Largest learning rate.
        warms_up: Whether the rate rises from 0 first.
        batch_size: Rows of a step.
        steps: Number of steps of the training; 0 where it is unknown.
        mean_rate: Mean of the learning rate over the training, as a share of its largest one;
            for a plain model with a schedule.
        num_classes: Number of classes; 0 for a regression.
        class_names: Names of the classes by their number; empty where they are unknown.
        weights: Weight of each row of `x` in the loss; None where all count alike.
        spec: Spec of the network, in whose keys cures are given; None without one.
    """

    network: keras.Model
    loss: LossFacts
    x: np.ndarray
    y: np.ndarray
    make_optimizer: Callable[[], keras.optimizers.Optimizer] | None = None
    learning_rate: float = 0.0
    warms_up: bool = False
    batch_size: int = 32
    steps: int = 0
    mean_rate: float = 1.0
    num_classes: int = 0
    class_names: tuple[str, ...] = ()
    weights: np.ndarray | None = None
    spec: Spec | None = field(default=None, repr=False)

    @cached_property
    def copy(self) -> keras.Model:
        """A copy of the network without dropout and noise, whose weights may be changed."""
        return quiet_copy(self.network, self.x[:1])

    @cached_property
    def some(self) -> tuple[np.ndarray, np.ndarray]:
        """Some rows and their targets, at most `MOST_ROWS`, evenly spaced."""
        places = evenly(len(self.y), MOST_ROWS)
        return self.x[places], self.y[places]

    @cached_property
    def outputs(self) -> np.ndarray:
        """Outputs of the untrained copy for `some`, (rows, outputs)."""
        return np.asarray(self.copy(self.some[0], training=True), np.float64)

    @property
    def width(self) -> int:
        """Number of outputs of a row."""
        return int(self.outputs.shape[-1]) if self.outputs.ndim > 1 else 1

    @property
    def longest(self) -> int:
        """Number of steps of the training; that of 100 epochs where it is unknown."""
        return self.steps or _MOST_EPOCHS * -(-len(self.y) // max(self.batch_size, 1))

    def class_name(self, number: int) -> str:
        """Returns the name of a class, which is its number where no name is known."""
        return self.class_names[number] if self.class_names else f"{number:g}"

    def batches(self, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields inputs and targets of so many steps, drawn from the rows, always the same.

        Args:
            count: Number of steps.
        """
        size, generator = min(self.batch_size, len(self.y)), np.random.default_rng(_SEED)
        for _ in range(count):
            rows = generator.choice(len(self.y), size, replace=False)
            yield self.x[rows], self.y[rows]

    @cached_property
    def output_activation(self) -> str:
        """Name of the activation of the last layer, such as `softmax`; empty if unknown."""
        return activation_of(output_layer(self.network)) or ""


def quiet_copy(network: keras.Model, x: np.ndarray) -> keras.Model:
    """Returns a copy with the same weights that answers without dropout and noise.

    Args:
        network: A built Keras model, functional, sequential or of a class with `get_config`.
        x: One row of its inputs or more, which build the copy.

    Raises:
        SpecError: If Keras cannot copy the model.
    """
    try:
        copy = _graph_copy(network) if layers_of(network) else _rebuilt(network, x)
    except (NotImplementedError, TypeError, ValueError) as error:
        expected, remedy = "a model that Keras can copy", "Give its classes `get_config`."
        raise SpecError(Finding("model", expected, reason(error), remedy)) from error
    copy.set_weights(network.get_weights())
    for layer in copy.layers:
        if hasattr(layer, "finalize_state"):  # a Normalization computes its factors there
            layer.finalize_state()
    return copy


def _graph_copy(network: keras.Model) -> keras.Model:
    """Copies a functional or sequential network, with other weights."""

    def cloned(layer: keras.layers.Layer) -> keras.layers.Layer:
        if type(layer).__name__ in _NOISE:
            return keras.layers.Identity(name=layer.name)
        try:
            return type(layer).from_config(layer.get_config())
        except (ValueError, TypeError):  # a Lambda, which Keras does not build from a config
            if layer.weights:
                raise
            return layer

    return keras.models.clone_model(network, clone_function=cloned)


def _rebuilt(network: keras.Model, x: np.ndarray) -> keras.Model:
    """Builds a model of another class again, with other weights."""
    copy = type(network).from_config(network.get_config())
    copy(x)
    for layer in copy.layers:
        if type(layer).__name__ in _NOISE:
            layer.rate = 0.0
    return copy


def layers_of(network: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers of a functional or sequential network in order; none otherwise."""
    graph = isinstance(network, keras.Sequential) or type(network).__name__ == "Functional"
    return list(network.layers) if graph and network.inputs else []


def output_layer(network: keras.Model) -> keras.layers.Layer | None:
    """Returns the layer that gives the outputs; None where it is unknown."""
    layers = layers_of(network)
    return layers[-1] if layers else None


def last_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """Returns the last layer with weights and the ones behind it, in a chain.

    Args:
        network: Functional or sequential network; another one has none.
    """
    found: list[keras.layers.Layer] = []
    for layer in reversed(layers_of(network)):
        if found and not feeds(network, layer, found[0]):
            break
        found.insert(0, layer)
        if layer.weights:
            break
    return found


def feeds(
    network: keras.Model, layer: keras.layers.Layer, following: keras.layers.Layer
) -> bool:
    """Returns whether a layer takes the outputs of another one, and nothing else.

    Args:
        network: Functional or sequential network that has both.
        layer: Layer whose outputs may be taken.
        following: Layer that may take them.
    """
    if isinstance(network, keras.Sequential):  # its tensors change with each layer added
        pairs = itertools.pairwise(network.layers)
        return any(one is layer and other is following for one, other in pairs)
    try:
        return following.input is layer.output
    except AttributeError:  # a layer that is called twice
        return False


def activation_of(layer: keras.layers.Layer | None) -> str | None:
    """Returns the name of the function that a layer applies to its outputs, or None.

    Args:
        layer: Any layer, such as `Dense` with `activation="relu"`, or `ReLU`.
    """
    if layer is None:
        return None
    kind = type(layer).__name__
    if kind in _ACTIVATION_LAYERS:
        return _ACTIVATION_LAYERS[kind]
    function = getattr(layer, "activation", None)
    if function is None:
        return None
    return getattr(function, "__name__", getattr(function, "name", type(function).__name__))


_ACTIVATION_LAYERS: Mapping[str, str] = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "leaky_relu",
    "ELU": "elu",
    "Softmax": "softmax",
}
