"""Converts values of a caller or a file to the plain values that a spec may have."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from kfc.errors import Finding
from kfc.spec.key_paths import Keys, dotted

MAX_DEPTH = 20
MAX_VALUES = 10_000  # keys and values of one text; a spec is one page
_MAX_KEY = 200  # characters, since messages show keys; a class name may be a sentence
_MAX_BITS = 13_000  # of an integer; Python does not print more than 4,300 digits


def plain_copy(values: Any) -> tuple[Any, list[tuple[Keys, Finding]]]:
    """Returns a copy made of dicts, lists, text, numbers, booleans and None, and findings.

    Tuples become lists, and NumPy's numbers become Python's. Each other value becomes None
    in the copy, and a finding with its path reports it.
    """
    findings: list[tuple[Keys, Finding]] = []
    return _plain(values, (), findings), findings


def shown_value(value: Any) -> str:
    """Returns the text of a value for a message: one line of at most 80 characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.date):
        return f"the date {value.isoformat()}"
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # it is or contains an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _plain(node: Any, path: Keys, findings: list[tuple[Keys, Finding]]) -> Any:
    if type(node).__module__ == "numpy" and getattr(node, "shape", None) == ():
        node = node.item()
    if isinstance(node, BaseModel):
        node = node.model_dump(mode="json")
    if len(path) > MAX_DEPTH and isinstance(node, (Mapping, list, tuple)):
        findings.append((path, _finding(path, f"at most {MAX_DEPTH} levels", "more", "")))
        return None
    if isinstance(node, Mapping):
        named = _named(node, path, findings)
        return {key: _plain(value, (*path, key), findings) for key, value in named.items()}
    if isinstance(node, (list, tuple)):
        return [_plain(value, (*path, i), findings) for i, value in enumerate(node)]
    return _scalar(node, path, findings)


def key_text(key: Any) -> str | None:
    """Returns a key as text; None if the key cannot be a name.

    Numbers, true and false are keys too, because class names can be numbers or booleans.
    """
    if type(key).__module__ == "numpy" and getattr(key, "shape", None) == ():
        key = key.item()
    if isinstance(key, int) and key.bit_length() > _MAX_BITS:
        return None
    return str(key) if isinstance(key, (str, int, float)) else None


def _named(
    node: Mapping[Any, Any], path: Keys, findings: list[tuple[Keys, Finding]]
) -> dict[str, Any]:
    """Returns the values of `node` by the text of their keys."""
    named: dict[str, Any] = {}
    # The columns of a survey may be named by its questions, and a table has what it has.
    limited = path != ("data", "columns")
    for key, value in node.items():
        text = key_text(key)
        if text is None:
            finding = _finding(path, "keys that are text", shown_value(key), "Quote the key.")
            findings.append((path, finding))
        elif limited and len(text) > _MAX_KEY:
            expected = f"keys of at most {_MAX_KEY} characters"
            findings.append(
                (path, _finding(path, expected, shown_value(text), "Shorten the key."))
            )
        elif text in named:
            finding = _finding(path, "each key once", f"{text!r} twice", "Remove one of them.")
            findings.append((path, finding))
        else:
            named[text] = value
    return named


def _scalar(node: Any, path: Keys, findings: list[tuple[Keys, Finding]]) -> Any:
    if node is None or isinstance(node, bool):
        return node
    expected = "text, a number, true or false, a list, or keys and values"
    remedy = "Use .tolist()." if hasattr(node, "tolist") else "Write it as one of them."
    for kind in (int, float, str):
        if isinstance(node, kind):
            value = kind(node)
            if isinstance(value, float) and not math.isfinite(value):
                expected, remedy = "a finite number", "Leave the key out, or set a number."
            elif isinstance(value, int) and value.bit_length() > _MAX_BITS:
                expected, remedy = "fewer digits", "Leave the key out, or lower it."
            elif isinstance(value, str) and not _encodes(value):
                expected, remedy = "text in Unicode", "Remove the half surrogate pair."
            else:
                return value
    findings.append((path, _finding(path, expected, shown_value(node), remedy)))
    return None


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _finding(path: Keys, expected: str, got: str, remedy: str) -> Finding:
    return Finding(dotted(path) or "spec", expected, got, remedy)
