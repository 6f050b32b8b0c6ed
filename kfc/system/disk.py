"""The single operations by which kfc changes a disk, one function each.

`kfc.system.atomic` builds complete files and folders from these operations, and
`kfc.system.safe_open` opens the files. If the machine stops, each operation has happened or
has not; only `write_new` and `append` may stop halfway. The tests replace each of these
functions by one that fails or stops halfway.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kfc.system import safe_open


def write_new(path: Path, data: bytes) -> None:
    """Creates a file with its content; a file that exists is an error."""
    _write_all(safe_open.create_regular(path), data)


def write_new_by(writer: Callable[[Path], None], path: Path) -> None:
    """Creates an empty file, which a library overwrites; a file that exists is an error."""
    os.close(safe_open.create_regular(path))
    writer(path)


def append(path: Path, data: bytes) -> None:
    """Appends to a file, which is created if it is missing."""
    _write_all(safe_open.open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), data)


def truncate(path: Path, size: int) -> None:
    """Truncates a file to `size` bytes."""
    descriptor = safe_open.open_regular(path, os.O_WRONLY)
    try:
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


def fsync(path: Path) -> None:
    """Waits until the content of a file, or the entries of a folder, are on the disk."""
    descriptor = safe_open.open_to_sync(path)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(old: Path, new: Path) -> None:
    """Renames a file or a folder; a file that has the new name is replaced."""
    with (
        safe_open.parent_of(old) as (here, name, _),
        safe_open.parent_of(new) as (there, other, _),
    ):
        os.replace(name, other, src_dir_fd=here, dst_dir_fd=there)


def mkdir(path: Path) -> list[Path]:
    """Creates a folder and its parents; returns the folders that were missing."""
    return safe_open.make_folders(path)


def unlink(path: Path) -> None:
    """Removes a file if it exists."""
    with suppress(FileNotFoundError), safe_open.parent_of(path) as (folder, name, _):
        os.unlink(name, dir_fd=folder)


def rmtree(path: Path) -> None:
    """Removes a folder with everything in it, as far as possible."""
    with suppress(OSError), safe_open.parent_of(path) as (folder, name, _):
        shutil.rmtree(name, ignore_errors=True, dir_fd=folder)


def _write_all(descriptor: int, data: bytes) -> None:
    """Writes all bytes to an open file and closes it."""
    with open(descriptor, "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
