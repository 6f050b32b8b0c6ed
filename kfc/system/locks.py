"""A folder that several processes want -> each of them in it alone, one after the other."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kfc.errors import BusyError, CheckpointError, DiskError, Finding
from kfc.system import atomic, safe_open

_LOCK = ".lock"
_ATTEMPTS = 100
"""To make a folder that others remove, before it counts as one that cannot be made."""


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
    with atomic.disk_errors(folder), _not_ours():
        descriptor = safe_open.open_regular(folder / _LOCK, os.O_RDWR | os.O_CREAT)
    try:
        with atomic.disk_errors(folder), _not_ours():
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


@contextmanager
def new_numbered_folder(
    parent: Path, name: str, contents: Mapping[str, bytes] | None = None
) -> Iterator[Path]:
    """Creates `parent/0001-name`, with the next free number, and works in it alone.

    It is locked before it has its name, so nobody else can be the first in it. What killed
    processes have left unfinished beside it is removed.

    Args:
        parent: Made if it is missing.
        name: What comes after the number.
        contents: Name of a file -> its bytes; the folder appears with all of them.

    Yields:
        The folder.

    Raises:
        DiskError: If no folder can be created there.
    """
    try:
        str(parent).encode()
    except UnicodeEncodeError as error:
        remedy = "Name another folder: TensorFlow writes to paths in UTF-8 alone."
        finding = Finding(ascii(str(parent)), "a path in UTF-8", str(error.reason), remedy)
        raise DiskError(finding) from error
    with ExitStack() as locks:
        # Alone, or two processes could take one number for two names.
        with atomic.disk_errors(parent), _alone(parent):
            atomic.remove_partials(parent)
            found = (re.match(r"([0-9]{4,})-", name) for name in safe_open.names_in(parent))
            numbers = [int(match[1]) for match in found if match]
            path = parent / f"{max(numbers, default=0) + 1:04d}-{name}"
            with atomic.new_folder(path) as partial:
                atomic.fill_folder(partial, contents or {})
                locks.enter_context(locked(partial))
            safe_open.hand_over(path)
        yield path


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Works in a folder alone; if it had to be made and is left empty, it is removed.

    Whoever comes second waits. What killed processes have left unfinished is removed.

    Raises:
        DiskError: If the folder cannot be made or read.
    """
    with _alone(folder) as made:
        atomic.remove_partials(folder)
        try:
            yield
        finally:
            with suppress(OSError):  # something is in it
                for path in made:  # nobody else is in it as long as it is locked
                    path.rmdir()


@contextmanager
def _alone(folder: Path) -> Iterator[list[Path]]:
    """Waits for the lock of a folder, which the end of the process lets go too.

    Yields:
        What had to be made for it: the folder and those above it, if they were missing.
    """
    made: set[Path] = set()
    descriptor = _lock_folder(folder, made)
    try:
        yield sorted(made, key=lambda path: len(path.parts), reverse=True)
    finally:
        os.close(descriptor)


def _lock_folder(folder: Path, made: set[Path]) -> int:
    """Returns the descriptor of a folder, locked, and made if it was missing."""
    attempts = 0
    while True:
        try:
            made.update(atomic.make_folder(folder))
            with atomic.disk_errors(folder):
                descriptor = os.open(folder, os.O_RDONLY)
        except DiskError as error:
            gone = isinstance(error.__cause__, (FileExistsError, FileNotFoundError))
            attempts += 1
            if gone and attempts < _ATTEMPTS:  # whoever had it has removed it meanwhile
                continue
            raise
        try:
            with atomic.disk_errors(folder):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if _is_at(descriptor, folder):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # removed meanwhile, too


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
