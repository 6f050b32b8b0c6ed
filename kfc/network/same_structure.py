"""Comparison of two networks: their architectures, and the meaning of inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras

from kfc.data import Task
from kfc.errors import Finding, SpecError
from kfc.preprocessing import CategoryColumn

_SHOWN = 200
"""Letters of a list of names in a message."""


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


def check_meaning(expected: Task, actual: Task) -> None:
    """Checks that inputs and outputs have the same meaning in two tasks.

    With the weights of one, a network of the other would take the numbers of other columns,
    categories or classes for those that it has learned. Centers and scalings may differ.

    Args:
        expected: Task of the network that is to train.
        actual: Task of the run whose weights it gets.

    Raises:
        SpecError: If they differ; the message names the first difference.
    """
    for what, wanted, got in _meanings(expected, actual):
        if wanted != got:
            expected_text = f"{what} {_short(wanted)}, as in the data"
            remedy = (
                "Train on the same columns and classes, or without the weights of that run."
            )
            raise SpecError(Finding("network=", expected_text, _short(got), remedy))


def _meanings(
    expected: Task, actual: Task
) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    yield "the classes", expected.class_names, actual.class_names
    one_table, other_table = expected.encoding, actual.encoding
    kinds = [["arrays" if table is None else "a table"] for table in (one_table, other_table)]
    yield "rows of", kinds[0], kinds[1]
    if one_table is None or other_table is None:
        if expected.feature_names and actual.feature_names:
            yield "the features", expected.feature_names, actual.feature_names
        return
    ours, theirs = one_table.columns, other_table.columns
    yield "the columns", [column.name for column in ours], [column.name for column in theirs]
    for one, other in zip(ours, theirs, strict=True):
        column = f"column {one.name!r}"
        yield f"{column} as", [type(one).__name__], [type(other).__name__]
        names = [[*each.number_names, *each.flag_names] for each in (one, other)]
        yield f"{column} as the inputs", names[0], names[1]
        if isinstance(one, CategoryColumn) and isinstance(other, CategoryColumn):
            yield f"{column} with the values", one.vocabulary, other.vocabulary


def _short(names: Sequence[str]) -> str:
    text = ", ".join(names) or "none"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(names)} in all)"


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
