"""The operations by which kfc changes a disk, one function each.

`kfc.system.atomic` builds complete files and folders from them, and `kfc.system.safe_open`
opens the files that they change. Each operation either happens or does not, except `write_new`
and `append`, which may stop halfway: a test replaces any of them by a function that does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kfc.system import safe_open


def write_new(path: Path, data: bytes) -> None:
    """Writes a new file; one that is there is refused."""
    _write_all(safe_open.create_regular(path), data)


def write_new_by(writer: Callable[[Path], None], path: Path) -> None:
    """Lets a library write over a new, empty file; one that is there is refused."""
    os.close(safe_open.create_regular(path))
    writer(path)


def append(path: Path, data: bytes) -> None:
    """Adds to a file."""
    _write_all(safe_open.open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), data)


def truncate(path: Path, size: int) -> None:
    """Cuts a file off after `size` bytes."""
    descriptor = safe_open.open_regular(path, os.O_WRONLY)
    try:
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


def fsync(path: Path) -> None:
    """Waits until a file's content, or a folder's entries, are on the disk itself."""
    descriptor = safe_open.open_to_sync(path)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(old: Path, new: Path) -> None:
    """Gives a file or a folder another name; a file of that name is replaced."""
    with (
        safe_open.parent_of(old) as (here, name, _),
        safe_open.parent_of(new) as (there, other, _),
    ):
        os.replace(name, other, src_dir_fd=here, dst_dir_fd=there)


def mkdir(path: Path) -> list[Path]:
    """Makes a folder, and those above it; returns those that were missing."""
    return safe_open.make_folders(path)


def unlink(path: Path) -> None:
    """Removes a file; one that is gone is fine."""
    with suppress(FileNotFoundError), safe_open.parent_of(path) as (folder, name, _):
        os.unlink(name, dir_fd=folder)


def rmtree(path: Path) -> None:
    """Removes a folder with everything in it, as far as it can."""
    with suppress(OSError), safe_open.parent_of(path) as (folder, name, _):
        shutil.rmtree(name, ignore_errors=True, dir_fd=folder)


def _write_all(descriptor: int, data: bytes) -> None:
    """Writes to an open file, and closes it."""
    with open(descriptor, "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
