"""Two networks -> the first difference in how they are built."""

from __future__ import annotations

from typing import Any

import keras

from kfc.errors import Finding, SpecError


def check_architecture(expected: keras.Model, actual: Any) -> None:
    """Checks that `actual` is a network like `expected`.

    Raises:
        SpecError: With the first difference.
    """
    if not isinstance(actual, keras.Model):
        raise SpecError(
            Finding("network=", "a keras.Model", type(actual).__name__, "Use kfc.build.")
        )
    if finding := first_difference(expected, actual):
        raise SpecError(finding)


def first_difference(expected: keras.Model, actual: keras.Model) -> Finding | None:
    """Returns the first layer in which `actual` is built otherwise, or None.

    Inputs, flattening and scaling are left out where they hold no weights: a network
    built without data has no scaling yet.
    """
    ours, theirs = _layers_that_matter(expected), _layers_that_matter(actual)
    remedy = "Build it with kfc.build(spec, ...), or change the spec."
    for number, (want, have) in enumerate(zip(ours, theirs, strict=False)):
        for key in {**want, **have}:
            if key != "name" and want.get(key) != have.get(key):
                return Finding(
                    f"network=, layer {number + 1} ({want['name']})",
                    f"{key} {want.get(key)!r} as in the spec",
                    repr(have.get(key)),
                    remedy,
                )
    if len(ours) != len(theirs):
        longer = max(ours, theirs, key=len)
        first = longer[min(len(ours), len(theirs))]["name"]
        got = f"{len(theirs)}; {first} is the difference"
        return Finding("network=", f"{len(ours)} layers as in the spec", got, remedy)
    return None


_WEIGHTLESS = ("InputLayer", "Flatten", "Reshape", "Rescaling", "Normalization")
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


def _layers_that_matter(network: keras.Model) -> list[dict[str, Any]]:
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
