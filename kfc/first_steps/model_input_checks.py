"""Checks that a plain Keras model takes its rows: the stage `rows`."""

from __future__ import annotations

import re

import keras
import numpy as np

from kfc.errors import Finding, one_line, reason
from kfc.first_steps.subject import Subject, layers_of

_NOISE = re.compile(r"\x1b\[\d*m|\{\{.*?\}\}|Exception encountered when calling \S+\s*")
_LONGEST = 300  # characters of an error of TensorFlow, which shows all arguments


def value_not_embedded(subject: Subject) -> Finding | None:
    """Finds numbers of an embedding's input that have no row in it.

    Keras cuts fractions off, so that numbers from 0 to 1 all become row 0. A number above the
    last row ends the training on a CPU, and gives zeros on a GPU.
    """
    for layer in layers_of(subject.network):
        if not isinstance(layer, keras.layers.Embedding):
            continue
        values = _input_of(subject, layer)
        if values is None or not values.size:
            continue
        low, high, rows = float(values.min()), float(values.max()), int(layer.input_dim)
        fractions = float((values != np.round(values)).mean())
        if low >= 0 and high < rows and not fractions:
            continue
        got = f"{low:g} to {high:g}"
        if fractions:
            got += f", {fractions:.0%} of them with a fraction, which is cut off"
        return Finding(
            f"inputs of {layer.name}",
            f"whole numbers from 0 to {rows - 1}, one for each of its {rows} rows",
            got,
            "Number the values: values, x = np.unique(x, return_inverse=True); input_dim is "
            "their number. For numbers that are measured, use a dense layer.",
            evidence={"lowest": low, "highest": high, "rows": rows, "fractions": fractions},
        )
    return None


def rows_not_computed(subject: Subject) -> Finding | None:
    """Finds rows that the model cannot compute, as of another shape."""
    try:
        subject.outputs  # noqa: B018  # computed once, and kept
    # Layers of the caller may raise anything.
    except Exception as error:
        return Finding(
            "model",
            f"a model that computes rows of shape {subject.x.shape[1:]}",
            short_reason(error),
            "Give the model rows of the shape and the type of its input.",
            evidence={"rows": len(subject.some[0])},
        )
    return None


def short_reason(error: Exception) -> str:
    """Returns the cause of an error of TensorFlow or Keras without its arguments."""
    return one_line(_NOISE.sub("", reason(error)).strip())[:_LONGEST]


def _input_of(subject: Subject, layer: keras.layers.Layer) -> np.ndarray | None:
    """Returns the numbers that a layer of the copy gets; None where they are unknown."""
    copy = subject.copy
    try:
        before = keras.Model(copy.inputs, copy.get_layer(layer.name).input)
        return np.asarray(before(subject.some[0]), np.float64)
    except Exception:  # a layer that is called twice; or rows_not_computed says why
        return None
