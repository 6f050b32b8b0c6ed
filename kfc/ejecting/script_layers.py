"""Computes the values of each layer that the template of a script fills in."""

from __future__ import annotations

from dataclasses import dataclass

from kfc.data import Task
from kfc.ejecting.refusals import ACTIVATIONS, refused
from kfc.network import layer_seed, num_inputs, num_outputs
from kfc.spec import HiddenSpec, InitializerSpec, Spec
from kfc.training.engine import compiles_steps_only, graph_key, keep_threshold


@dataclass(frozen=True)
class ScriptLayer:
    """One dense layer of a script: a hidden layer or the output layer.

    Args:
        number: Number of the layer, from 1; its weights are `w1` and `b1`.
        inputs: Width of the input.
        units: Width of the output.
        seed: Seed of the initializer.
        initializer: Initializer of the kernel.
        bias_add: Whether `tf.nn.bias_add` adds the biases. Keras calls it where it knows the
            width of the biases when it traces, and its gradient sums rows in another order
            than the gradient of `+`.
        hidden: Options of a hidden layer; None for the output layer.
    """

    number: int
    inputs: int
    units: int
    seed: int
    initializer: InitializerSpec
    bias_add: bool
    hidden: HiddenSpec | None

    @property
    def use_bias(self) -> bool:
        """Whether the layer has biases."""
        return self.hidden is None or bool(self.hidden.use_bias)

    @property
    def normalizes(self) -> bool:
        """Whether batch normalization precedes the activation."""
        return self.hidden is not None and self.hidden.normalization == "batch"

    @property
    def dropout(self) -> float:
        """Share of the outputs that dropout sets to 0."""
        return float(self.hidden.dropout or 0) if self.hidden else 0.0

    @property
    def dropout_threshold(self) -> int:
        """Smallest hash, of 32 bits, of an output that dropout keeps."""
        return keep_threshold(self.dropout)

    @property
    def initializer_class(self) -> str:
        """Name in `tf.keras.initializers`."""
        return self.initializer.name.title().replace("_", "")

    @property
    def initializer_arguments(self) -> str:
        """Arguments of the initializer's class, as text."""
        options = self.initializer.options.items()
        arguments = [f"{key}={value!r}".replace("'", '"') for key, value in options]
        if self.initializer.name not in ("constant", "identity", "ones", "zeros"):
            arguments.append(f"seed={self.seed}")
        return ", ".join(arguments)

    @property
    def weights(self) -> str:
        """Names of the weights, in the order of `get_weights()`."""
        names = [f"w{self.number}"]
        names += [f"b{self.number}"] if self.use_bias else []
        names += [f"*norm{self.number}"] if self.normalizes else []
        return ", ".join(names)

    @property
    def trained_weights(self) -> str:
        """The same without the moving mean and variance, which have no gradient."""
        return f"{self.weights}[:2]" if self.normalizes else self.weights

    @property
    def loop_values(self) -> str:
        """Values of the layer for a loop over the hidden layers."""
        return f"{self.weights}, 0x{_hashed(self.seed):X}" if self.dropout else self.weights

    @property
    def penalty(self) -> str:
        """Term that l1 and l2 add to the loss; empty for none."""
        if self.hidden is None:
            return ""
        norms = ((self.hidden.l1, "abs"), (self.hidden.l2, "square"))
        return " + ".join(
            f"{factor!r} * tf.reduce_sum(tf.{norm}(w{self.number}))"
            for factor, norm in norms
            if factor
        )

    @property
    def product(self) -> str:
        """Expression of the outputs before the activation."""
        product = f"x @ w{self.number}"
        if self.bias_add:
            return f"tf.nn.bias_add({product}, b{self.number})"
        return f"{product} + b{self.number}" if self.use_bias else product

    @property
    def activation(self) -> str:
        """Function of the activation, such as `tf.nn.relu`; empty for linear layers."""
        given = self.hidden.activation if self.hidden else None
        return ACTIVATIONS[given.name] if given else ""

    def activated(self, expression: str) -> str:
        """Returns the expression of the outputs after the activation."""
        return f"{self.activation}({expression})" if self.activation else expression


def script_layers(spec: Spec, task: Task, *, num_rows: int) -> list[ScriptLayer]:
    """Returns the hidden layers and the output layer of a spec.

    Args:
        spec: Resolved spec.
        task: Task of its data.
        num_rows: Number of training rows.

    Raises:
        SpecError: If one loop over the hidden layers cannot add biases as Keras does.
    """
    hidden = spec.network.layers()
    inputs, outputs = num_inputs(spec, task), num_outputs(spec, task)
    widths = [inputs, *(layer.units for layer in hidden), outputs]
    # kfc's function is traced once for these widths, so Keras does not know them.
    shared = graph_key(spec, task, num_rows=num_rows)
    compiles_all = spec.training.engine == "xla" and not compiles_steps_only(spec)
    unknown = shared.widths if shared and not compiles_all else frozenset()
    layers = []
    for number, options in enumerate([*hidden, None], start=1):
        units = widths[number]
        use_bias = options is None or options.use_bias
        layer = ScriptLayer(
            number=number,
            inputs=widths[number - 1],
            units=units,
            seed=layer_seed(spec.seed, f"hidden_{number}" if options else "logits"),
            initializer=(options.init if options else spec.network.output_init)
            or spec.network.init,
            bias_add=bool(use_bias and units > 1 and units not in unknown),
            hidden=options,
        )
        layers.append(layer)
    looped = any(layer.dropout or layer.normalizes for layer in layers)
    if looped and len({layer.bias_add for layer in layers[:-1]}) > 1:
        beside = "dropout" if any(layer.dropout for layer in layers) else "normalization"
        equal = f"equal to {inputs} or {outputs}, with {beside}"
        expected = f"either all hidden widths or none {equal}"
        raise refused("network.hidden", expected, widths[1:-1])
    return layers


def _hashed(seed: int) -> int:
    """Returns the hash lowbias32 of a seed, which is the same in every step."""
    x = seed
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> shift)) * factor % 2**32
    return x ^ (x >> 16)
