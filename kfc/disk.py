"""The operations by which kfc changes a disk, one function each.

`kfc.files` makes whole files and folders of them. Each either happens or does not, but for
`write` and `append`, which may stop halfway; a test puts functions in their place that do,
at any operation of its choice.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Writes a new file, or over an old one."""
    path.write_bytes(data)


def write_by(writer: Callable[[Path], None], path: Path) -> None:
    """Lets a library write a file."""
    writer(path)


def append(path: Path, data: bytes) -> None:
    """Adds to a file."""
    with path.open("ab", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]


def truncate(path: Path, size: int) -> None:
    """Cuts a file off after `size` bytes."""
    os.truncate(path, size)


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's entries, are on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(old: Path, new: Path) -> None:
    """Gives a file or a folder another name; a file of that name is replaced."""
    old.replace(new)


def make_folder(path: Path) -> None:
    """Makes a folder, and those above it; one that is there is fine."""
    path.mkdir(parents=True, exist_ok=True)


def remove(path: Path) -> None:
    """Removes a file; one that is gone is fine."""
    path.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Removes a folder with everything in it, as far as it can."""
    shutil.rmtree(path, ignore_errors=True)
