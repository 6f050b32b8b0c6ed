"""This module opens files of data, and refuses devices and pipes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_file(path: Path) -> BinaryIO:
    """Opens a file to read it: a device would never end, and a pipe may wait for ever.

    Raises:
        OSError: If it cannot be opened, or is no file.
    """
    return os.fdopen(open_descriptor(path), "rb")


def open_descriptor(path: Path) -> int:
    """Opens a file as `open_file` does, as a descriptor that the caller has to close."""
    # The kind is asked of the open file, because the path may be another one's by then. An
    # open that does not block returns at once for a pipe that nobody writes to.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise OSError("a folder" if stat.S_ISDIR(mode) else "a device or a pipe")
