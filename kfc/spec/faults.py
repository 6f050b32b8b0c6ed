"""A pydantic error -> kfc faults: where, what was expected, what arrived, what to do."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from kfc.errors import Fault, nearest

Keys = tuple[str | int, ...]

_EXPECTED = {
    "missing": "a value",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "text",
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
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
}


def faults_error(*faults: Fault) -> PydanticCustomError:
    """Returns an error for a validator to raise; each `where` is relative to its field."""
    return PydanticCustomError("faults", "see the faults", {"faults": faults})


def read_faults(
    error: ValidationError, raw: Any, model: type[BaseModel]
) -> list[tuple[Keys, Fault]]:
    """Returns every fault in `error` with its path of keys in `raw`.

    Args:
        error: What validating `raw` as a `model` raised.
        raw: The values as the user wrote them.
        model: The model they were validated as.
    """
    found: list[tuple[Keys, Fault]] = []
    for detail in error.errors(include_url=False):
        path = _path_in(raw, detail["loc"])
        if detail["type"] == "faults":
            for fault in detail["ctx"]["faults"]:
                keys: Keys = (*path, *(fault.where.split(".") if fault.where else ()))
                found.append(
                    (keys, Fault(dotted(keys), fault.expected, fault.got, fault.remedy))
                )
        else:
            found.append((path, _fault(detail, path, model)))
    return found


def dotted(path: Keys) -> str:
    """Returns `network.hidden[0].units` for a path of keys."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def _path_in(raw: Any, loc: Keys) -> Keys:
    """Returns `loc` without the tags of unions, which no user ever wrote."""
    path: list[str | int] = []
    for index, key in enumerate(loc):
        inside = (isinstance(raw, Mapping) and key in raw) or (
            isinstance(raw, (list, tuple)) and isinstance(key, int) and key < len(raw)
        )
        if inside:
            raw = raw[key]
        elif index < len(loc) - 1 or not isinstance(raw, Mapping):
            continue
        path.append(key)
    return tuple(path)


def _fault(detail: ErrorDetails, path: Keys, model: type[BaseModel]) -> Fault:
    kind, context = detail["type"], {**detail.get("ctx", {})}
    context["discriminator"] = str(context.get("discriminator", "")).strip("'")
    if kind == "extra_forbidden":
        known = _known_keys(model, detail["loc"][:-1])
        return Fault(
            dotted(path),
            "a known key",
            f"the unknown key {path[-1]!r}",
            f"{nearest(str(path[-1]), known)}Known: {', '.join(known)}.",
        )
    if kind == "missing":
        return Fault(dotted(path), "a value", "nothing", f"Add {path[-1]}.")
    template = _EXPECTED.get(kind)
    expected = template.format(**context) if template else detail["msg"].lower()
    got = detail["input"]
    remedy = _example(model, detail["loc"])
    if kind == "literal_error":
        choices = str(context["expected"]).replace(" or ", ", ").replace("'", "")
        remedy = nearest(str(got), choices.split(", ")).strip() or remedy
    return Fault(dotted(path) or "spec", expected, _shown(got), remedy)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yields the models an annotation mentions, inside unions and lists too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def _models_at(model: type[BaseModel], loc: Keys) -> list[type[BaseModel]]:
    models = [model]
    for key in loc:
        inner = [
            found
            for owner in models
            if key in owner.model_fields
            for found in _models_in(owner.model_fields[str(key)].annotation)
        ]
        models = inner or models  # an index or a union's tag names no field
    return models


def _known_keys(model: type[BaseModel], loc: Keys) -> list[str]:
    return sorted({key for found in _models_at(model, loc) for key in found.model_fields})


def _example(model: type[BaseModel], loc: Keys) -> str:
    """Returns `Use for example batch_size: 32.` from a field's example or default."""
    for end in range(len(loc), 0, -1):
        for owner in _models_at(model, loc[: end - 1]):
            field = owner.model_fields.get(str(loc[end - 1]))
            if field is None:
                continue
            example = field.examples[0] if field.examples else field.default
            if isinstance(example, (bool, int, float, str)):
                return f"Use for example {loc[end - 1]}: {example}."
    return "`kfc schema` prints what a spec may hold."
