"""A spec and its space -> the values that the spec itself has there, of which trial 0 is."""

from __future__ import annotations

from typing import Any

from kfc.errors import SpecError
from kfc.spec import ChoiceSpec, Keys, Spec, split_path
from kfc.tuning.space_checks import space_of, spec_at

_MISSING = object()


def own_values(spec: Spec, written: Spec) -> dict[str, Any]:
    """Returns what trial 0 sets: dotted path -> value; with them, `written` trains as `spec`.

    A value need not lie in the space. A path that the spec leaves out is left out here too,
    and the built-in space's own initialiser gives way to the spec's.

    Args:
        spec: A checked spec.
        written: The same spec with its space written out.
    """
    plain = spec.model_dump(mode="json")
    values: dict[str, Any] = {}
    if spec.network.init != written.network.init:
        values["network.init"] = plain["network"]["init"]
    for path, dimension in space_of(written).items():
        value = _value(plain, split_path(path))
        if value is _MISSING:
            continue
        if isinstance(dimension, ChoiceSpec):
            value = _as_chosen(spec, path, dimension, value)
        values[path] = value
    return values


def _value(plain: dict[str, Any], keys: Keys) -> Any:
    """Returns the value at a path, or `_MISSING`."""
    node: Any = plain
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


def _as_chosen(spec: Spec, path: str, dimension: ChoiceSpec, value: Any) -> Any:
    """Returns a value as one of the choices says it, such as `adam` without its options."""
    own = spec_at(spec, {})
    for choice in dimension.choice:
        try:
            if spec_at(spec, {path: choice}) == own:
                return choice
        except SpecError:
            continue  # it is valid with values of other dimensions only
    return value
