"""A path -> an open file of data, never a device or a pipe."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO


def open_file(path: Path) -> BinaryIO:
    """Opens a file to read it: a device would never end, and a pipe may wait for ever.

    Raises:
        OSError: If it cannot be opened, or is no file.
    """
    if path.exists() and not path.is_file():
        raise OSError("a folder" if path.is_dir() else "a device or a pipe")
    return path.open("rb")
