"""Every error kfc raises on purpose, each with the exit code it ends a command with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, in the four parts a user needs to mend it.

    Args:
        where: Dotted path, file or option, such as `training.epochs`.
        expected: What would have been right.
        got: What arrived, as the user wrote it.
        remedy: What to do now; may be empty only where `expected` says it all.
        line: Where in the text it stands, such as `my.yaml, line 7`.
    """

    where: str
    expected: str
    got: str
    remedy: str = ""
    line: str = ""

    def __str__(self) -> str:
        place = f"{self.where} ({self.line})" if self.line else self.where
        remedy = f" {self.remedy}" if self.remedy else ""
        text = f"{place}: expected {self.expected}, got {self.got}.{remedy}".rstrip()
        return one_line(text)


def reason(error: BaseException) -> str:
    """Returns why something cannot be read, in a line: of pydantic's findings the first."""
    if hasattr(error, "errors"):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error) or type(error).__name__


class KfcError(Exception):
    """Base of every error that kfc raises on purpose.

    Args:
        findings: What is wrong, everything at once.
    """

    exit_code = 1

    def __init__(self, *findings: Finding) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings


class SpecError(KfcError, ValueError):
    """A spec, or an argument of a command, that cannot be used."""

    exit_code = 2


class RegistryError(SpecError, LookupError):
    """A name that nobody offers, or that several packages offer."""


class BusyError(KfcError, BlockingIOError):
    """A folder that another process works in."""

    exit_code = 3


class DataError(KfcError, ValueError):
    """Data that cannot be read, or that kfc refuses to train on."""

    exit_code = 4


class DiskError(KfcError, OSError):
    """A file that cannot be written: no space, no permission, no device."""

    exit_code = 5


class NumbersError(KfcError, ArithmeticError):
    """Training that produced NaN or infinity."""

    exit_code = 6


class CheckpointError(KfcError, RuntimeError):
    """A run folder without one valid checkpoint."""

    exit_code = 7


class PluginError(KfcError, ImportError):
    """A plug-in that cannot be imported, or that breaks its contract."""

    exit_code = 8


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns `Did you mean 'x'? ` for the known name closest to `name`, or nothing."""
    close = nearest_name(name, known)
    return f"Did you mean {close!r}? " if close else ""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Returns the known name closest to `name`, or nothing where none is close."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else ""


def one_line(text: str) -> str:
    """Returns other people's text as one line that cannot steer a terminal."""
    return "".join(
        c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.splitlines())
    )
