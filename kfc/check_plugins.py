"""Checks of other packages: the entry points of the group `kfc.checks`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from kfc.errors import Finding, Severity
from kfc.findings import is_accepted
from kfc.registry import CHECK_PLUGINS

PluginStage = Literal["parts", "structure", "start", "steps"]


@dataclass(frozen=True)
class CheckPlugin:
    """A check of another package, which the doctor runs beside kfc's own.

    The entry point has the name of the check, and its object is a `CheckPlugin`:

        [project.entry-points."kfc.checks"]
        rows_few = "my_package:ROWS_FEW"

    Args:
        code: Code of its findings: two to eight capital letters other than KFC, and three
            digits, such as `ACME101`.
        stage: Moment at which it runs, which decides the argument of `find`: `parts` a
            `kfc.data.Parts`, `structure` a `kfc.first_steps.Subject`, `start` a
            `kfc.first_steps.Start`, `steps` a `kfc.first_steps.Steps`.
        find: Function that returns a `kfc.Finding`, several of them, or None; it changes
            nothing.
        background: Cause, cure and source, which `kfc doctor --explain` prints.
        severity: `error` where the network cannot learn its task, else `warning`.

    Examples:
        >>> from kfc.check_plugins import CheckPlugin
        >>> few = CheckPlugin("ACME101", "parts", lambda parts: None, "Few rows are few.")
        >>> few.severity
        'warning'
    """

    code: str
    stage: PluginStage
    find: Callable[[Any], Finding | Iterable[Finding] | None]
    background: str
    severity: Severity = "warning"

    def findings(self, name: str, argument: Any) -> tuple[Finding, ...]:
        """Runs the check and returns its findings, with its code and its name.

        Args:
            name: Name of the entry point.
            argument: Object that checks of its stage look at.

        Raises:
            PluginError: If the check raises an exception.
        """
        with CHECK_PLUGINS.guard(name, f"check {name!r}"):
            found = self.find(argument) or ()
            found = (found,) if isinstance(found, Finding) else tuple(found)
        about: dict[str, Any] = {"code": self.code, "name": name}
        return tuple(replace(each, severity=self.severity, **about) for each in found)


def plugin_findings(stage: str, accept: Collection[str], argument: Any) -> tuple[Finding, ...]:
    """Returns the findings of the plug-ins of a stage.

    Args:
        stage: Stage whose checks run.
        accept: Codes or names of the checks that are left out.
        argument: Object that checks of this stage look at.

    Raises:
        PluginError: If a plug-in cannot be imported, is no check, or fails.
    """
    found: list[Finding] = []
    for name in CHECK_PLUGINS.names():
        check = CHECK_PLUGINS.get(name)
        CHECK_PLUGINS.require(check, CheckPlugin, name)
        if check.stage == stage:
            found += check.findings(name, argument)
    return tuple(each for each in found if not is_accepted(each, accept))
