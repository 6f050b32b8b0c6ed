"""A file, dict or name -> a checked, frozen `Spec`, and back."""

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
from kfc.spec.schema import Spec
from kfc.spec.suggestions import paths_by_key, suggested_file
from kfc.spec.yaml_text import core_scalar
from kfc.system import user_paths

SpecLike = Spec | Mapping[str, Any] | str | Path
_MOST_FAULTS = 50  # that anybody would read


def builtin_specs() -> list[str]:
    """Returns the names of the specs that come with kfc."""
    files = resources.files("kfc.spec.builtin").iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def builtin_text(name: str) -> str:
    """Returns the text of a built-in spec, comments included.

    Raises:
        SpecError: If there is none of that name.
    """
    if name not in builtin_specs():
        raise SpecError(
            Finding(
                "spec",
                "a file or the name of a built-in spec",
                shown_value(name),
                f"{suggested_file(Path(name), SUFFIXES) or nearest(name, builtin_specs())}"
                f"Known: {', '.join(builtin_specs())}. "
                f"Files end in {', '.join(SUFFIXES)}.",
            )
        )
    return resources.files("kfc.spec.builtin").joinpath(f"{name}.yaml").read_text("utf-8")


def load_spec(spec: SpecLike, overrides: Mapping[str, Any] | None = None) -> Spec:
    """Reads and checks a spec; imports no TensorFlow.

    A `Spec` is valid by construction: without overrides it is returned as it is.

    Args:
        spec: A built-in spec's name, a file, a dict or a `Spec`.
        overrides: Dotted path -> value, set before the spec is checked.

    Raises:
        SpecError: With every finding found, each with its path, and its line in a file.
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
    values, of_overrides = plain_copy(source.values)
    findings = [found for found in findings if not source.overrides(found[0])] + of_overrides
    try:
        checked = Spec.model_validate(values)
        if not findings:
            return checked
    except ValidationError as error:
        findings += _others(read_findings(error, values, Spec, paths_by_key(Spec)), findings)
    while behind := _findings_behind(values, findings):
        findings += behind
    raise SpecError(*_with_lines(findings, source))


def dump_spec(spec: Spec) -> str:
    """Returns the resolved spec as YAML: every default written out."""
    yaml = YAML()
    yaml.default_flow_style = None  # lists and small mappings on one line
    yaml.width = 1000  # a break within a mapping reads worse than a long line
    yaml.representer.add_representer(type(None), _explicit_null)
    yaml.representer.add_representer(str, _text)
    text = io.StringIO()
    yaml.dump(spec.model_dump(mode="json"), text)
    return text.getvalue()


def _explicit_null(representer: Any, _: None) -> Any:
    """Writes `null` where ruamel would write nothing."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _text(representer: Any, text: str) -> Any:
    """Quotes text that YAML 1.2 would read as a number, a boolean or null."""
    style = None if isinstance(core_scalar(text), str) else "'"
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _read(spec: SpecLike) -> SpecText:
    if isinstance(spec, Spec):
        return SpecText(spec.model_dump(mode="json"))
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
    """Returns a name for runs of a file that says none: its own, or its folder's."""
    name = path.resolve().parent.name if path.stem == "spec" else path.stem
    return re.sub(r"[^\w.-]", "_", name).lstrip(".-")[:60] or "run"


Findings = list[tuple[Keys, Finding]]


def _findings_behind(values: dict[str, Any], findings: Findings) -> Findings:
    """Returns what is wrong with the rest once the faulty values are mended.

    Checks that look at several keys run only where each key by itself is right, so a
    second look is needed to report everything at once.
    """
    values = copy.deepcopy(values)
    for path, _ in findings:
        _mend(values, path)
    try:
        Spec.model_validate(values)
    except ValidationError as error:
        found = _others(read_findings(error, values, Spec, paths_by_key(Spec)), findings)
        # What the mending itself made: options of another name, keys that went missing.
        return [
            (path, finding)
            for path, finding in found
            if "the unknown" not in finding.got
            and finding.got != "nothing"
            and not any(known[: len(path)] == path for known, _ in findings)
        ]
    return []


def _with_lines(findings: Findings, source: SpecText) -> Iterator[Finding]:
    """Yields the findings with the line of each; of very many the first ones."""
    for path, finding in findings[:_MOST_FAULTS]:
        yield dataclasses.replace(finding, line=source.line(path))
    if (more := len(findings) - _MOST_FAULTS) > 0:
        yield Finding(
            "spec", "values that are right", f"{more:,} more findings", "Mend these first."
        )


def _others(findings: Findings, known: Findings) -> Findings:
    """Returns the findings at other places than the known ones."""
    places = {path for path, _ in known}
    return [(path, finding) for path, finding in findings if path not in places]


def _mend(values: dict[str, Any], path: Keys) -> None:
    """Puts an example in place of the value at `path`, or takes its key out."""
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
