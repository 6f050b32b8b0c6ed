"""Every write kfc makes: whole or not at all, and on the disk before it counts.

A file is written beside its place, flushed to the disk, then renamed; the folder is
flushed too, since a rename is an entry in it. A library that writes by itself is given a
path of ours, and the result is committed in the same way.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kfc import disk
from kfc.errors import BusyError, DiskError, Fault, KfcError

PARTIAL = ".partial-"
"""How the name begins of what is not whole yet."""
_LOCK = ".lock"


def write(path: Path, content: bytes | str) -> None:
    """Writes a whole file in place of `path`.

    Raises:
        DiskError: If it cannot be written; the old content stays.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    _put(path, lambda partial: disk.write(partial, data))


def write_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Lets a library write a file, then puts it in place of `path`.

    Args:
        path: The file to be.
        writer: Called with a path beside it, of the same ending.

    Raises:
        DiskError: If it cannot be written; the old content stays.
    """
    _put(path, lambda partial: disk.write_by(writer, partial))


def _put(path: Path, write_partial: Callable[[Path], None]) -> None:
    partial = path.with_name(f"{PARTIAL}{path.name}")
    with disk_errors(path):
        try:
            write_partial(partial)
            disk.sync(partial)
            disk.rename(partial, path)
            disk.sync(path.parent)
        except BaseException:
            disk.remove(partial)
            raise


def write_folder(path: Path, contents: Mapping[str, bytes], *, replace: bool = False) -> None:
    """Writes a folder of files that appears under its name only when it is complete.

    Args:
        path: The folder to be.
        contents: Name of a file -> its bytes; `a/b` is `b` in the folder `a`.
        replace: Whether to put it in place of a full one. A process that is killed then
            may leave neither, so this is for what can be made again.

    Raises:
        DiskError: If it cannot be written; `path` is then as it was.
    """
    with new_folder(path, replace=replace) as partial:
        fill(partial, contents)


def fill(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes files into a folder that is not under its name yet, see `new_folder`.

    Args:
        folder: An empty one.
        contents: As in `write_folder`.
    """
    for name, data in contents.items():
        if "/" in name:
            disk.make_folder((folder / name).parent)
        disk.write(folder / name, data)


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Lets anyone fill a folder, which appears under its name only when that is done.

    Args:
        path: The folder to be.
        replace: As in `write_folder`.

    Yields:
        A folder beside it, empty; an exception removes it again.

    Raises:
        DiskError: If it cannot be written; `path` is then as it was.
    """
    partial = path.with_name(f"{PARTIAL}{path.name}")
    with disk_errors(path):
        disk.remove_folder(partial)
        try:
            disk.make_folder(partial)
            yield partial
            for inner in (*partial.rglob("*"), partial):
                disk.sync(inner)
            if replace:
                disk.remove_folder(path)
            disk.rename(partial, path)  # refused where there is a full one
            disk.sync(path.parent)
        except BaseException:
            disk.remove_folder(partial)
            raise


def append(path: Path, text: str) -> None:
    """Adds lines to a log; `sync` puts them on the disk.

    Raises:
        DiskError: If they cannot be written.
    """
    with disk_errors(path):
        disk.append(path, text.encode("utf-8"))


def append_synced(path: Path, content: bytes | str) -> None:
    """Adds to a file, whole or not at all, and on the disk before this returns.

    A process that is killed meanwhile may leave a part of it.

    Raises:
        DiskError: If it cannot be written; the file is as long as it was.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with disk_errors(path):
        new = not path.exists()
        size = 0 if new else path.stat().st_size
        try:
            disk.append(path, data)
            disk.sync(path)
        except BaseException:
            # Or the next line would be joined to the part of this one.
            with suppress(OSError):
                disk.truncate(path, size)
                disk.sync(path)
            raise
        if new:
            disk.sync(path.parent)


def truncate(path: Path, size: int) -> None:
    """Cuts a file off after `size` bytes, on the disk before this returns.

    Raises:
        DiskError: If it cannot be cut.
    """
    with disk_errors(path):
        disk.truncate(path, size)
        disk.sync(path)


def sync(path: Path) -> None:
    """Flushes a file, or a folder with everything in it, to the disk.

    Raises:
        DiskError: If that fails.
    """
    with disk_errors(path):
        for inner in path.rglob("*") if path.is_dir() else ():
            disk.sync(inner)
        disk.sync(path)


def make_folder(path: Path) -> None:
    """Creates a folder, and those above it; one that is there is fine.

    Raises:
        DiskError: If it cannot be created.
    """
    with disk_errors(path):
        disk.make_folder(path)
        disk.sync(path.parent)


def remove(path: Path) -> None:
    """Removes a file that is no longer needed; one that is gone is fine.

    Raises:
        DiskError: If it cannot be removed.
    """
    with disk_errors(path):
        disk.remove(path)


def remove_folder(path: Path) -> None:
    """Removes a folder that is no longer needed; one that is gone is fine."""
    disk.remove_folder(path)


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns whatever the operating system refuses within into a DiskError.

    Args:
        path: What is written.

    Raises:
        DiskError: Instead of any OSError but kfc's own errors, which say more.
    """
    try:
        yield
    except KfcError:
        raise
    except OSError as error:
        raise DiskError(
            Fault(
                str(path),
                "a place that can be written",
                error.strerror or str(error),
                "Free space or change the permissions, or name another folder.",
            )
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Works in a folder alone; the end of the process, however it ends, lets go too.

    The lock is on a file in the folder, so that whoever holds it may still make numbered
    folders there. A process started by `fork` holds it with its parent.

    Raises:
        BusyError: At once, if another process, or another part of this one, holds it.
        DiskError: If the folder cannot be written.
    """
    with disk_errors(folder):
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with disk_errors(folder):
            _hold(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _hold(descriptor: int, folder: Path) -> None:
    """Takes the lock of an open lock file, and writes into the file who has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        raise BusyError(
            Fault(
                str(folder),
                "a folder that no other process works in",
                f"one that process {holder or 'unknown'} works in",
                "Wait until it ends, end it, or name another folder.",
            )
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
