"""Sets values of a spec by their dotted paths."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Mapping
from typing import Any

from kfc.errors import Finding, SpecError
from kfc.spec.key_paths import Keys, split_path
from kfc.spec.parsing import SpecText
from kfc.spec.plain_values import shown_value

_PATH = re.compile(r"[^.\[\]\s]+(\[\d+\])*(\.[^.\[\]\s]+(\[\d+\])*)*")

_LONGEST = 1000  # characters of a path; a message shows the complete path


def override(source: SpecText, overrides: Mapping[str, Any]) -> SpecText:
    """Returns the values of a spec with some of them replaced.

    Args:
        source: Values of the spec.
        overrides: Plain values by dotted path, such as `training.optimizer.name`.

    Raises:
        SpecError: If a path leads into a value without keys, or past the end of a list.
    """
    values = copy.deepcopy(source.values)
    findings: list[Finding] = []
    for dotted, value in overrides.items():
        try:
            if not _is_path(dotted):
                expected = "a dotted path such as network.hidden[0].units"
                raise _not_settable(
                    "overrides", expected, shown_value(dotted), "Count from 0."
                )
            _set(values, split_path(dotted), value, dotted)
        except SpecError as error:
            findings += error.findings
    if findings:
        raise SpecError(*findings)
    paths = frozenset(split_path(dotted) for dotted in overrides)
    return SpecText(values, source.name, source.lines, source.overridden | paths)


def set_value(values: dict[str, Any], dotted: str, value: Any) -> None:
    """Sets one value of a spec, in the mapping itself.

    Args:
        values: Values of the spec; short forms on the way become mappings.
        dotted: Dotted path, such as `training.optimizer.learning_rate`.
        value: New value.

    Raises:
        SpecError: If the path leads into a value without keys, or past the end of a list.
    """
    _set(values, split_path(dotted), value, dotted)


def _is_path(dotted: Any) -> bool:
    return (
        isinstance(dotted, str)
        and len(dotted) <= _LONGEST
        and _PATH.fullmatch(dotted) is not None
    )


def _set(values: dict[str, Any], path: Keys, value: Any, dotted: str) -> None:
    node: Any = values
    for key, following in itertools.pairwise(path):
        _check_key(node, key, dotted)
        child: Any = node[int(key)] if isinstance(node, list) else node.get(key)
        if isinstance(child, str) and isinstance(following, str):
            child = {"name": child}  # `optimizer: sgd` is short for `{name: sgd}`
        elif isinstance(node, list) and isinstance(child, int) and isinstance(following, str):
            child = {"units": child}  # `hidden: [256]` is short for `[{units: 256}]`
        elif child is None and isinstance(following, str):
            child = {}
        if not isinstance(child, (dict, list)):
            place = f"[{key}]" if isinstance(key, int) else key
            expected = f"{'keys' if isinstance(following, str) else 'a list'} below {place}"
            raise _not_settable(
                dotted, expected, shown_value(child), "Set the complete value."
            )
        node[key] = child
        node = child
    _check_key(node, path[-1], dotted)
    node[path[-1]] = value  # _check_key has checked the index or name


def _check_key(node: dict[str, Any] | list[Any], key: str | int, dotted: str) -> None:
    if isinstance(node, dict):
        if isinstance(key, int):
            remedy = "Only the items of a list have numbers."
            raise _not_settable(dotted, "a key that is a name", repr(key), remedy)
    elif not isinstance(key, int) or key >= len(node):
        expected = f"an index below {len(node)}" if node else "an index into a longer list"
        remedy = "Count from 0, or set the whole list."
        raise _not_settable(dotted, expected, repr(key), remedy)


def _not_settable(where: str, expected: str, got: str, remedy: str) -> SpecError:
    return SpecError(Finding(where, expected, got, remedy, "override"))
