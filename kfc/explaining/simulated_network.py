"""The network of a spec in NumPy float64, forward and back, with the weights Keras draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from kfc import reference
from kfc.explaining.activations import simulated_activation
from kfc.explaining.initial_weights import initial_bias, initial_kernel
from kfc.network import layer_seed
from kfc.spec import HiddenSpec, Spec

Array = np.ndarray

_EPSILON = 1e-3  # Keras's, in the variance of a normalization


@dataclass
class SimulatedLayer:
    """A dense layer: h = f(norm(x W + b)), perhaps with a shortcut, y = h + x or h + x P.

    Args:
        name: Name of the layer in the network.
        weights: Its trained arrays by their names: `kernel`, and perhaps `bias`, `gamma` and
            `beta` of a normalization, `slope` and `projection`.
        activation: Activation f.
        normalization: `none`, `batch` or `layer`.
        shortcut: Whether the input is added to the output.
        dropout: Share of outputs that are 0 while training.
        l1: Factor of the sum of absolute kernel weights in the loss.
        l2: Factor of the sum of squared kernel weights in the loss.
    """

    name: str
    weights: dict[str, Array]
    activation: reference.Activation
    normalization: str = "none"
    shortcut: bool = False
    dropout: float = 0.0
    l1: float = 0.0
    l2: float = 0.0

    def forward(self, x: Array, kept: Array | float = 1.0) -> tuple[Array, dict[str, Any]]:
        """Returns the output, (batch, units), and the values that `backward` needs."""
        w = self.weights
        a = x @ w["kernel"]
        if "bias" in w:
            a = a + w["bias"]
        seen: dict[str, Any] = {"x": x, "a": a, "kept": kept}
        z = a
        if self.normalization != "none":
            axis = 0 if self.normalization == "batch" else 1
            centered = a - a.mean(axis=axis, keepdims=True)
            deviation = np.sqrt((centered**2).mean(axis=axis, keepdims=True) + _EPSILON)
            seen |= {"normal": centered / deviation, "deviation": deviation, "axis": axis}
            z = seen["normal"] * w["gamma"] + w["beta"]
        h = f = self.activation.forward(z)
        if "slope" in w:
            h = z + w["slope"] * (f - z)
        y = kept * h
        if self.shortcut:
            y = y + (x @ w["projection"] if "projection" in w else x)
        return y, {**seen, "z": z, "f": f, "y": y}

    def backward(
        self, seen: dict[str, Any], g: Array, *, to_input: bool = True
    ) -> tuple[Array, dict[str, Array]]:
        """Returns the gradient with respect to the input, and those of the weights.

        Args:
            seen: Values of `forward`.
            g: Gradient with respect to the output.
            to_input: Whether the input's gradient is needed; otherwise it is empty.
        """
        w, x, z = self.weights, seen["x"], seen["z"]
        found: dict[str, Array] = {}
        dx: Array | float = 0.0
        if self.shortcut and "projection" in w:
            dx, found["projection"] = reference.matmul_backward(x, w["projection"], g)
        elif self.shortcut:
            dx = g
        g = seen["kept"] * g
        if "slope" in w:
            found["slope"] = (g * (seen["f"] - z)).sum(axis=0)
            g = (1 - w["slope"]) * g + self.activation.backward(z, w["slope"] * g)
        else:
            g = self.activation.backward(z, g)
        if self.normalization != "none":
            normal, axis = seen["normal"], seen["axis"]
            found |= {"gamma": (g * normal).sum(axis=0), "beta": g.sum(axis=0)}
            g = g * w["gamma"]
            g = (
                g
                - g.mean(axis=axis, keepdims=True)
                - normal * (g * normal).mean(axis=axis, keepdims=True)
            )
            g = g / seen["deviation"]
        if "bias" in w:
            found["bias"] = g.sum(axis=0)
        seen["da"] = g
        if not to_input:
            return np.empty(0), {**found, "kernel": x.T @ g}
        inner, found["kernel"] = reference.matmul_backward(x, w["kernel"], g)
        return inner + dx, found


class Pass(NamedTuple):
    """Result of a pass of rows through a network, forward and back.

    Args:
        loss: Loss of the rows, penalties of the weights included.
        gradients: Gradients of the weights, in the network's order.
        outputs: Outputs, (batch, outputs).
        seen: Values inside each layer, see `SimulatedLayer.forward`.
    """

    loss: float
    gradients: list[Array]
    outputs: Array
    seen: list[dict[str, Any]]


@dataclass
class SimulatedNetwork:
    """The layers of a network and its loss.

    Args:
        layers: Hidden layers and the output layer, in order.
        loss: Function of outputs and targets that returns the loss and its gradient.
        input_scale: Learned factors of the inputs, (inputs,); None without them.
    """

    layers: list[SimulatedLayer]
    loss: Callable[[Array, Array], tuple[float, Array]]
    input_scale: Array | None = field(default=None)

    @property
    def weights(self) -> list[Array]:
        """All trained arrays, in a fixed order."""
        first = [] if self.input_scale is None else [self.input_scale]
        return first + [w for layer in self.layers for w in layer.weights.values()]

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """Kind of each trained array, as in `rate_factors`, and inputs of its layer."""
        scale = self.input_scale
        found = [] if scale is None else [("input_scale", len(scale))]
        names = {"kernel": "kernel", "projection": "kernel", "slope": "activation"}
        return found + [
            (names.get(name, "bias"), len(layer.weights["kernel"]))
            for layer in self.layers
            for name in layer.weights
        ]

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return int(self.layers[-1].weights["kernel"].shape[1])

    def assign(self, weights: Sequence[Array]) -> None:
        """Takes other arrays in the order of `weights`."""
        values = iter(weights)
        if self.input_scale is not None:
            self.input_scale = next(values)
        for layer in self.layers:
            layer.weights = {name: next(values) for name in layer.weights}

    def in_float32(self) -> SimulatedNetwork:
        """Returns a copy whose weights are float32."""
        layers = [
            replace(
                layer,
                weights={name: w.astype(np.float32) for name, w in layer.weights.items()},
            )
            for layer in self.layers
        ]
        scale = None if self.input_scale is None else self.input_scale.astype(np.float32)
        return SimulatedNetwork(layers, self.loss, scale)

    def forward(
        self, x: Array, generator: np.random.Generator | None = None
    ) -> tuple[Array, list[dict[str, Any]]]:
        """Returns the outputs, (batch, outputs), and the values inside each layer.

        Args:
            x: Scaled rows, (batch, inputs).
            generator: Random numbers of the dropout; None to leave it out.
        """
        passed = []
        if self.input_scale is not None:
            x = x * self.input_scale
        for layer in self.layers:
            kept: Array | float = 1.0
            if generator is not None and layer.dropout:
                shape = len(x), layer.weights["kernel"].shape[1]
                kept = (generator.random(shape) >= layer.dropout).astype(x.dtype)
                kept = kept / (1 - layer.dropout)
            x, seen = layer.forward(x, kept)
            passed.append(seen)
        return x, passed

    def run(self, x: Array, y: Array, generator: np.random.Generator | None = None) -> Pass:
        """Returns the loss of rows and the gradients of all weights.

        Args:
            x: Scaled rows, (batch, inputs).
            y: Targets of the loss.
            generator: Random numbers of the dropout; None to leave it out.
        """
        outputs, passed = self.forward(x, generator)
        value, g = self.loss(outputs, y)
        g = g.astype(outputs.dtype, copy=False)
        found: list[Array] = []
        for layer, seen in zip(self.layers[::-1], passed[::-1], strict=True):
            to_input = layer is not self.layers[0] or self.input_scale is not None
            g, gradients = layer.backward(seen, g, to_input=to_input)
            for name in ("kernel", "projection") if layer.l1 or layer.l2 else ():
                if name in layer.weights:
                    kernel = layer.weights[name]
                    value += layer.l1 * np.abs(kernel).sum() + layer.l2 * (kernel**2).sum()
                    extra = layer.l1 * np.sign(kernel) + 2 * layer.l2 * kernel
                    gradients[name] = gradients[name] + extra
            found = [gradients[name] for name in layer.weights] + found
        if self.input_scale is not None:
            found = [(x * g).sum(axis=0), *found]
        return Pass(float(value), found, outputs, passed)


def simulated_network(
    spec: Spec,
    inputs: int,
    outputs: int,
    loss: Callable[[Array, Array], tuple[float, Array]],
    x: Array | None = None,
) -> SimulatedNetwork:
    """Returns the untrained network of a spec with the initial weights of its seed.

    Of several members it is the first one. An initializer that needs rows gets a sample of
    them instead of all training rows.

    Args:
        spec: Spec whose parts have formulas here, see `kfc.explaining.not_simulated`.
        inputs: Number of inputs of the first layer.
        outputs: Number of outputs.
        loss: Function of outputs and targets that returns the loss and its gradient.
        x: Scaled rows, (rows, inputs), for initializers that need rows.

    Raises:
        ValueError: If an initializer needs rows, and there are none.
    """
    layers: list[SimulatedLayer] = []
    width, network = inputs, spec.network
    residual = network.block.name == "residual"
    needs_rows = _needs_rows(spec)
    for number, hidden in enumerate(network.layers(), start=1):
        seed = layer_seed(spec.seed, f"hidden_{number}")
        layers.append(_hidden(f"hidden_{number}", hidden, width, seed, x, residual=residual))
        width = hidden.units
        x = layers[-1].forward(x)[0] if needs_rows and x is not None else None
    seed = layer_seed(spec.seed, "logits")
    if network.members > 1:
        seed = layer_seed(seed, "member_1")
    init = network.output_init or network.init
    kernel = initial_kernel(init, (width, outputs), seed, x)
    z = None if x is None else x @ kernel
    bias = initial_bias(network.output_bias_init, outputs, seed, width, z)
    weights = {"kernel": kernel, "bias": bias}
    layers.append(SimulatedLayer("logits", weights, reference.ACTIVATIONS["linear"]))
    return SimulatedNetwork(layers, loss, np.ones(inputs) if network.input_scale else None)


def _needs_rows(spec: Spec) -> bool:
    network = spec.network
    inits = [network.output_init or network.init, network.output_bias_init]
    for layer in network.layers():
        inits += [layer.init, layer.bias_init]
    return any(init is not None and init.needs_rows for init in inits)


def _hidden(
    name: str, hidden: HiddenSpec, inputs: int, seed: int, x: Array | None, *, residual: bool
) -> SimulatedLayer:
    """Returns a hidden layer whose options are filled in."""
    if hidden.init is None or hidden.activation is None:
        raise ValueError("expected a filled-in layer; use Network.layers()")
    units = hidden.units
    kernel = initial_kernel(hidden.init, (inputs, units), seed, x)
    weights = {"kernel": kernel}
    if hidden.use_bias:
        z = None if x is None else x @ kernel
        weights["bias"] = initial_bias(hidden.bias_init, units, seed, inputs, z)
    if hidden.normalization != "none":
        weights |= {"gamma": np.ones(units), "beta": np.zeros(units)}
    if hidden.parametric_activation:
        weights["slope"] = np.ones(units)
    if residual and inputs != units:
        own = layer_seed(seed, "projection")
        weights["projection"] = initial_kernel(hidden.init, (inputs, units), own, x)
    activation = simulated_activation(hidden.activation)
    if activation is None:
        raise ValueError(f"{hidden.activation.name}: expected an activation with a formula")
    return SimulatedLayer(
        name,
        weights,
        activation,
        str(hidden.normalization),
        residual,
        float(hidden.dropout or 0.0),
        float(hidden.l1 or 0.0),
        float(hidden.l2 or 0.0),
    )
