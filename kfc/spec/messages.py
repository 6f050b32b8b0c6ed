"""Converts errors of pydantic to findings with place, expectation, value and remedy."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from kfc.errors import Finding
from kfc.spec.key_paths import Keys, dotted, split_path
from kfc.spec.plain_values import shown_value
from kfc.spec.suggestions import models_in, suggested_key, suggested_word

_EXPECTED = {
    "missing": "a value",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "string_unicode": "text",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "literal_error": "one of {expected}",
    "union_tag_invalid": "a {discriminator} that is one of {expected_tags}",
    "union_tag_not_found": "keys and values with a {discriminator}",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_long": "at most {max_length} characters",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
}


def findings_error(*findings: Finding) -> PydanticCustomError:
    """Returns an error that a validator raises; each `where` is relative to its field."""
    return PydanticCustomError("findings", "see the findings", {"findings": findings})


def read_findings(
    error: ValidationError,
    raw: Any,
    model: type[BaseModel],
    paths: Mapping[str, str] = MappingProxyType({}),
) -> list[tuple[Keys, Finding]]:
    """Returns the findings of a pydantic error, each with its path of keys in `raw`.

    Args:
        error: Error of validating `raw` as `model`.
        raw: Values as the user wrote them.
        model: Model of the values.
        paths: Dotted path of each key of a spec by its last key, for suggestions; empty if
            `raw` is only a part of a spec.
    """
    found: list[tuple[Keys, Finding]] = []
    details = error.errors(include_url=False)
    for detail in details:
        path = _path_in(raw, detail["loc"], missing=detail["type"] == "missing")
        if detail["type"] == "too_short" and any(
            other["loc"][: len(detail["loc"])] == detail["loc"] != other["loc"]
            for other in details
        ):
            continue  # pydantic does not count invalid items
        if detail["type"] == "findings":
            for finding in detail["ctx"]["findings"]:
                keys: Keys = (*path, *(split_path(finding.where) if finding.where else ()))
                found.append((keys, dataclasses.replace(finding, where=dotted(keys))))
        else:
            found.append((path, _finding(detail, path, model, paths)))
    return found


def _path_in(raw: Any, loc: Keys, *, missing: bool) -> Keys:
    """Returns `loc` without the tags of unions, which are not keys of the spec."""
    path: list[str | int] = []
    for index, key in enumerate(loc):
        inside = (isinstance(raw, Mapping) and key in raw) or (
            isinstance(raw, (list, tuple)) and isinstance(key, int) and key < len(raw)
        )
        if inside:
            raw = raw[key]
        elif not missing or index < len(loc) - 1:
            continue
        path.append(key)
    return tuple(path)


def _finding(
    detail: ErrorDetails, path: Keys, model: type[BaseModel], paths: Mapping[str, str]
) -> Finding:
    kind, context = detail["type"], {**detail.get("ctx", {})}
    context["discriminator"] = str(context.get("discriminator", "")).strip("'")
    if kind == "union_tag_invalid":
        path = (*path, context["discriminator"])
    if kind == "extra_forbidden":
        known = _known_keys(model, detail["loc"][:-1])
        return Finding(
            dotted(path),
            "a known key",
            f"the unknown key {path[-1]!r}",
            f"{suggested_key(str(path[-1]), known, paths)}Known: {', '.join(known)}.",
        )
    if kind == "missing":
        return Finding(dotted(path), "a value", "nothing", f"Add {path[-1]}.")
    template = _EXPECTED.get(kind)
    expected = template.format(**context) if template else detail["msg"].lower()
    if kind.startswith("model_") and _is_named(model, detail["loc"]):
        expected = "a name, or a name with options"
    got, remedy = detail["input"], _remedy(model, detail["loc"])
    if kind == "union_tag_invalid":
        got = context["tag"]
    choices = context.get("expected_tags") or context.get("expected")
    if choices and kind in ("literal_error", "union_tag_invalid"):
        names = str(choices).replace(" or ", ", ").replace("'", "").split(", ")
        remedy = suggested_word(str(got), names).strip() or remedy
        remedy += _meanings(model, detail["loc"], names)
    return Finding(dotted(path) or "spec", expected, shown_value(got), remedy)


def _meanings(model: type[BaseModel], loc: Keys, words: list[str]) -> str:
    """Returns the descriptions of the values of the field at `loc`, if the field has them."""
    for owner in _models_at(model, loc[:-1]):
        field = owner.model_fields.get(str(loc[-1]))
        # The words of a key that may be left out are one part of a union.
        for part in typing.get_args(field.annotation) if field else ():
            for info in getattr(part, "__metadata__", ()):
                if found := (info.json_schema_extra or {}).get("enumDescriptions"):
                    meanings = zip(words, found, strict=True)
                    return "".join(f" {word}: {meaning}." for word, meaning in meanings)
    return ""


def _models_at(model: type[BaseModel], loc: Keys) -> list[type[BaseModel]]:
    models = [model]
    for key in loc:
        inner = [
            found
            for owner in models
            if key in owner.model_fields
            for found in models_in(owner.model_fields[str(key)].annotation)
        ]
        # The tag of a union is the name of its model, without `Spec`; an index names nothing.
        tag = f"{key}spec".lower()
        tagged = [found for found in models if found.__name__.lower() == tag]
        models = inner or tagged or models
    return models


def _is_named(model: type[BaseModel], loc: Keys) -> bool:
    """Returns whether `loc` is the place of a component, a name with options."""
    return any(hasattr(found, "kind") for found in _models_at(model, loc))


def _known_keys(model: type[BaseModel], loc: Keys) -> list[str]:
    return sorted({key for found in _models_at(model, loc) for key in found.model_fields})


def example(model: type[BaseModel], path: Keys) -> Any:
    """Returns a valid value of the field at `path`, or None if the model has no example."""
    for owner in _models_at(model, path[:-1]):
        field = owner.model_fields.get(str(path[-1]))
        if field is not None:
            value = field.examples[0] if field.examples else field.default
            if isinstance(value, (bool, int, float, str, list, dict)):
                return value
    return None


def _remedy(model: type[BaseModel], loc: Keys) -> str:
    """Returns `Use for example batch_size: 32.`, with the example or default of the field."""
    for end in range(len(loc), 0, -1):
        value = example(model, loc[:end])
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            return f"Use for example {loc[end - 1]}: {text}."
    return "`kfc schema` prints every key of a spec."
