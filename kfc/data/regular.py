"""A path -> an open file of data, never a device or a pipe."""

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
    # The kind is asked of the open file, because the path may be another one's by then. An
    # open that does not block returns at once for a pipe that nobody writes to.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError("a folder" if stat.S_ISDIR(mode) else "a device or a pipe")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
