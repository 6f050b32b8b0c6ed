"""Runs the checks of the table, by stage or by name.

A check returns its findings without a code: code, name and severity come from the table.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kfc.check_table import CHECKS, Check, Stage
from kfc.errors import Finding

__all__ = [
    "CHECKS",
    "Check",
    "Stage",
    "checks_of",
    "find_by",
    "find_check",
    "is_accepted",
    "run_check",
    "run_checks",
]


def find_check(code: str) -> Check | None:
    """Returns the check of a code such as `KFC205`, or of a name; None if there is none."""
    return next((check for check in CHECKS if code in (check.code, check.name)), None)


def is_accepted(problem: Check | Finding, accept: Collection[str]) -> bool:
    """Returns whether a spec's `accept` lists the code or the name of a check or finding."""
    return problem.code in accept or problem.name in accept


def checks_of(stage: Stage) -> tuple[Check, ...]:
    """Returns the checks of a stage, in the order in which they run."""
    return tuple(check for check in CHECKS if check.stage == stage)


def run_checks(
    stage: Stage, *arguments: Any, accept: Collection[str] = (), **options: Any
) -> tuple[Finding, ...]:
    """Runs the checks of a stage; the first error that finds a problem refuses.

    A later check relies on the earlier ones: NaN is looked for among real numbers.

    Args:
        stage: Stage whose checks run.
        *arguments: Arguments of these checks.
        accept: Codes or names of the checks that are left out.
        **options: Keyword arguments of these checks.

    Returns:
        The findings of the warnings.

    Raises:
        KfcError: The error of the check that refuses.
    """
    return tuple(
        finding
        for check in checks_of(stage)
        if not is_accepted(check, accept)
        for finding in check.run(*arguments, **options)
    )


def find_by(name: str, *arguments: Any, accept: Collection[str] = ()) -> tuple[Finding, ...]:
    """Returns the findings of one check, which refuses nothing.

    Args:
        name: Name of the check.
        *arguments: Arguments of the check.
        accept: Codes or names of the checks that are left out.
    """
    check = find_check(name)
    if check is None:
        raise KeyError(name)
    return () if is_accepted(check, accept) else check.find(*arguments)


def run_check(name: str, *arguments: Any) -> None:
    """Runs one check.

    Args:
        name: Name of the check.
        *arguments: Arguments of the check.

    Raises:
        KfcError: The error of the check, if it finds a problem.
    """
    check = find_check(name)
    if check is None:
        raise KeyError(name)
    check.run(*arguments)
