"""The kind of a variable of a network, by which an optimizer may treat it."""

from __future__ import annotations

from typing import Any, Literal

import keras

VariableKind = Literal[
    "kernel", "bias", "input_scale", "embedding", "numeric_embedding", "activation"
]


def kind_of(variable: Any) -> VariableKind:
    """Returns the kind of a variable, which its layer and its own name tell.

    Args:
        variable: Variable of a network of kfc, such as `hidden_1/kernel`.
    """
    parts = ["", *variable.path.split("/")]
    layer, name = parts[-2], parts[-1]
    if layer == "input_scale":
        return "input_scale"
    if layer.startswith("embedding_"):
        return "embedding"
    if layer.startswith("numeric_embedding"):
        return "numeric_embedding"
    if layer.endswith("_slope"):
        return "activation"
    return "kernel" if name == "kernel" else "bias"


def fan_in(variable: Any) -> Any:
    """Returns the number of inputs that one output of a kernel has, a float32 scalar.

    It is read from the value, since a compiled step may serve networks of several widths.

    Args:
        variable: Kernel, (inputs, units) or (members, inputs, units); that of `member_scale`,
            (members, inputs), multiplies each input alone.
    """
    if "member_scale/" in variable.path:
        return keras.ops.ones((), "float32")
    return keras.ops.cast(keras.ops.shape(variable.value)[-2], "float32")
