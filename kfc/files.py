"""Every write kfc makes: whole or not at all, and on the disk before it counts.

A file is written beside its place, flushed to the disk, then renamed; the folder is
flushed too, since a rename is an entry in it. A library that writes by itself is given a
path of ours, and the result is committed in the same way.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kfc.errors import DiskError, Fault

_PARTIAL = ".partial-"


def write(path: Path, content: bytes | str) -> None:
    """Writes a whole file in place of `path`.

    Raises:
        DiskError: If it cannot be written; the old content stays.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    write_with(path, lambda partial: _write_synced(partial, data))


def write_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Lets a library write a file, then puts it in place of `path`.

    Args:
        path: The file to be.
        writer: Called with a path beside it, of the same ending.

    Raises:
        DiskError: If it cannot be written; the old content stays.
    """
    partial = path.with_name(f"{_PARTIAL}{path.name}")
    with _disk_errors(path):
        try:
            writer(partial)
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    """Writes a folder of files that appears under its name only when it is complete.

    Raises:
        DiskError: If it cannot be written; `path` is then as it was.
    """
    partial = path.with_name(f"{_PARTIAL}{path.name}")
    with _disk_errors(path):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            for name, data in contents.items():
                _write_synced(partial / name, data)
            _sync(partial)
            partial.rename(path)
            _sync(path.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def append(path: Path, text: str) -> None:
    """Adds lines to a log; `sync` puts them on the disk.

    Raises:
        DiskError: If they cannot be written.
    """
    with _disk_errors(path), path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


def sync(path: Path) -> None:
    """Flushes a file, or a folder with everything in it, to the disk.

    Raises:
        DiskError: If that fails.
    """
    with _disk_errors(path):
        for inner in path.rglob("*") if path.is_dir() else ():
            _sync(inner)
        _sync(path)


def remove_folder(path: Path) -> None:
    """Removes a folder that is no longer needed; one that is gone is fine."""
    shutil.rmtree(path, ignore_errors=True)


def new_numbered_folder(parent: Path, name: str) -> Path:
    """Creates `parent/0001-name`, with the next free number; never an existing one.

    Raises:
        DiskError: If no folder can be created there.
    """
    with _disk_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        with _locked(parent):  # or two processes could take one number for two names
            found = (re.match(r"([0-9]{4,})-", entry.name) for entry in parent.iterdir())
            numbers = [int(match[1]) for match in found if match]
            path = parent / f"{max(numbers, default=0) + 1:04d}-{name}"
            path.mkdir()
            _sync(parent)
            return path


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, which the end of the process lets go too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(
            Fault(
                str(path),
                "a place that can be written",
                error.strerror or str(error),
                "Free space or change the permissions, or name another folder.",
            )
        ) from error
