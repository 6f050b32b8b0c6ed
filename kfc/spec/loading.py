"""Loads a spec from a file, a dict or a built-in name, and writes it as YAML."""

from __future__ import annotations

import copy
import dataclasses
import io
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from kfc.errors import Finding, SpecError, nearest
from kfc.spec.key_paths import Keys
from kfc.spec.messages import example, read_findings
from kfc.spec.overrides import override
from kfc.spec.parsing import SUFFIXES, SpecText, read_file, read_yaml
from kfc.spec.plain_values import plain_copy, shown_value
from kfc.spec.preset_values import from_preset, with_preset
from kfc.spec.schema import Spec
from kfc.spec.suggestions import paths_by_key, suggested_file
from kfc.spec.yaml_text import core_scalar
from kfc.system import user_paths

SpecLike = Spec | Mapping[str, Any] | str | Path
_MOST_FINDINGS = 50  # in one error; more are only counted


def builtin_specs() -> list[str]:
    """Returns the names of the specs that come with kfc."""
    files = resources.files("kfc.spec.builtin").iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def builtin_text(name: str) -> str:
    """Returns the text of a built-in spec, comments included.

    Raises:
        SpecError: If there is no built-in spec of that name.
    """
    if name not in builtin_specs():
        near = nearest(name, builtin_specs())
        raise SpecError(
            Finding(
                "spec",
                "a file or the name of a built-in spec",
                shown_value(name),
                f"{suggested_file(user_paths.expanded(name), SUFFIXES) or near}"
                f"Known: {', '.join(builtin_specs())}. Files end in {', '.join(SUFFIXES)}.",
            )
        )
    return resources.files("kfc.spec.builtin").joinpath(f"{name}.yaml").read_text("utf-8")


def load_spec(spec: SpecLike, overrides: Mapping[str, Any] | None = None) -> Spec:
    """Loads and checks a spec without importing TensorFlow.

    A `Spec` is valid by construction: without overrides it is returned as it is.

    Args:
        spec: Name of a built-in spec, a file, a dict or a `Spec`.
        overrides: Values by dotted path, set before the spec is checked.

    Returns:
        The spec, with every default filled in.

    Raises:
        SpecError: If the spec has errors; each has its path and, for a file, its line.
    """
    if not isinstance(overrides, Mapping | None):
        raise SpecError(
            Finding(
                "overrides",
                "a dict of dotted paths and values",
                type(overrides).__name__,
                "Write for example overrides={'training.epochs': 3}.",
            )
        )
    if isinstance(spec, Spec) and not overrides:
        return spec
    source = _read(spec)
    values, findings = plain_copy(source.values)
    source = override(dataclasses.replace(source, values=values), overrides or {})
    said, of_overrides = plain_copy(source.values)
    values = with_preset(said)
    findings = [
        found for found in findings if not source.is_overridden(found[0])
    ] + of_overrides
    try:
        checked = Spec.model_validate(said)
        if not findings:
            return checked
    except ValidationError as error:
        findings += _others(read_findings(error, values, Spec, paths_by_key(Spec)), findings)
    while behind := _findings_behind(values, findings):
        findings += behind
    raise SpecError(*_with_lines(findings, source, said))


def settle_preset(spec: Spec, *, classification: bool) -> Spec:
    """Returns a spec with every value of its preset for the task, and without a preset.

    Args:
        spec: Any spec; one without a preset is returned as it is.
        classification: Whether the targets are classes.

    Raises:
        SpecError: If the values of the preset contradict those of the spec.
    """
    if spec.preset is None:
        return spec
    values = _said_values(spec)
    task = "classification" if classification else "regression"
    values["data"] = {**values.get("data", {}), "task": task}
    return load_spec({**with_preset(values), "preset": None})


def _said_values(spec: Spec) -> dict[str, Any]:
    """Returns the values of a spec with a preset, without those that the preset filled in.

    Values that `model_copy` has replaced since then count as said.
    """
    said = {"name": spec.name, **copy.deepcopy(dict(spec.said or {}))}
    now = spec.model_dump(mode="json")
    then = Spec.model_validate(said).model_dump(mode="json")
    for key, value in now.items():
        if value == then[key]:
            continue
        if isinstance(value, dict) and isinstance(then[key], dict):
            changed = {k: v for k, v in value.items() if v != then[key].get(k)}
            said[key] = {**said.get(key, {}), **changed}
        else:
            said[key] = value
    return said


def dump_spec(spec: Spec) -> str:
    """Returns a spec as YAML, with every default written out.

    A spec whose preset has not been settled for a task is written as its author wrote it:
    written out, it would not let the preset fill in the values of the task.
    """
    yaml = YAML()
    yaml.default_flow_style = None  # lists and small mappings on one line
    yaml.width = 1000  # a long line is more readable than a mapping over several lines
    yaml.representer.add_representer(type(None), _explicit_null)
    yaml.representer.add_representer(str, _text)
    text = io.StringIO()
    yaml.dump(_plain_values(spec), text)
    return text.getvalue()


def _plain_values(spec: Spec) -> dict[str, Any]:
    return spec.model_dump(mode="json") if spec.preset is None else _said_values(spec)


def _explicit_null(representer: Any, _: None) -> Any:
    """Writes `null`, for which ruamel.yaml would write an empty value."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _text(representer: Any, text: str) -> Any:
    """Quotes text that would be a number, a boolean or null in YAML 1.2."""
    style = None if isinstance(core_scalar(text), str) else "'"
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _read(spec: SpecLike) -> SpecText:
    if isinstance(spec, Spec):
        return SpecText(_plain_values(spec))
    if isinstance(spec, Mapping):
        return SpecText(dict(spec))
    if isinstance(spec, Path) or str(spec).lower().endswith(SUFFIXES):
        path = user_paths.expanded(spec)
        source = read_file(path)
        name = _run_name(path)
    elif isinstance(spec, str):
        source = read_yaml(builtin_text(spec), f"{spec} (built in)")
        name = spec
    else:
        raise SpecError(
            Finding(
                "spec",
                "a name, a file, a dict or a kfc.Spec",
                type(spec).__name__,
                f"Built-in names: {', '.join(builtin_specs())}.",
            )
        )
    return SpecText({"name": name, **source.values}, source.name, source.lines)


def _run_name(path: Path) -> str:
    """Returns a name for a file without the key `name`: its stem, or that of its folder."""
    name = path.resolve().parent.name if path.stem == "spec" else path.stem
    return re.sub(r"[^\w.-]", "_", name).lstrip(".-")[:60] or "run"


Findings = list[tuple[Keys, Finding]]


def _findings_behind(values: dict[str, Any], findings: Findings) -> Findings:
    """Returns the findings that appear after the values with findings are replaced.

    Checks of several keys run only if each key is valid by itself. Replacing the invalid
    values by examples lets these checks run, so that one error reports everything.
    """
    values = copy.deepcopy(values)
    for path, _ in findings:
        _replace_by_example(values, path)
    try:
        Spec.model_validate(values)
    except ValidationError as error:
        found = _others(read_findings(error, values, Spec, paths_by_key(Spec)), findings)
        # Findings caused by the examples are left out: options of another component, and
        # missing keys.
        return [
            (path, finding)
            for path, finding in found
            if "the unknown" not in finding.got
            and finding.got != "nothing"
            and not any(known[: len(path)] == path for known, _ in findings)
        ]
    return []


def _with_lines(
    findings: Findings, source: SpecText, said: Mapping[str, Any]
) -> Iterator[Finding]:
    """Yields the first findings with their lines, and one with the number of the rest."""
    for path, finding in findings[:_MOST_FINDINGS]:
        filled = from_preset(said, path)
        line = f"preset {said['preset']}" if filled else source.line(path)
        yield dataclasses.replace(finding, line=line)
    if (more := len(findings) - _MOST_FINDINGS) > 0:
        yield Finding(
            "spec", "no errors", f"{more:,} more errors", "Fix the errors above first."
        )


def _others(findings: Findings, known: Findings) -> Findings:
    """Returns the findings whose paths have no known finding."""
    places = {path for path, _ in known}
    return [(path, finding) for path, finding in findings if path not in places]


def _replace_by_example(values: dict[str, Any], path: Keys) -> None:
    """Replaces the value at `path` by an example, or removes its key."""
    node: Any = values
    holder, end = values, 0
    for index, key in enumerate(path):
        if isinstance(node, dict) and key in node:
            holder, end = node, index + 1
        elif not (isinstance(node, list) and isinstance(key, int) and key < len(node)):
            break
        node = node[key]
    if end == 0:
        return
    value = example(Spec, path[:end])
    if value is None or isinstance(path[end - 1], int):
        del holder[path[end - 1]]  # type: ignore[arg-type]
    else:
        holder[path[end - 1]] = copy.deepcopy(value)  # type: ignore[index]
