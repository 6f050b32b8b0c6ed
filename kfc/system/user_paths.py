"""Paths as a user types them and as messages show them."""

from __future__ import annotations

import os
from pathlib import Path

from kfc.errors import DiskError, Finding


def expanded(path: str | Path) -> Path:
    """Returns the path of what a user typed, with `~` as the home folder.

    Args:
        path: A path such as `data.npz` or `~/data.npz`.
    """
    return Path(os.path.expanduser(path))


def absolute(path: str | Path) -> Path:
    """Returns the absolute path of what a user typed, with `~` as the home folder.

    An absolute path stays right after the process changes its current folder. Links are
    kept, and nothing needs to exist.

    Args:
        path: A path such as `runs`, `~/runs` or `/data/runs`.

    Raises:
        DiskError: If the path is relative, and the current folder was removed.
    """
    path = expanded(path)
    return path if path.is_absolute() else current() / path


def current() -> Path:
    """Returns the current folder, to which relative paths belong.

    Raises:
        DiskError: If it was removed.
    """
    try:
        return Path.cwd()
    except OSError as error:
        expected, got = "a folder that is there", error.strerror or str(error)
        remedy = "Change into another folder, and start again."
        raise DiskError(Finding("the current folder", expected, got, remedy)) from error


def shown_path(path: Path) -> str:
    """Returns a path as a message shows it: relative where it lies below the current folder.

    Args:
        path: An absolute path.
    """
    try:
        below = path.relative_to(Path.cwd())
    except (ValueError, OSError):  # elsewhere, or the current folder is gone
        return str(path)
    return str(below)
