"""Paths as a user types them and as messages show them."""

from __future__ import annotations

import os
from pathlib import Path


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
    """
    return expanded(path).absolute()


def shown(path: Path) -> str:
    """Returns a path as a message shows it: relative where it lies below the current folder.

    Args:
        path: An absolute path.
    """
    try:
        below = path.relative_to(Path.cwd())
    except (ValueError, OSError):  # elsewhere, or the current folder is gone
        return str(path)
    return str(below)
