"""Builds the untrained network of a spec without reading data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kfc.data import Task
from kfc.errors import Finding, SpecError
from kfc.network import build, keys_of_rows
from kfc.runs.plan import start_for_spec
from kfc.spec import SpecLike, load_spec, settle_preset


def build_untrained(
    spec: SpecLike, *, input_shape: Sequence[int], classes: int | None = None
) -> keras.Model:
    """Builds the untrained network of a spec without reading data.

    Scaling is learned from data, so the network has no scaling layer. Its weights are the
    initial weights of `fit`; a spec whose initial weights are computed from rows is refused.

    Examples:
        >>> model = kfc.build("digits", input_shape=(64,), classes=10)
        >>> model.output_shape
        (None, 10)

    Args:
        spec: A built-in spec's name, a file, a dict or a `kfc.Spec`.
        input_shape: Shape of one row, such as (784,).
        classes: Number of classes, at least 2; None for a regression with one target.

    Returns:
        A plain `keras.Model`, (batch, *input_shape) -> logits.

    Raises:
        SpecError: If the spec, the shape or the number of classes is wrong, or an initializer
            of the spec needs rows.
    """
    if classes is not None and not _is_count(classes, 2):
        raise SpecError(
            Finding("classes", "an integer of at least 2, or None", repr(classes), "Use 10.")
        )
    sizes = input_shape if isinstance(input_shape, (tuple, list)) else (None,)
    if not sizes or not all(_is_count(size, 1) for size in sizes):
        raise SpecError(
            Finding("input_shape", "sizes of at least 1", repr(input_shape), "Use (784,).")
        )
    class_names = tuple(str(number) for number in range(int(classes or 0)))
    valid = settle_preset(load_spec(spec), classification=bool(class_names))
    if keys := keys_of_rows(valid):
        remedy = (
            "Train with kfc.fit, or choose for example glorot_uniform, and zeros of biases."
        )
        expected = "initializers that need no rows, since kfc.build has none"
        raise SpecError(
            *(Finding(key, expected, "one that needs training rows", remedy) for key in keys)
        )
    start_for_spec(valid, insist_on_threads=False)
    return build(valid, Task(tuple(map(int, sizes)), "float32", class_names), scaled=False)


def _is_count(value: Any, least: int) -> bool:
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return is_integer and value >= least
