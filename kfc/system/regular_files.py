"""Opens data files and refuses devices and pipes."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path


def open_file(path: Path) -> BufferedReader:
    """Opens a file to read it, unless it is a device or a pipe, which may never end.

    Raises:
        OSError: If the file cannot be opened, or is not a regular file.
    """
    return os.fdopen(open_descriptor(path), "rb")


def open_descriptor(path: Path) -> int:
    """Opens a file as `open_file` does; returns the descriptor, which the caller closes."""
    # The type is read from the open file, because the path may have become another file. With
    # O_NONBLOCK, opening a pipe returns at once even if no process writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise OSError("a folder" if stat.S_ISDIR(mode) else "a device or a pipe")
