"""Comparison of the architectures of two networks."""

from __future__ import annotations

from typing import Any

import keras

from kfc.errors import Finding, SpecError


def check_architecture(expected: keras.Model, actual: Any) -> None:
    """Checks that `actual` has the architecture of `expected`.

    Raises:
        SpecError: If a layer differs; the message names the first difference.
    """
    if not isinstance(actual, keras.Model):
        raise SpecError(
            Finding("network=", "a keras.Model", type(actual).__name__, "Use kfc.build.")
        )
    if finding := first_difference(expected, actual):
        raise SpecError(finding)


def first_difference(expected: keras.Model, actual: keras.Model) -> Finding | None:
    """Returns a finding about the first layer that differs, or None.

    Layers for inputs, flattening and scaling are skipped if they have no weights, since a
    network that was built without data has no scaling layer yet.
    """
    ours, theirs = _compared_layers(expected), _compared_layers(actual)
    remedy = "Build it with kfc.build(spec, ...), or change the spec."
    for number, (wanted, got) in enumerate(zip(ours, theirs, strict=False), start=1):
        for key in {**wanted, **got}:
            if key != "name" and wanted.get(key) != got.get(key):
                return Finding(
                    f"network=, layer {number} ({wanted['name']})",
                    f"{key} {wanted.get(key)!r} as in the spec",
                    repr(got.get(key)),
                    remedy,
                )
    if len(ours) != len(theirs):
        longer = max(ours, theirs, key=len)
        first = longer[min(len(ours), len(theirs))]["name"]
        lengths = f"{len(theirs)}; {first} is the difference"
        return Finding("network=", f"{len(ours)} layers as in the spec", lengths, remedy)
    return None


_WEIGHTLESS = (
    *("Flatten", "Functional", "InputLayer", "Maximum", "Minimum", "Normalization"),
    *("Rescaling", "Reshape"),
)
_COMPARED = (
    "units",
    "trainable",
    "activation",
    "use_bias",
    "rate",
    "axis",
    "epsilon",
    "momentum",
)


def _compared_layers(network: keras.Model) -> list[dict[str, Any]]:
    layers = []
    for layer in network.layers:
        kind = type(layer).__name__
        if kind in _WEIGHTLESS and not layer.weights:
            continue
        config = layer.get_config()
        compared = {key: config[key] for key in _COMPARED if key in config}
        shapes = [tuple(weight.shape) for weight in layer.weights]
        layers.append({"kind": kind, **compared, "weights": shapes, "name": layer.name})
    return layers
