"""Converts paths between the form a user types, an absolute path and the form of messages."""

from __future__ import annotations

import os
from pathlib import Path

from kfc.errors import DiskError, Finding


def expanded(path: str | Path) -> Path:
    """Returns a path that a user typed, with `~` replaced by the home folder.

    Args:
        path: A path such as `data.npz` or `~/data.npz`.
    """
    return Path(os.path.expanduser(path))


def absolute(path: str | Path) -> Path:
    """Returns the absolute path of a path that a user typed.

    `~` is replaced by the home folder. Links are kept, and the path need not exist.

    Args:
        path: A path such as `runs`, `~/runs` or `/data/runs`.

    Raises:
        DiskError: If the path is relative and the current folder was removed.
    """
    path = expanded(path)
    return path if path.is_absolute() else current() / path


def current() -> Path:
    """Returns the current folder, the start of relative paths.

    Raises:
        DiskError: If the folder was removed.
    """
    try:
        return Path.cwd()
    except OSError as error:
        expected, got = "a folder that exists", error.strerror or str(error)
        remedy = "Change to another folder and start again."
        raise DiskError(Finding("the current folder", expected, got, remedy)) from error


def shown_path(path: Path) -> str:
    """Returns a path for a message: relative if it is below the current folder.

    Args:
        path: An absolute path.
    """
    try:
        below = path.relative_to(Path.cwd())
    except (ValueError, OSError):  # elsewhere, or the current folder is gone
        return str(path)
    return str(below)
