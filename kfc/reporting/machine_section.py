"""The section about the machine: seconds of each phase, memory and versions."""

from __future__ import annotations

from typing import Any

from kfc.reporting.blocks import Cell, Section, Table, Text, number, shown
from kfc.reporting.run_facts import RunFacts


def machine_section(facts: RunFacts) -> Section:
    """Returns the section about time, memory and versions of a run.

    Args:
        facts: The run.
    """
    result, environment = facts.result, facts.environment
    phases = result.get("phases") or {}
    rows: list[list[Cell | str]] = [
        [shown(name, 30), number(float(seconds), 2)] for name, seconds in phases.items()
    ]
    blocks: list[Any] = []
    if rows:
        blocks.append(Table("Seconds by phase", ["phase", "seconds"], rows))
    memory = result.get("memory") or {}
    if memory.get("peak"):
        text = f"Memory: {memory['peak'] / 2**20:,.0f} MiB at most"
        text += f", {memory['predicted'] / 2**20:,.0f} MiB were predicted."
        blocks.append(Text(text))
    lines = {
        "weights": f"{facts.run.network.count_params():,}",
        "weights sha256": facts.run.weights_sha256,
        "data sha256": facts.run.data_sha256,
        "folder": facts.name,
    }
    for name in ("python", "platform", "processor", "cores"):
        if name in environment:
            lines[name] = str(environment[name])
    lines |= environment.get("versions", {})
    lines |= environment.get("flags", {})
    table: list[list[Cell | str]] = [[shown(k, 60), shown(v)] for k, v in lines.items()]
    blocks.append(Table("Environment", ["name", "value"], table))
    return Section("machine", "Time, memory and versions", blocks)
