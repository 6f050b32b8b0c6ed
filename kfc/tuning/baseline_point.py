"""Finds the values of trial 0, the baseline: those that the spec itself sets."""

from __future__ import annotations

from typing import Any

from kfc.errors import SpecError
from kfc.spec import ChoiceSpec, Keys, Spec, split_path
from kfc.tuning.space_checks import space_of, spec_at

_MISSING = object()


def baseline_values(spec: Spec, with_space: Spec) -> dict[str, Any]:
    """Returns dotted path -> the value that `spec` itself has there.

    With these values, `with_space` trains exactly as `spec` does. A value may be outside
    the space. A path that the spec leaves out is missing, and the initialiser of the
    built-in space is replaced by the spec's own.

    Args:
        spec: Checked spec.
        with_space: Same spec with its space written out.
    """
    dumped = spec.model_dump(mode="json")
    values: dict[str, Any] = {}
    if spec.network.init != with_space.network.init:
        values["network.init"] = dumped["network"]["init"]
    for path, dimension in space_of(with_space).items():
        value = _value_at(dumped, split_path(path))
        if value is _MISSING:
            continue
        if isinstance(dimension, ChoiceSpec):
            value = _as_choice(spec, path, dimension, value)
        values[path] = value
    return values


def _value_at(dumped: dict[str, Any], keys: Keys) -> Any:
    """Returns the value at a path, or `_MISSING`."""
    node: Any = dumped
    for key in keys:
        if isinstance(node, dict):
            node = node.get(str(key), _MISSING)
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
        elif type(node) is int and key == "units":
            pass  # `hidden: [256]` is short for `[{units: 256}]`
        else:
            return _MISSING
        if node is _MISSING:
            return _MISSING
    return node


def _as_choice(spec: Spec, path: str, dimension: ChoiceSpec, value: Any) -> Any:
    """Returns the choice that means the same as a value, such as `adam` for its options."""
    unchanged = spec_at(spec, {})
    for choice in dimension.choice:
        try:
            if spec_at(spec, {path: choice}) == unchanged:
                return choice
        except SpecError:
            continue  # the choice is valid only with values of other dimensions
    return value
