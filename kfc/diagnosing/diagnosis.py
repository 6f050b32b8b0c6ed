"""The result of the doctor: findings, and the numbers that were measured on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kfc.errors import Finding


@dataclass(frozen=True)
class Diagnosis:
    """Result of `kfc.doctor`.

    Args:
        findings: Problems, errors first; each has a code, a cause, the evidence and, where
            there is one, a cure.
        measured: Numbers of the first steps, such as `loss` and `guess_loss`.
        subject: Name of the spec or of the model.

    Examples:
        >>> diagnosis = kfc.doctor("digits", overrides={"network.init": "zeros"})
        >>> diagnosis.codes
        ('KFC323',)
        >>> diagnosis.changes
        {'network.init': 'he_normal'}
    """

    findings: tuple[Finding, ...]
    measured: Mapping[str, float] = field(default_factory=dict)
    subject: str = ""

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the findings, such as `KFC323`."""
        return tuple(finding.code for finding in self.findings)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings with which a network cannot learn its task."""
        return tuple(each for each in self.findings if each.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that may be meant."""
        return tuple(each for each in self.findings if each.severity == "warning")

    @property
    def changes(self) -> dict[str, Any]:
        """The changes of the spec that cure the findings, by dotted path.

        Of two changes of the same key the one of the first finding counts.
        """
        changes: dict[str, Any] = {}
        for finding in self.findings:
            changes |= {path: v for path, v in finding.cure.items() if path not in changes}
        return changes

    def as_json(self) -> dict[str, Any]:
        """Returns the object of `kfc doctor --json`: `findings` and `measured`."""
        findings = [finding.as_json() for finding in self.findings]
        return {"findings": findings, "measured": dict(self.measured)}

    def __repr__(self) -> str:
        lines = [f"Diagnosis of {self.subject}: {self._summary()}"]
        lines += [f"  {each.severity}: {each.labelled()}" for each in self.findings]
        return "\n".join(lines)

    def __rich__(self) -> Group:
        title = Text(f"{self.subject}: {self._summary()}")
        if not self.findings:
            return Group(title)
        table = Table()
        for name in ("code", "cause", "cure"):
            table.add_column(name)
        for each in self.findings:
            code = f"{each.code}\n{each.severity}"
            changes = [f"{path}: {value}" for path, value in each.cure.items()]
            cure = "\n".join([each.remedy, *changes])
            table.add_row(code, f"{each.where}: {each.cause}", cure)
        return Group(title, table)

    def _summary(self) -> str:
        if not self.findings:
            return "nothing found"
        counts = {"error": len(self.errors), "warning": len(self.warnings)}
        parts = [f"{n} {word}{'s' * (n > 1)}" for word, n in counts.items() if n]
        return ", ".join(parts)


def sorted_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """Returns findings with errors first, each once, otherwise in their order."""
    once = list({(each.code, each.where, each.got): each for each in findings}.values())
    return tuple(sorted(once, key=lambda each: each.severity != "error"))
