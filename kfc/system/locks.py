"""Locks folders, so that one process at a time works in a folder."""

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
"""Attempts to create a folder that other processes remove; after them it is an error."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks a folder; it is unlocked when the `with` block or the process ends.

    A file in the folder is locked, not the folder, so that numbered folders can still be made
    in it. A process started by `fork` shares the lock of its parent. The folder becomes
    untrusted: it must contain no links, because libraries would follow them.

    Raises:
        BusyError: If another process, or another part of this process, has the lock. The call
            does not wait.
        CheckpointError: If the folder contains anything but regular files and folders.
        DiskError: If the folder cannot be written.
    """
    safe_open.distrust(folder)
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
    """Turns the error for a link, pipe or device in a folder into a CheckpointError."""
    try:
        yield
    except safe_open.NotRegularError as error:
        raise CheckpointError(
            Finding(
                str(error.filename),
                "a regular file or folder",
                str(error.strerror),
                "Remove it, or replace it by a copy of its target.",
            )
        ) from error


def _hold(descriptor: int, folder: Path) -> None:
    """Locks an open lock file, checks the folder, and writes the id of this process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        raise BusyError(
            Finding(
                str(folder),
                "a folder that no other process works in",
                f"a folder that process {holder or 'unknown'} works in",
                "Wait until that process ends, stop it, or choose another folder.",
            )
        ) from error
    safe_open.tree(folder)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


@contextmanager
def new_numbered_folder(
    parent: Path, name: str, contents: Mapping[str, bytes] | None = None
) -> Iterator[Path]:
    """Creates `parent/0001-name`, with the next free number, and locks it.

    The folder is locked before it gets its name, so no other process can lock it first.
    Partial files that killed processes left in `parent` are removed.

    Args:
        parent: Folder of the numbered folders, which is created if it is missing.
        name: Name after the number.
        contents: Bytes of each file by its name; the folder appears with all its files.

    Yields:
        The path of the folder.

    Raises:
        DiskError: If the folder cannot be created.
    """
    try:
        str(parent).encode()
    except UnicodeEncodeError as error:
        remedy = "Choose another folder: TensorFlow writes only to paths in UTF-8."
        finding = Finding(ascii(str(parent)), "a path in UTF-8", str(error.reason), remedy)
        raise DiskError(finding) from error
    with ExitStack() as locks:
        # Without this lock, two processes could take the same number for two names.
        with atomic.disk_errors(parent), _alone(parent):
            atomic.remove_partials(parent)
            found = (re.match(r"([0-9]{4,})-", name) for name in safe_open.names_in(parent))
            numbers = [int(match[1]) for match in found if match]
            path = parent / f"{max(numbers, default=0) + 1:04d}-{name}"
            locks.enter_context(new_locked_folder(path, contents or {}))
        yield path


@contextmanager
def new_locked_folder(path: Path, contents: Mapping[str, bytes]) -> Iterator[None]:
    """Creates a folder, which appears under its name complete and locked.

    Args:
        path: Path of the folder; a folder with files in its place is an error.
        contents: Bytes of each file by its name.

    Raises:
        DiskError: If the folder cannot be created.
    """
    with ExitStack() as locks:
        with atomic.new_folder(path) as partial:
            atomic.fill_folder(partial, contents)
            locks.enter_context(locked(partial))
        safe_open.distrust(path)
        yield


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Locks a folder, waiting until no other process has the lock.

    Partial files that killed processes left in the folder are removed. A folder that this
    call created is removed at the end if it is empty.

    Raises:
        DiskError: If the folder cannot be created or read.
    """
    with _alone(folder) as made:
        atomic.remove_partials(folder)
        try:
            yield
        finally:
            with suppress(OSError):  # it is not empty
                for path in made:  # no other process is in it while it is locked
                    path.rmdir()


@contextmanager
def together(folder: Path) -> Iterator[None]:
    """Works in a folder together with other processes; the last one to leave removes it.

    A block that ends by an exception leaves like any other, but a process that is killed, or
    interrupted by Ctrl-C, leaves the folder behind, so that the next one continues.
    Partial folders that killed processes left of it are removed. The parent of the folder
    is removed too if it is empty, and so are the folders above it that this call has created.

    A lock file in the folder is locked, not the folder: NFS locks only what can be written.

    Raises:
        DiskError: If the folder cannot be created.
    """
    made: set[Path] = {folder.parent}
    descriptor = _join(folder, made)
    try:
        atomic.remove_partials_of(folder)
        try:
            yield
        except Exception:
            _leave(descriptor, folder, made)
            raise
        _leave(descriptor, folder, made)
    finally:
        os.close(descriptor)


def _join(folder: Path, made: set[Path]) -> int:
    """Returns the descriptor of the lock file of a folder, locked beside other processes."""
    for attempt in range(_ATTEMPTS):
        try:
            made.update(atomic.make_folder(folder))
            with atomic.disk_errors(folder):
                descriptor = safe_open.open_regular(folder / _LOCK, os.O_RDWR | os.O_CREAT)
        except DiskError as error:
            gone = isinstance(error.__cause__, (FileExistsError, FileNotFoundError))
            if gone and attempt + 1 < _ATTEMPTS:  # its last user has removed it
                continue
            raise
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if _is_at(descriptor, folder / _LOCK):
            return descriptor
        os.close(descriptor)
    raise AssertionError("unreachable")


def _leave(descriptor: int, folder: Path, made: set[Path]) -> None:
    """Removes a folder unless another process is in it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    gone = atomic.partial_name(folder)
    with suppress(OSError):
        folder.rename(gone)  # before it is removed, so that nobody joins half of it
        atomic.remove_folder(gone)
    for path in sorted(made - {folder}, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):  # it is not empty
            path.rmdir()


@contextmanager
def claimed(path: Path, *, wait: bool) -> Iterator[bool]:
    """Locks a file, which is created if it is missing, until the `with` block ends.

    The system unlocks it when the process ends, however it ends.

    Args:
        path: Path of the file, which stays.
        wait: Whether to wait while another process, or another thread, has the lock.

    Yields:
        Whether this call has the lock.

    Raises:
        DiskError: If the file cannot be opened or locked.
    """
    with atomic.disk_errors(path):
        descriptor = safe_open.open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        with atomic.disk_errors(path):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                ours = True
            except BlockingIOError:
                ours = False
        yield ours
    finally:
        os.close(descriptor)


@contextmanager
def _alone(folder: Path) -> Iterator[list[Path]]:
    """Waits for the lock of a folder; the end of the process unlocks it too.

    Yields:
        The folders that had to be created: the folder and its parents, innermost first.
    """
    made: set[Path] = set()
    descriptor = _lock_folder(folder, made)
    try:
        yield sorted(made, key=lambda path: len(path.parts), reverse=True)
    finally:
        os.close(descriptor)


def _lock_folder(folder: Path, made: set[Path]) -> int:
    """Returns the descriptor of a folder, which is created if it is missing, and locks it."""
    attempts = 0
    while True:
        try:
            made.update(atomic.make_folder(folder))
            with atomic.disk_errors(folder):
                descriptor = os.open(folder, os.O_RDONLY)
        except DiskError as error:
            gone = isinstance(error.__cause__, (FileExistsError, FileNotFoundError))
            attempts += 1
            if gone and attempts < _ATTEMPTS:  # its last user has removed it
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
        os.close(descriptor)  # the locked folder was removed, too


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
