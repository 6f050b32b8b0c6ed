"""A file, dict or name -> a checked, frozen `Spec`, and back."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from kfc.errors import Fault, SpecError, nearest
from kfc.spec.faults import Keys, dotted, read_faults
from kfc.spec.reading import SUFFIXES, Source, override, read_file, read_value, read_yaml
from kfc.spec.schema import METRICS, Hidden, Network, Spec

__all__ = [
    "METRICS",
    "Hidden",
    "Network",
    "Spec",
    "SpecLike",
    "builtin_specs",
    "builtin_text",
    "dump",
    "load",
    "read_value",
]

SpecLike = Spec | Mapping[str, Any] | str | Path


def builtin_specs() -> list[str]:
    """Returns the names of the specs that come with kfc."""
    files = resources.files("kfc.specs").iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def builtin_text(name: str) -> str:
    """Returns the text of a built-in spec, comments included.

    Raises:
        SpecError: If there is none of that name.
    """
    if name not in builtin_specs():
        raise SpecError(
            Fault(
                "spec",
                "a file or the name of a built-in spec",
                repr(name),
                f"{nearest(name, builtin_specs())}Known: {', '.join(builtin_specs())}. "
                f"Files end in {', '.join(SUFFIXES)}.",
            )
        )
    return resources.files("kfc.specs").joinpath(f"{name}.yaml").read_text("utf-8")


def load(spec: SpecLike, overrides: Mapping[str, Any] | None = None) -> Spec:
    """Reads and checks a spec; imports no TensorFlow.

    Args:
        spec: A built-in spec's name, a file, a dict or a `Spec`.
        overrides: Dotted path -> value, set before the spec is checked.

    Raises:
        SpecError: With every fault found, each with its path, and its line in a file.
    """
    source = override(_read(spec), overrides or {})
    try:
        return Spec.model_validate(source.values)
    except ValidationError as error:
        faults = read_faults(error, source.values, Spec)
    faults += _faults_behind(source, [path for path, _ in faults])
    raise SpecError(
        *(
            Fault(fault.where, fault.expected, fault.got, fault.remedy, source.line(path))
            for path, fault in faults
        )
    )


def dump(spec: Spec) -> str:
    """Returns the resolved spec as YAML: every default written out."""
    yaml = YAML()
    yaml.default_flow_style = None  # lists and small mappings on one line
    yaml.width = 100
    text = io.StringIO()
    yaml.dump(spec.model_dump(mode="json"), text)
    return text.getvalue()


def _read(spec: SpecLike) -> Source:
    if isinstance(spec, Spec):
        return Source(spec.model_dump(mode="json"))
    if isinstance(spec, Mapping):
        return Source(dict(spec))
    if isinstance(spec, Path) or str(spec).lower().endswith(SUFFIXES):
        path = Path(spec)
        source = read_file(path)
        name = path.parent.name if path.stem == "spec" else path.stem
    elif isinstance(spec, str):
        source = read_yaml(builtin_text(spec), f"{spec} (built in)")
        name = spec
    else:
        raise SpecError(
            Fault("spec", "a name, a file, a dict or a kfc.Spec", type(spec).__name__)
        )
    return Source({"name": name, **source.values}, source.name, source.lines)


def _faults_behind(source: Source, paths: list[Keys]) -> list[tuple[Keys, Fault]]:
    """Returns what is wrong with the rest once the faulty keys are left out.

    Checks that look at several keys run only where each key by itself is right, so a
    second look is needed to report everything at once.
    """
    values = override(source, {}).values  # a copy
    for path in paths:
        node: Any = values
        for key in path[:-1]:
            node = node.get(key, {}) if isinstance(node, dict) else {}
        if path and isinstance(node, dict):
            node.pop(path[-1], None)
    try:
        Spec.model_validate(values)
    except ValidationError as error:
        known = {dotted(path) for path in paths}
        faults = read_faults(error, values, Spec)
        return [
            (path, fault)
            for path, fault in faults
            if dotted(path) not in known
            and "the unknown" not in fault.got
            and fault.got != "nothing"
        ]
    return []
