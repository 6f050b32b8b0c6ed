"""Every write kfc makes: whole or not at all, and on the disk before it counts.

A file is written beside its place, flushed to the disk, then renamed; the folder is
flushed too, since a rename is an entry in it. A library that writes by itself is given a
path of ours, and the result is saved in the same way.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kfc.errors import BusyError, CheckpointError, DiskError, Finding, KfcError
from kfc.system import disk, safe_open

PARTIAL = ".partial-"
"""Beginning of the name of what is not whole yet; 16 digits that nobody can guess follow."""
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
    with disk_errors(path):
        partial = _new_partial(path)
        try:
            write_partial(partial)
            disk.sync(partial)
            disk.rename(partial, path)
            disk.sync(path.parent)
        except BaseException:
            disk.remove(partial)
            raise


def _new_partial(path: Path) -> Path:
    """Returns a name beside a path, and removes what a killed writer of the path has left."""
    left = re.compile(f"{re.escape(PARTIAL)}[0-9a-f]{{16}}-{re.escape(path.name)}")
    for name in safe_open.names_in(path.parent):
        if left.fullmatch(name):
            _remove_any(path.with_name(name))
    return path.with_name(f"{PARTIAL}{secrets.token_hex(8)}-{path.name}")


def tidy(folder: Path) -> None:
    """Removes what killed processes have left unfinished in a folder that nobody else uses."""
    for name in safe_open.names_in(folder):
        if name.startswith(PARTIAL):
            _remove_any(folder / name)


def _remove_any(path: Path) -> None:
    is_folder = path.is_dir() and not path.is_symlink()
    with suppress(OSError):  # another user's, in a folder that all may write to
        disk.remove_folder(path) if is_folder else disk.remove(path)


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
    with disk_errors(path):
        partial = _new_partial(path)
        try:
            disk.make_folder(partial)
            yield partial
            for inner, _ in safe_open.tree(partial):
                disk.sync(inner)
            disk.sync(partial)
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
        try:
            with reading(path) as file:
                new, size = False, file.seek(0, os.SEEK_END)
        except FileNotFoundError:
            new, size = True, 0
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
        for inner, _ in safe_open.tree(path) if path.is_dir() else ():
            disk.sync(inner)
        disk.sync(path)


def make_folder(path: Path) -> list[Path]:
    """Creates a folder, and those above it; one that is there is fine.

    Returns:
        The folders that this call has created, and no other process, from the outermost.

    Raises:
        DiskError: If it cannot be created.
    """
    with disk_errors(path):
        made = disk.make_folder(path)
        disk.sync(path.parent)
    return made


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


def reading(path: Path) -> BinaryIO:
    """Opens a file to read it; see `kfc.system.safe_open` about links.

    Raises:
        OSError: If it cannot be opened, is no regular file, or is reached through a link
            below a folder that was handed over.
    """
    return os.fdopen(safe_open.open_file(path), "rb")


def read(path: Path) -> bytes:
    """Returns the content of a file that `reading` opens."""
    with reading(path) as file:
        return file.read()


def read_text(path: Path) -> str:
    """Returns the UTF-8 text of a file that `reading` opens."""
    return read(path).decode("utf-8")


def create(path: Path) -> None:
    """Makes an empty file, for a library that will write over it.

    Raises:
        DiskError: If it cannot be made, or is there already.
    """
    with disk_errors(path):
        os.close(safe_open.create(path))


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
    except safe_open.NotRegularError as error:
        raise DiskError(
            Finding(
                str(error.filename),
                "a regular file or folder",
                str(error.strerror),
                "Remove it, or name another folder: kfc writes to nothing else.",
            )
        ) from error
    except OSError as error:
        raise DiskError(
            Finding(
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
    folders there. A process started by `fork` holds it with its parent. From now on no link
    in the folder is followed, and none may be there, since libraries would follow it.

    Raises:
        BusyError: At once, if another process, or another part of this one, holds it.
        CheckpointError: If anything in it is neither a regular file nor a folder.
        DiskError: If the folder cannot be written.
    """
    safe_open.hand_over(folder)
    with disk_errors(folder), _not_ours():
        descriptor = safe_open.open_file(folder / _LOCK, os.O_RDWR | os.O_CREAT)
    try:
        with disk_errors(folder), _not_ours():
            _hold(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _not_ours() -> Iterator[None]:
    """Turns the refusal of a link, pipe or device in a folder into a CheckpointError."""
    try:
        yield
    except safe_open.NotRegularError as error:
        raise CheckpointError(
            Finding(
                str(error.filename),
                "a regular file or folder, as kfc makes them",
                str(error.strerror),
                "Remove it, or put a copy of what it stands for in its place.",
            )
        ) from error


def _hold(descriptor: int, folder: Path) -> None:
    """Takes the lock of an open lock file, checks the folder, and writes who has the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        raise BusyError(
            Finding(
                str(folder),
                "a folder that no other process works in",
                f"one that process {holder or 'unknown'} works in",
                "Wait until it ends, end it, or name another folder.",
            )
        ) from error
    safe_open.tree(folder)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
