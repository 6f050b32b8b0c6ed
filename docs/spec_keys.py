"""Writes `spec-keys.md`, the list of every key of a spec, from the schema of `kfc schema`.

    python docs/spec_keys.py

Run it after a change of the schema; a test compares the page with what this module returns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("spec-keys.md")

_HEAD = """# Keys of the spec

This page is written by `python docs/spec_keys.py` from what `kfc schema` prints. "required"
marks keys without a default. Where the default is empty, the description says what applies.
"""
_SECTIONS = {  # definition of the schema -> title and the path of its keys
    "DataSpec": ("data", "data"),
    "NetworkSpec": ("network", "network"),
    "HiddenSpec": ("network.hidden", "network.hidden[0]"),
    "TrainingSpec": ("training", "training"),
    "EarlyStoppingSpec": ("training.early_stopping", "training.early_stopping"),
    "SearchSpec": ("search", "search"),
    "RangeSpec": ("search.space: a range", "search.space.PATH"),
    "ChoiceSpec": ("search.space: a choice", "search.space.PATH"),
    "StackSpec": ("search.space: hidden layers", "search.space.network.hidden"),
}
_COMPONENTS = {
    "ActivationSpec": "Activations",
    "InitializerSpec": "Initializers",
    "BiasInitializerSpec": "Bias initializers",
    "NumericEmbeddingSpec": "Numeric embeddings",
    "BlockSpec": "Blocks",
    "LossSpec": "Losses",
    "OptimizerSpec": "Optimizers",
    "CallbackSpec": "Callbacks",
}
_LARGEST = 2**31 - 1  # a limit of the integers themselves, which no reader asks for


def page(schema: Mapping[str, Any]) -> str:
    """Returns the text of the page.

    Args:
        schema: JSON Schema of a spec.

    Raises:
        ValueError: If a key has no description, with every such key.
    """
    definitions = schema["$defs"]
    bare: list[str] = []
    parts = [_HEAD, *_section("The spec", "", schema, bare)]
    for name, (title, path) in _SECTIONS.items():
        definition = definitions[name]
        parts += _section(f"`{title}`", path, definition.get("then", definition), bare)
    parts += [_LEARNING_RATE]
    for schedule in _schedules(definitions["OptimizerSpec"]):
        name = schedule["properties"]["name"]["const"]
        keys = {k: v for k, v in schedule["properties"].items() if k != "name"}
        path = "training.optimizer.learning_rate"
        parts += _section(f"Schedule `{name}`", path, {**schedule, "properties": keys}, bare)
    for name, title in _COMPONENTS.items():
        parts += _component(title, definitions[name])
    if bare:
        raise ValueError(f"keys of the spec without a description: {', '.join(bare)}")
    return "\n".join(parts)


_LEARNING_RATE = """## Learning rates

`training.optimizer.learning_rate` is a number, or one of these schedules by its name and keys.
Times are in epochs, and fractions are allowed.
"""


def _section(title: str, path: str, schema: Mapping[str, Any], bare: list[str]) -> list[str]:
    """Returns a table of the keys of one mapping; keys without a description join `bare`."""
    rows = []
    for key, value in schema["properties"].items():
        full = f"{path}.{key}" if path else key
        target = value.get("$ref", "").rpartition("/")[2]
        description = value.get("description", "")
        if target in _SECTIONS:
            description = description or "The section below."
        if not description:
            bare.append(full)
        default = _default(value) if key not in schema.get("required", ()) else "required"
        rows.append(_row(f"`{key}`", default, _values(value), description))
    level = "###" if title.startswith("Schedule") else "##"
    lead = " ".join(schema.get("description", "").split())
    return [f"{level} {title}", "", lead, "", *_table("key", "default", "values", rows), ""]


def _table(first: str, second: str, third: str, rows: list[str]) -> list[str]:
    return [_row(first, second, third, "description"), "|---|---|---|---|", *rows]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    return "" if default is None else f"`{json.dumps(default)}`".replace('"', "")


def _values(value: Mapping[str, Any]) -> str:
    """Returns which values a key takes, in a few words."""
    forms = value.get("anyOf") or value.get("oneOf")
    if any(str(each).startswith("KFC") for each in value.get("enum", ())):
        return "a name or a code, see [Findings](findings.md)"
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"] if each is not None)
    if forms:
        texts = [_values(form) for form in forms if form.get("type") != "null"]
        return " or ".join(dict.fromkeys(texts))
    if target := value.get("$ref", "").rpartition("/")[2]:
        if target in _COMPONENTS:
            title = _COMPONENTS[target]
            return f"a name, see [{title}](#{title.lower().replace(' ', '-')})"
        return "a mapping" if target != "HiddenSpec" else "a width or a mapping"
    return _simple(value)


def _simple(value: Mapping[str, Any]) -> str:
    if "const" in value:
        return f"`{value['const']}`"
    match value.get("type"):
        case "integer" | "number" as kind:
            return ", ".join(
                [f"an {kind}" if kind == "integer" else "a number", *_limits(value)]
            )
        case "boolean":
            return "`true`, `false`"
        case "array":
            return f"a list: {_values(value['items'])}" if value.get("items") else "a list"
        case "object":
            return "a mapping"
        case "string":
            return "text"
    return "any value"


def _limits(value: Mapping[str, Any]) -> Iterator[str]:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    for key, word in words.items():
        if key in value and abs(value[key]) < _LARGEST:
            yield f"{word} {value[key]:g}"


def _schedules(optimizer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    options = optimizer["else"]["allOf"][0]["then"]["properties"]
    return options["learning_rate"]["then"]["anyOf"]


def _component(title: str, schema: Mapping[str, Any]) -> list[str]:
    """Returns a table of names and of the options beside each."""
    rows = []
    for case in schema["else"]["allOf"]:
        options = case["then"].get("properties", {})
        required = case["then"].get("required", ())
        texts = [
            f"`{key}`" if key in required else f"`{key}: {json.dumps(value.get('default'))}`"
            for key, value in options.items()
            if key != "name"
        ]
        names = ", ".join(f"`{name}`" for name in case["if"]["properties"]["name"]["enum"])
        rows.append((names, f"| {names} | {', '.join(texts)} |"))
    lead = f"{schema['description']} Write the name alone, or `{{name: ..., option: ...}}`."
    table = ["| name | options |", "|---|---|", *(row for _, row in sorted(rows))]
    return [f"## {title}", "", lead, "", *table, ""]


if __name__ == "__main__":
    from kfc.spec import Spec

    PAGE.write_text(page(Spec.model_json_schema()), "utf-8")
