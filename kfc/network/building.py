"""Builds the untrained network of a spec, a plain `keras.Model` that returns logits."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from kfc.data import Task
from kfc.errors import Finding, PluginError, SpecError
from kfc.network.finishing import finished
from kfc.network.learned_factors import INPUT_SCALE, parametric, with_factors
from kfc.network.members import (
    MEMBER_SCALE,
    average_of_members,
    initial_member_scale,
    member_logits,
    with_members,
)
from kfc.network.numeric_embeddings import embedded_numbers
from kfc.network.output_width import num_outputs
from kfc.network.seeds import layer_seed
from kfc.network.table_inputs import table_features
from kfc.registry import BLOCKS, keras_class
from kfc.spec import (
    ActivationSpec,
    BiasInitializerSpec,
    HiddenSpec,
    InitializerSpec,
    Spec,
    signatures,
)


def build(spec: Spec, task: Task, *, scaled: bool = True) -> keras.Model:
    """Builds the network of `spec`, with weights initialized from the spec's seed.

    The layers are `flatten` (for inputs of several dimensions), `scaling`, `input_scale` (if
    the spec has it), `member_scale` (for several members), `hidden_1` to `hidden_n` and
    `logits`; for a regression also `value`, which returns values in the target's own units.
    The outputs of several members are averaged, see `kfc.network.members`. The network of a
    task with a temperature or with limits ends with it, see `kfc.network.finishing`. Each
    layer has a seed made of the spec's seed and the layer's name, so that equal specs give
    equal weights. Of an initializer that computes weights from rows, only the part without
    rows is done: see `initialize_from_rows`.

    Args:
        spec: A checked spec.
        task: Shape of a row, classes and fitted scaling.
        scaled: Whether the network has the layers `scaling`, `value` and `calibrated`.

    Returns:
        A functional model, (batch, *input_shape) -> (batch, outputs).

    Raises:
        PluginError: If a plug-in's block returns another shape than (batch, units).
    """
    _check_keras()
    dtype = task.input_dtype if scaled else "float32"
    several = len(task.input_shape) > 1
    x = inputs = keras.Input(
        task.input_shape, dtype=dtype, name="image" if several else "features"
    )
    if several:
        x = keras.layers.Flatten(name="flatten")(x)  # (batch, features)
    seed_of = functools.partial(layer_seed, spec.seed)
    if task.encoding is not None:
        x = table_features(x, spec, task, seed_of=seed_of, scaled=scaled)
    else:
        x = task.scaling.graph(x) if scaled else x
        x = embedded_numbers(x, spec, task, seed_of)
    members = spec.network.members
    if spec.network.input_scale:
        x = with_factors(x, INPUT_SCALE)
    if members > 1:
        x = with_members(x, members)  # (batch, members, inputs)
    with _dtype_policy(spec.training.precision):
        x = _hidden_layers(x, spec)  # (batch, units)
    x = member_logits(x, num_outputs(spec, task)) if members > 1 else _logits(x, spec, task)
    if scaled and not task.classification:
        x = task.target_scaling.inverse_layer()(x)
    if members > 1:
        x = average_of_members(x, classification=task.classification)
    x = finished(x, task) if scaled else x
    network = keras.Model(inputs, x, name="network")  # x: (batch, outputs)
    if members > 1:
        _initialize_members(network, spec, task)
    return network


def _logits(x: Any, spec: Spec, task: Task) -> Any:
    """Adds the output layer, (batch, units) -> (batch, outputs)."""
    network, seed = spec.network, layer_seed(spec.seed, "logits")
    return keras.layers.Dense(
        num_outputs(spec, task),
        kernel_initializer=initializer(network.output_init or network.init, seed),
        bias_initializer=bias_initializer(network.output_bias_init, seed, x.shape[-1]),
        name="logits",
    )(x)


def _initialize_members(network: keras.Model, spec: Spec, task: Task) -> None:
    """Draws the weights in which members differ, those of each output layer by its own seed.

    An initializer thus sees the shape of one output layer, as that of a network without
    members.
    """
    scale = initial_member_scale(spec, task, layer_seed(spec.seed, MEMBER_SCALE))
    network.get_layer(MEMBER_SCALE).kernel.assign(scale)
    logits, options = network.get_layer("logits"), spec.network
    members, inputs, outputs = logits.kernel.shape
    kernels, biases = [], []
    for member in range(members):
        seed = layer_seed(layer_seed(spec.seed, "logits"), f"member_{member + 1}")
        kernel = initializer(options.output_init or options.init, seed)
        bias = bias_initializer(options.output_bias_init, seed, inputs)
        kernels.append(kernel((inputs, outputs)))
        biases.append(bias((outputs,)))
    logits.kernel.assign(keras.ops.stack(kernels))
    logits.bias.assign(keras.ops.stack(biases))


def _hidden_layers(x: Any, spec: Spec) -> Any:
    name = spec.network.block.name
    block = BLOCKS.get(name, "network.block")
    for number, layer in enumerate(spec.network.layers(), start=1):
        layer_name = f"hidden_{number}"
        seed = layer_seed(spec.seed, layer_name)
        with BLOCKS.guard(name, f"network.hidden[{number - 1}]"):
            y = block(x, layer, name=layer_name, seed=seed, **spec.network.block.options)
        _check_block(y, (*x.shape[:-1], layer.units), name)
        x = y
    return x


@contextmanager
def _dtype_policy(precision: str) -> Iterator[None]:
    """Sets Keras's global dtype policy; `bfloat16` computes so, with float32 weights."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check_keras() -> None:
    """Refuses global settings of Keras that change the numbers of a network."""
    settings = {
        "keras.config.floatx()": keras.config.floatx(),
        "keras.config.dtype_policy()": keras.config.dtype_policy().name,
    }
    for where, got in settings.items():
        if got != "float32":
            raise SpecError(Finding(where, "float32", repr(got), "Set it back to float32."))


def dense(tensor: Any, hidden: HiddenSpec, *, name: str, seed: int) -> Any:
    """Adds a dense layer, with normalization, activation and dropout as in the options.

    Args:
        tensor: Symbolic input, (batch, features) or (batch, members, features).
        hidden: Options of the layer, with defaults filled in.
        name: Name of the dense layer, and prefix of the names of the other layers.
        seed: Seed of kernel and dropout.

    Returns:
        Symbolic output, (batch, units) or (batch, members, units).
    """
    normalized = hidden.normalization != "none"
    activation = _activation(hidden.activation)
    separate = normalized or hidden.parametric_activation
    tensor = keras.layers.Dense(
        hidden.units,
        activation=None if separate else activation,
        use_bias=hidden.use_bias,
        kernel_initializer=initializer(hidden.init, seed),
        bias_initializer=bias_initializer(hidden.bias_init, seed, tensor.shape[-1]),
        kernel_regularizer=_regularizer(hidden),
        name=name,
    )(tensor)  # (batch, units)
    if normalized:
        layer = {
            "batch": keras.layers.BatchNormalization,
            "layer": keras.layers.LayerNormalization,
        }[str(hidden.normalization)]
        tensor = layer(name=f"{name}_normalization")(tensor)
    if hidden.parametric_activation:
        tensor = parametric(tensor, activation, name=name)
    elif normalized:
        tensor = keras.layers.Activation(activation, name=f"{name}_activation")(tensor)
    if hidden.dropout:
        tensor = keras.layers.Dropout(hidden.dropout, seed=seed, name=f"{name}_dropout")(
            tensor
        )
    return tensor


def residual(tensor: Any, hidden: HiddenSpec, *, name: str, seed: int) -> Any:
    """Adds a dense block with a residual connection from its input to its output.

        y = x + dense(x)    or, if the widths differ,    y = P x + dense(x)

    The connection skips one dense layer, instead of the two convolutions of He, Zhang, Ren and
    Sun, "Deep residual learning for image recognition", 2016,
    https://arxiv.org/abs/1512.03385.

    Args:
        tensor: Symbolic input, (batch, features) or (batch, members, features).
        hidden: Options of the layer, with defaults filled in.
        name: Name of the dense layer, and prefix of the names of the other layers.
        seed: Seed of kernels and dropout.

    Returns:
        Symbolic output, (batch, units) or (batch, members, units).
    """
    shortcut = tensor
    if tensor.shape[-1] != hidden.units:
        shortcut = keras.layers.Dense(
            hidden.units,
            use_bias=False,
            kernel_initializer=initializer(hidden.init, layer_seed(seed, "projection")),
            kernel_regularizer=_regularizer(hidden),
            name=f"{name}_projection",
        )(tensor)  # (batch, units)
    return keras.layers.Add(name=f"{name}_add")(
        [shortcut, dense(tensor, hidden, name=name, seed=seed)]
    )


@keras.saving.register_keras_serializable("kfc")
class ActivationWithOptions:
    """A Keras activation function with options for which Keras has no layer.

    An example is `celu` with another alpha. A saved network with such an activation loads in
    plain Keras after `import kfc.network.building`.

    Args:
        name: Keras's name of the activation.
        options: Option name -> value.
    """

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name, self.options = name, options

    def __call__(self, x: Any) -> Any:
        """Returns the activation of `x`, of the same shape."""
        return keras.activations.get(self.name)(x, **self.options)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"name": self.name, "options": self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ActivationWithOptions:
        """Returns the activation whose `get_config` is given."""
        return cls(**config)


def initializer(init: InitializerSpec | None, seed: int) -> keras.initializers.Initializer:
    """Returns the Keras initializer of a spec's `init`, with the seed if it is random.

    For one that needs rows, it is the initializer of what `initialize_from_rows` begins with:
    normal kernels of variance 1 / inputs, and biases of 0.
    """
    if init is None:
        raise ValueError("init: expected a filled-in layer; use Network.layers().")
    if init.needs_rows:
        if isinstance(init, BiasInitializerSpec):
            return keras.initializers.Zeros()
        return keras.initializers.VarianceScaling(
            1.0, "fan_in", distribution="untruncated_normal", seed=seed
        )
    # `keras.initializers.get` cannot build a Constant without its value.
    kind = keras_class(keras.initializers, init.name)
    is_random = "seed" in inspect.signature(kind).parameters
    return kind(**init.options, **({"seed": seed} if is_random else {}))


def bias_initializer(
    init: BiasInitializerSpec | None, seed: int, inputs: int
) -> keras.initializers.Initializer:
    """Returns the initializer of the biases of a layer, from the seed of the layer."""
    if init is None:
        return keras.initializers.Zeros()
    # A seed of its own: with the kernel's, the biases would repeat the kernel's numbers.
    seed = layer_seed(seed, "bias")
    if init.name == init.of_inputs:
        bound = 1.0 / math.sqrt(inputs)
        return keras.initializers.RandomUniform(-bound, bound, seed=seed)
    return initializer(init, seed)


def _activation(activation: ActivationSpec | None) -> Any:
    if activation is None:
        raise ValueError("activation: expected a filled-in layer; use Network.layers().")
    defaults = {
        k: v for k, v in signatures("activation")[activation.name].items() if v is not None
    }
    if activation.options == defaults:
        return activation.name
    if activation.name in _ACTIVATION_LAYERS:
        layer = getattr(keras.layers, _ACTIVATION_LAYERS[activation.name])
        return layer(**activation.options, name=activation.name)
    return ActivationWithOptions(activation.name, activation.options)


_ACTIVATION_LAYERS = {
    "elu": "ELU",
    "leaky_relu": "LeakyReLU",
    "relu": "ReLU",
}
"""Activations that Keras also has as layers, which it saves with their options."""


def _regularizer(hidden: HiddenSpec) -> keras.regularizers.Regularizer | None:
    penalized = hidden.l1 or hidden.l2
    return keras.regularizers.L1L2(l1=hidden.l1, l2=hidden.l2) if penalized else None


def _check_block(tensor: Any, wanted: tuple[int | None, ...], block: str) -> None:
    shape = tuple(getattr(tensor, "shape", ()))
    if shape != wanted:
        raise PluginError(
            Finding(
                f"block {block!r}",
                f"a tensor of shape {wanted}",
                f"{shape or type(tensor).__name__}",
                "A block returns (batch, units); kfc.testing.check_block tests it.",
            )
        )
