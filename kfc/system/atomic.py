"""Writes files and folders atomically: each is complete and on the disk, or absent.

A file is written under a temporary name, flushed to the disk and renamed. The folder is
flushed too, because the new name is an entry of the folder. A library that writes by itself
gets the temporary path, and its file is saved in the same way.
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
"""Prefix of the name of an incomplete file or folder; 16 random hexadecimal digits follow."""


def write_file(path: Path, content: bytes | str) -> None:
    """Writes a file; a file of that name is replaced.

    Args:
        path: Path of the file.
        content: Bytes, or text, which is written in UTF-8.

    Raises:
        DiskError: If the file cannot be written; the old content stays.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    _put(path, lambda partial: disk.write_new(partial, data))


def write_file_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Lets a library write a file; a file of that name is replaced.

    Args:
        path: Path of the file.
        writer: Function that writes the file. It is called with a temporary path in the same
            folder, with the same ending.

    Raises:
        DiskError: If the file cannot be written; the old content stays.
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
    """Returns a temporary path, and removes the partial files of killed writers of `path`."""
    remove_partials_of(path)
    return partial_name(path)


def partial_name(path: Path) -> Path:
    """Returns a temporary path for an incomplete file or folder, beside its final path."""
    return path.with_name(f"{PARTIAL}{secrets.token_hex(8)}-{path.name}")


def remove_partials_of(path: Path) -> None:
    """Removes the partial files that killed writers of one file or folder left beside it."""
    left = re.compile(f"{re.escape(PARTIAL)}[0-9a-f]{{16}}-{re.escape(path.name)}")
    for name in safe_open.names_in(path.parent):
        if left.fullmatch(name):
            _remove_any(path.with_name(name))


def remove_partials(folder: Path) -> None:
    """Removes the partial files that killed processes left in a folder without other users."""
    for name in safe_open.names_in(folder):
        if name.startswith(PARTIAL):
            _remove_any(folder / name)


def _remove_any(path: Path) -> None:
    is_folder = path.is_dir() and not path.is_symlink()
    with suppress(OSError):  # another user may own it, in a folder that all may write to
        disk.rmtree(path) if is_folder else disk.unlink(path)


def write_folder(path: Path, contents: Mapping[str, bytes], *, replace: bool = False) -> None:
    """Writes a folder of files, which appears under its name when it is complete.

    Args:
        path: Path of the folder.
        contents: Bytes of each file by its name; `a/b` is the file `b` in the folder `a`.
        replace: Whether to replace a folder that has files. If the process is killed
            meanwhile, both folders may be gone, so use it for files that can be made again.

    Raises:
        DiskError: If the folder cannot be written; `path` is then unchanged.
    """
    with new_folder(path, replace=replace) as partial:
        fill_folder(partial, contents)


def fill_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes files into the temporary folder that `new_folder` yields.

    Args:
        folder: Empty folder.
        contents: Bytes of each file by its name, see `write_folder`.
    """
    for name, data in contents.items():
        if "/" in name:
            disk.mkdir((folder / name).parent)
        disk.write_new(folder / name, data)


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Makes a folder, which appears under its name when the `with` block ends.

    Args:
        path: Path of the folder.
        replace: Whether to replace a folder that has files, see `write_folder`.

    Yields:
        A temporary folder, empty; an exception removes it.

    Raises:
        DiskError: If the folder cannot be written; `path` is then unchanged.
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
            disk.rename(partial, path)  # refused where a folder with files exists
            disk.fsync(path.parent)
        except BaseException:
            disk.rmtree(partial)
            raise


def append_text(path: Path, text: str) -> None:
    """Appends text to a file; `flush_to_disk` makes it durable.

    Raises:
        DiskError: If the text cannot be written.
    """
    with disk_errors(path):
        disk.append(path, text.encode("utf-8"))


def append_synced(path: Path, content: bytes | str) -> None:
    """Appends to a file and flushes it to the disk.

    If the process is killed meanwhile, a part of the content may be in the file.

    Args:
        path: Path of the file, which is created if it is missing.
        content: Bytes, or text, which is written in UTF-8.

    Raises:
        DiskError: If the content cannot be written; the file then keeps its old length.
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
            # Otherwise the next line would follow a part of this one.
            with suppress(OSError):
                disk.truncate(path, size)
                disk.fsync(path)
            raise
        if new:
            disk.fsync(path.parent)


def truncate_file(path: Path, size: int) -> None:
    """Truncates a file to `size` bytes, or extends it by zeros, and flushes it to the disk.

    Raises:
        DiskError: If the file cannot be truncated.
    """
    with disk_errors(path):
        disk.truncate(path, size)
        disk.fsync(path)


def move_folder(old: Path, new: Path) -> None:
    """Renames a complete folder; one with files in its place is removed before.

    Raises:
        DiskError: If it cannot be flushed to the disk or renamed.
    """
    with disk_errors(new):
        remove_partials_of(new)
        flush_to_disk(old)
        disk.rmtree(new)
        disk.rename(old, new)
        disk.fsync(new.parent)


def flush_to_disk(path: Path) -> None:
    """Flushes a file, or a folder with everything in it, to the disk.

    Raises:
        DiskError: If the file or folder cannot be flushed.
    """
    with disk_errors(path):
        for inner, _ in safe_open.tree(path) if path.is_dir() else ():
            disk.fsync(inner)
        disk.fsync(path)


def make_folder(path: Path) -> list[Path]:
    """Creates a folder and its parents, unless they exist.

    Returns:
        The folders that this call, rather than another process, has created, outermost first.

    Raises:
        DiskError: If the folder cannot be created.
    """
    with disk_errors(path):
        made = disk.mkdir(path)
        disk.fsync(path.parent)
    return made


def remove_file(path: Path) -> None:
    """Removes a file if it exists.

    Raises:
        DiskError: If the file cannot be removed.
    """
    with disk_errors(path):
        disk.unlink(path)


def remove_folder(path: Path) -> None:
    """Removes a folder with everything in it, as far as possible; it need not exist."""
    disk.rmtree(path)


def open_to_read(path: Path) -> BinaryIO:
    """Opens a file to read it; `kfc.system.safe_open` says which links are followed.

    Raises:
        OSError: If the file cannot be opened, if it is not a regular file, or if the path has
            a link below an untrusted folder.
    """
    return os.fdopen(safe_open.open_regular(path), "rb")


def read_bytes(path: Path) -> bytes:
    """Returns the content of a file, which is opened by `open_to_read`."""
    with open_to_read(path) as file:
        return file.read()


def read_text(path: Path) -> str:
    """Returns the UTF-8 text of a file, which is opened by `open_to_read`."""
    return read_bytes(path).decode("utf-8")


def create_file(path: Path) -> None:
    """Creates an empty file, which a library will overwrite.

    Raises:
        DiskError: If the file cannot be created, or exists already.
    """
    with disk_errors(path):
        os.close(safe_open.create_regular(path))


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError of the `with` block into a DiskError.

    Args:
        path: File or folder that the block writes; the message names it.

    Raises:
        DiskError: If the block raises an OSError. kfc's own errors pass unchanged.
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
                "Remove it, or choose another folder: kfc writes only to regular files.",
            )
        ) from error
    except OSError as error:
        raise DiskError(
            Finding(
                str(path),
                "a place that can be written",
                error.strerror or str(error),
                "Free disk space, change the permissions, or choose another folder.",
            )
        ) from error
