"""Every write kfc makes: whole or not at all, and on the disk before it counts.

A file is written beside its place, flushed to the disk, then renamed; the folder is
flushed too, since a rename is an entry in it. A library that writes by itself is given a
path of ours, and the result is saved in the same way.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kfc.errors import DiskError, Finding, KfcError
from kfc.system import disk, safe_open

PARTIAL = ".partial-"
"""Beginning of the name of what is not whole yet; 16 digits that nobody can guess follow."""


def write_file(path: Path, content: bytes | str) -> None:
    """Writes a whole file in place of `path`.

    Raises:
        DiskError: If it cannot be written; the old content stays.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    _put(path, lambda partial: disk.write_new(partial, data))


def write_file_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Lets a library write a file, then puts it in place of `path`.

    Args:
        path: The file to be.
        writer: Called with a path beside it, of the same ending.

    Raises:
        DiskError: If it cannot be written; the old content stays.
    """
    _put(path, lambda partial: disk.write_new_by(writer, partial))


def _put(path: Path, write_partial: Callable[[Path], None]) -> None:
    with disk_errors(path):
        partial = _new_partial(path)
        try:
            write_partial(partial)
            disk.fsync(partial)
            disk.rename(partial, path)
            disk.fsync(path.parent)
        except BaseException:
            disk.unlink(partial)
            raise


def _new_partial(path: Path) -> Path:
    """Returns a name beside a path, and removes what a killed writer of the path has left."""
    left = re.compile(f"{re.escape(PARTIAL)}[0-9a-f]{{16}}-{re.escape(path.name)}")
    for name in safe_open.names_in(path.parent):
        if left.fullmatch(name):
            _remove_any(path.with_name(name))
    return path.with_name(f"{PARTIAL}{secrets.token_hex(8)}-{path.name}")


def remove_partials(folder: Path) -> None:
    """Removes what killed processes have left unfinished in a folder that nobody else uses."""
    for name in safe_open.names_in(folder):
        if name.startswith(PARTIAL):
            _remove_any(folder / name)


def _remove_any(path: Path) -> None:
    is_folder = path.is_dir() and not path.is_symlink()
    with suppress(OSError):  # another user's, in a folder that all may write to
        disk.rmtree(path) if is_folder else disk.unlink(path)


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
        fill_folder(partial, contents)


def fill_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes files into a folder that is not under its name yet, see `new_folder`.

    Args:
        folder: An empty one.
        contents: As in `write_folder`.
    """
    for name, data in contents.items():
        if "/" in name:
            disk.mkdir((folder / name).parent)
        disk.write_new(folder / name, data)


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
            disk.mkdir(partial)
            yield partial
            for inner, _ in safe_open.tree(partial):
                disk.fsync(inner)
            disk.fsync(partial)
            if replace:
                disk.rmtree(path)
            disk.rename(partial, path)  # refused where there is a full one
            disk.fsync(path.parent)
        except BaseException:
            disk.rmtree(partial)
            raise


def append_text(path: Path, text: str) -> None:
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
            with open_to_read(path) as file:
                new, size = False, file.seek(0, os.SEEK_END)
        except FileNotFoundError:
            new, size = True, 0
        try:
            disk.append(path, data)
            disk.fsync(path)
        except BaseException:
            # Or the next line would be joined to the part of this one.
            with suppress(OSError):
                disk.truncate(path, size)
                disk.fsync(path)
            raise
        if new:
            disk.fsync(path.parent)


def truncate_file(path: Path, size: int) -> None:
    """Cuts a file off after `size` bytes, on the disk before this returns.

    Raises:
        DiskError: If it cannot be cut.
    """
    with disk_errors(path):
        disk.truncate(path, size)
        disk.fsync(path)


def flush_to_disk(path: Path) -> None:
    """Flushes a file, or a folder with everything in it, to the disk.

    Raises:
        DiskError: If that fails.
    """
    with disk_errors(path):
        for inner, _ in safe_open.tree(path) if path.is_dir() else ():
            disk.fsync(inner)
        disk.fsync(path)


def make_folder(path: Path) -> list[Path]:
    """Creates a folder, and those above it; one that is there is fine.

    Returns:
        The folders that this call has created, and no other process, from the outermost.

    Raises:
        DiskError: If it cannot be created.
    """
    with disk_errors(path):
        made = disk.mkdir(path)
        disk.fsync(path.parent)
    return made


def remove_file(path: Path) -> None:
    """Removes a file that is no longer needed; one that is gone is fine.

    Raises:
        DiskError: If it cannot be removed.
    """
    with disk_errors(path):
        disk.unlink(path)


def remove_folder(path: Path) -> None:
    """Removes a folder that is no longer needed; one that is gone is fine."""
    disk.rmtree(path)


def open_to_read(path: Path) -> BinaryIO:
    """Opens a file to read it; see `kfc.system.safe_open` about links.

    Raises:
        OSError: If it cannot be opened, is no regular file, or is reached through a link
            below a folder that was handed over.
    """
    return os.fdopen(safe_open.open_regular(path), "rb")


def read_bytes(path: Path) -> bytes:
    """Returns the content of a file that `reading` opens."""
    with open_to_read(path) as file:
        return file.read()


def read_text(path: Path) -> str:
    """Returns the UTF-8 text of a file that `reading` opens."""
    return read_bytes(path).decode("utf-8")


def create_file(path: Path) -> None:
    """Makes an empty file, for a library that will write over it.

    Raises:
        DiskError: If it cannot be made, or is there already.
    """
    with disk_errors(path):
        os.close(safe_open.create_regular(path))


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
