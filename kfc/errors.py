"""Errors that kfc raises on purpose, each with the exit code of the command that it ends."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One problem: its place, the expectation, the value found there and a remedy.

    Args:
        where: Dotted path, file or option, such as `training.epochs`.
        expected: Description of a value that would be right.
        got: The value that arrived, as the user wrote it.
        remedy: Next step for the user; may be empty where `expected` is enough.
        line: Place in the text of a spec, such as `my.yaml, line 7`.
        code: Code of the check that found the problem, such as `KFC205`, see
            `kfc.check_table.CHECKS`; empty where no check did, as for a file that is missing.
        name: Name of that check, such as `input_not_finite`.
        severity: `error` for a problem that refuses the spec, the data or the training,
            otherwise `warning`.
        evidence: Values that show the problem, by name, such as `{"row": 3}`.
        cure: Changes of the spec that cure the problem, by dotted path, such as
            `{"data.scale": "standard"}`; `kfc doctor --fix` makes them. `remedy` says
            them too.

    Examples:
        >>> finding = kfc.Finding("training.epochs", "an integer", "'3'", "Use epochs: 3.")
        >>> print(finding)
        training.epochs: expected an integer, got '3'. Use epochs: 3.
        >>> finding.as_json()["cause"]
        "expected an integer, got '3'"
    """

    where: str
    expected: str
    got: str
    remedy: str = ""
    line: str = ""
    code: str = field(default="", kw_only=True)
    name: str = field(default="", kw_only=True)
    severity: Severity = field(default="error", kw_only=True)
    evidence: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)
    cure: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)

    def __str__(self) -> str:
        place = f"{self.where} ({self.line})" if self.line else self.where
        return one_line(f"{place}: {self.cause}. {self.remedy}".rstrip())

    @property
    def label(self) -> str:
        """Code and name of the check, such as `KFC205 input_not_finite`, or nothing."""
        return f"{self.code} {self.name}".strip()

    def labelled(self) -> str:
        """Returns the finding in one line, with the label of its check at the end."""
        return f"{self} [{self.label}]" if self.label else str(self)

    @property
    def cause(self) -> str:
        """The expectation and the value found, in one clause."""
        return f"expected {self.expected}, got {self.got}"

    def as_json(self) -> dict[str, Any]:
        """Returns the finding as the commands print it with `--json`.

        Returns:
            `code`, `name`, `severity`, `cause`, `evidence`, `path`, `cure` (a sentence) and
            `changes` (of the spec, by dotted path, that make the cure).
        """
        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity,
            "cause": self.cause,
            "evidence": dict(self.evidence),
            "path": self.where,
            "cure": self.remedy,
            "changes": dict(self.cure),
        }


def reason(error: BaseException) -> str:
    """Returns the cause of an error in one line; of pydantic's several causes, the first."""
    if hasattr(error, "errors"):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error) or type(error).__name__


class KfcError(Exception):
    """Base class of every error that kfc raises on purpose.

    Args:
        findings: All problems that were found, at least one.

    Attributes:
        exit_code: Exit code of a command that ends with this error.
        findings: The problems, see `kfc.Finding`.

    Examples:
        >>> try:
        ...     kfc.fit("digits", overrides={"training.epoch": 1})
        ... except kfc.KfcError as error:
        ...     print(error.findings[0].where, error.exit_code)
        training.epoch 2
    """

    exit_code = 1

    def __init__(self, *findings: Finding) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings


class SpecError(KfcError, ValueError):
    """A spec or an argument has a wrong value.

    Examples:
        >>> try:
        ...     kfc.fit("digits", overrides={"training.epochs": 0})
        ... except kfc.SpecError as error:
        ...     print(error.findings[0].cause)
        expected a number of at least 1, got 0
    """

    exit_code = 2


class RegistryError(SpecError, LookupError):
    """No package, or more than one, offers the component that a spec names.

    Examples:
        >>> kfc.RegistryError.exit_code
        2
    """


class BusyError(KfcError, BlockingIOError):
    """Another process works in the folder.

    Examples:
        >>> kfc.BusyError.exit_code
        3
    """

    exit_code = 3


class DataError(KfcError, ValueError):
    """Data cannot be read, or kfc refuses to train on them.

    Examples:
        >>> try:
        ...     kfc.fit({}, data=([[1.0], [float("nan")]], [0, 1]))
        ... except kfc.DataError as error:
        ...     print(error.findings[0].label)
        KFC205 input_not_finite
    """

    exit_code = 4


class DiskError(KfcError, OSError):
    """A file cannot be written, for lack of space, of a permission or of the device.

    Examples:
        >>> kfc.DiskError.exit_code
        5
    """

    exit_code = 5


class NumbersError(KfcError, ArithmeticError):
    """Training produced NaN or infinity.

    Examples:
        >>> kfc.NumbersError.exit_code
        6
    """

    exit_code = 6


class CheckpointError(KfcError, RuntimeError):
    """A run folder has no valid checkpoint.

    Examples:
        >>> try:
        ...     kfc.load("no-such-run")
        ... except kfc.CheckpointError as error:
        ...     print(error.exit_code)
        7
    """

    exit_code = 7


class PluginError(KfcError, ImportError):
    """A plug-in cannot be imported, or breaks its contract.

    Examples:
        >>> kfc.PluginError.exit_code
        8
    """

    exit_code = 8


class WorkerError(KfcError, ConnectionError):
    """A worker of a training on several processes has ended, or is not like the others.

    Examples:
        >>> kfc.WorkerError.exit_code
        9
    """

    exit_code = 9


class UnseenValuesWarning(UserWarning):
    """A column of a table has categories that the training rows lack.

    They share the code of rare categories, or have none. `data.unknown: refuse` refuses them.

    Args:
        column: Name of the column.
        count: Number of rows with such a category.
        rows: Number of all rows.

    Examples:
        >>> print(kfc.UnseenValuesWarning("plan", 2, 10))
        column plan: 2 of 10 values are not in the training rows
    """

    def __init__(self, column: str, count: int, rows: int) -> None:
        text = f"column {column}: {count:,} of {rows:,} values are not in the training rows"
        super().__init__(one_line(text))
        self.column, self.count, self.rows = column, count, rows


_MANY_CHARACTERS = 5  # beginnings that are shorter fit many names


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns `Did you mean 'x'? ` for the known name closest to `name`, or an empty text."""
    close = nearest_name(name, known)
    return f"Did you mean {close!r}? " if close else ""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Returns the known name closest to `name`, or an empty text where none is close."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    # A name that was cut short, such as val_acc, is closer to its own than to val_mcc.
    longer = [each for each in by_lower if each.startswith(name.lower())]
    if len(name) >= _MANY_CHARACTERS and len(longer) == 1:
        return by_lower[longer[0]]
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else ""


def one_line(text: str) -> str:
    """Returns foreign text as one line without characters that control a terminal."""
    return "".join(
        c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.splitlines())
    )
