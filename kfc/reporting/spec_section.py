"""The section with the spec of a run, and its differences from the run before."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfc.errors import KfcError
from kfc.reporting.blocks import CodeText, Section, Table, shown
from kfc.reporting.run_facts import RunFacts
from kfc.runs import environment, result_file
from kfc.spec import dump_spec
from kfc.system import safe_open

_NUMBERED = re.compile(r"(\d{4,})-(.+)")


def spec_section(facts: RunFacts) -> Section:
    """Returns the section with the resolved spec of a run.

    Beside it are the keys that differ from the previous run of the same name in the folder.

    Args:
        facts: The run.
    """
    blocks: list[object] = []
    before = previous_run(facts.run.folder)
    if before is not None:
        blocks += _differences(facts, before)
    text = dump_spec(facts.run.spec)
    return Section(
        "spec", "Spec", [*blocks, CodeText("Resolved spec, which repeats this run", text)]
    )


def previous_run(folder: Path) -> Path | None:
    """Returns the folder of the previous run of the same name, or None.

    Args:
        folder: Folder of a run, such as `runs/0007-digits`.
    """
    own = _NUMBERED.fullmatch(folder.name)
    if own is None:
        return None
    earlier = []
    for each in folder.parent.glob(f"*-{glob_text(own[2])}"):
        found = _NUMBERED.fullmatch(each.name)
        is_run = found and not each.is_symlink() and (each / "spec.yaml").is_file()
        if found and is_run and found[2] == own[2] and int(found[1]) < int(own[1]):
            earlier.append((int(found[1]), each))
    return max(earlier)[1] if earlier else None


def glob_text(text: str) -> str:
    """Returns a pattern that matches a text alone."""
    return re.sub(r"([*?[])", r"[\1]", text)


def _differences(facts: RunFacts, before: Path) -> list[object]:
    safe_open.distrust(before)
    try:
        old = flat_values(environment.plain_spec(result_file.read_spec(before)))
    except KfcError:
        return []  # another version wrote it
    new = flat_values(environment.plain_spec(facts.run.spec))
    rows = [
        [shown(key, 80), shown(old.get(key, ""), 80), shown(new.get(key, ""), 80)]
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]
    head = ["key", shown(before.name, 60), "this run"]
    return [Table("Differences from the run before", head, rows)] if rows else []


def flat_values(values: Any, path: str = "") -> dict[str, str]:
    """Returns dotted path -> JSON of each value of nested mappings.

    Args:
        values: Nested mappings, or one value.
        path: Dotted path of the values.
    """
    if not isinstance(values, Mapping) or not values:
        return {path: json.dumps(values)}
    found: dict[str, str] = {}
    for key, value in values.items():
        found |= flat_values(value, f"{path}.{key}" if path else str(key))
    return found
