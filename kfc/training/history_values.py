"""Converts the values in the `logs` of callbacks for the history, the log files and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kfc.errors import Finding, PluginError

_NOT_FINITE = ("nan", "inf", "-inf")


def recorded(name: str, value: Any) -> Any:
    """Returns the value of `logs` as a history holds it: a number becomes a float.

    Args:
        name: Name of a metric, or of a value that a callback has added.
        value: Number; a callback may also add text, or lists and arrays of numbers.

    Raises:
        PluginError: If JSON cannot hold it.
    """
    plain = np.asarray(value).tolist() if hasattr(value, "__array__") else value
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return float(plain)
    try:
        json.dumps(plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise PluginError(
            Finding(
                f"logs[{name!r}], which a callback has added",
                "a number, text, or a list of them",
                type(value).__name__,
                "Add plain values; keep other objects in the callback.",
            )
        ) from error
    return plain


def numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Returns the numbers in `logs`, without the text and the lists that callbacks add.

    Raises:
        PluginError: If JSON cannot hold all of it.
    """
    values = {name: recorded(name, value) for name, value in (logs or {}).items()}
    return {name: value for name, value in values.items() if isinstance(value, float)}


def for_json(value: Any) -> Any:
    """Returns a recorded value for JSON, with NaN and infinity as text."""
    if isinstance(value, (list, tuple)):
        return [for_json(part) for part in value]
    if isinstance(value, dict):
        return {key: for_json(part) for key, part in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def from_json(value: Any) -> Any:
    """Returns the value from which `for_json` made `value`."""
    if isinstance(value, list):
        return [from_json(part) for part in value]
    if isinstance(value, dict):
        return {key: from_json(part) for key, part in value.items()}
    return float(value) if isinstance(value, str) and value in _NOT_FINITE else value
