"""Changes values in the text of a spec, and keeps its comments."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from kfc.errors import Finding, SpecError
from kfc.spec.loading import builtin_text, load_spec
from kfc.spec.overrides import override, set_value
from kfc.spec.parsing import SUFFIXES, file_text, parsed
from kfc.system import atomic, user_paths


def rewritten(spec: str | Path, changes: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the text of a spec with some of its values changed, and its suffix.

    YAML keeps its comments and its order. JSON has no comments; TOML becomes YAML, since no
    library of Python writes it with its comments.

    Args:
        spec: File, or name of a built-in spec.
        changes: Values by dotted path, as for `kfc.fit(overrides=...)`.

    Returns:
        The text, and the suffix of a file with it: `.yaml` or `.json`.

    Raises:
        SpecError: If the spec cannot be read, or the changes do not fit it.
    """
    path = user_paths.expanded(spec)
    is_file = str(spec).lower().endswith(SUFFIXES)
    suffix = path.suffix.lower()
    if not is_file:
        return _yaml(builtin_text(str(spec)), changes), ".yaml"
    text = file_text(path)
    source = parsed(text, path)  # refuses all that a spec may not have
    if suffix in (".yaml", ".yml"):
        return _yaml(text, changes), ".yaml"
    values = override(source, changes).values
    if suffix == ".json":
        return json.dumps(values, indent=2) + "\n", suffix
    return _dumped(values), ".yaml"


def write_cured(spec: str | Path, changes: Mapping[str, Any]) -> Path:
    """Writes the spec with some values changed beside the old one, as NAME.cured.yaml.

    Args:
        spec: File, or name of a built-in spec, whose copy is written to the current folder.
        changes: Values by dotted path.

    Returns:
        Path of the new file; an older one of that name is replaced.

    Raises:
        SpecError: If the changed text is not the changed spec, as where a value is repeated.
        DiskError: If the file cannot be written.
    """
    text, suffix = rewritten(spec, changes)
    path = user_paths.expanded(spec)
    path = path.with_name(f"{path.stem}.cured{suffix}")
    atomic.write_file(path, text)
    expected, found = load_spec(spec, changes), load_spec(path)
    if found.model_copy(update={"name": expected.name}) != expected:
        raise SpecError(
            Finding(str(path), "the spec with its changes", "another one", "Edit it by hand.")
        )
    return path


def _yaml(text: str, changes: Mapping[str, Any]) -> str:
    yaml = _round_trip()
    values = yaml.load(text)
    for dotted, value in changes.items():
        set_value(values, dotted, value)
    written = io.StringIO()
    yaml.dump(values, written)
    return written.getvalue()


def _dumped(values: Mapping[str, Any]) -> str:
    written = io.StringIO()
    _round_trip().dump(dict(values), written)
    return written.getvalue()


def _round_trip() -> YAML:
    yaml = YAML()  # the round trip keeps comments, quotes and the form of numbers
    yaml.preserve_quotes = True
    yaml.width = 1000
    return yaml
