"""This module opens files and folders, without links below a folder that was handed over.

A run, a search or an export may come from somebody else. `hand_over` announces its folder, and
from then on every path below it is opened name by name, each relative to the descriptor of the
folder before it, without following links. The folder itself may be a link, because the user
has typed its name. Elsewhere a path is the user's own: links on it are followed, except for
the last name of a file that is written. Only regular files are opened as files.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WITHOUT_END = (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

_handed_over: set[Path] = set()


class NotRegularError(OSError):
    """The path of a link, a pipe, a socket, a device, or a file with several names."""

    def __init__(self, kind: str, path: Path) -> None:
        super().__init__(errno.ELOOP, kind, str(path))

    def __str__(self) -> str:
        return str(self.strerror)


def hand_over(folder: Path) -> None:
    """Announces a folder below which this process follows no link from now on."""
    _handed_over.add(folder.absolute())


@contextmanager
def parent_of(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Opens the folder of a path.

    Yields:
        The folder's descriptor, the name in it, and whether the name is below a folder that
        was handed over.

    Raises:
        NotRegularError: If a folder on the way is a link and must not be.
        OSError: If the folder cannot be opened.
    """
    start, names = _split(path)
    descriptor = os.open(start or path.absolute().parent, _FOLDER)
    try:
        for name in names[:-1]:
            inner = _open(name, _FOLDER | os.O_NOFOLLOW, descriptor, path)
            os.close(descriptor)
            descriptor = inner
        yield descriptor, names[-1], start is not None
    finally:
        os.close(descriptor)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Opens a regular file, and never waits for one.

    Args:
        path: Path of the file.
        flags: Flags of `os.open`.

    Returns:
        The descriptor, which the caller closes.

    Raises:
        NotRegularError: If it is no regular file, if a link would have to be followed, or if
            it is changed in place and has a second name, which may be another one's file.
        OSError: If it cannot be opened.
    """
    with parent_of(path) as (folder, name, below):
        no_link = os.O_NOFOLLOW if below or flags & _WRITES else 0
        # An open that does not block returns at once for a pipe; the kind is asked of the open
        # file, because the path may name another file by then.
        descriptor = _open(name, flags | no_link | os.O_NONBLOCK | os.O_CLOEXEC, folder, path)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotRegularError(_kind(found.st_mode), path)
        if flags & _WRITES and found.st_nlink > 1:
            raise NotRegularError("a file with a second name (a hard link)", path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def create_regular(path: Path) -> int:
    """Makes a file that must not be there yet, and returns its descriptor for writing."""
    return open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def open_to_sync(path: Path) -> int:
    """Opens a regular file or a folder, and returns its descriptor."""
    with parent_of(path) as (folder, name, below):
        no_link = os.O_NOFOLLOW if below else 0
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | no_link
        return _open(name, flags, folder, path)


def make_folders(path: Path) -> list[Path]:
    """Makes a folder, and those above it; one that is there is fine.

    Returns:
        The folders that this call has made, and no other process, from the outermost.
    """
    start, names = _split(path)
    if start is None:
        return _make_folders(path)
    made = _make_folders(start)
    for number in range(len(names)):
        inner = start.joinpath(*names[: number + 1])
        with parent_of(inner) as (folder, name, _):
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
                made.append(inner)
            os.close(_open(name, _FOLDER | os.O_NOFOLLOW, folder, inner))
    return made


def _make_folders(path: Path) -> list[Path]:
    """Does the work of `Path.mkdir(parents=True, exist_ok=True)`; returns what it made."""
    try:
        path.mkdir()
    except FileNotFoundError:
        if path.parent == path:
            raise
        return [*_make_folders(path.parent), *_make_folders(path)]
    except OSError:  # a disk that is only read says so before it says that a folder exists
        if not path.is_dir():
            raise
        return []
    return [path]


def names_in(folder: Path) -> list[str]:
    """Returns the names in a folder in order; none where there is no such folder.

    Raises:
        NotRegularError: If it is a link and must not be.
        OSError: If it cannot be read.
    """
    try:
        descriptor = open_to_sync(folder)
    except FileNotFoundError:
        return []
    try:
        return sorted(os.listdir(descriptor))
    finally:
        os.close(descriptor)


def tree(folder: Path) -> list[tuple[Path, bool]]:
    """Returns everything below a folder, in order, and whether each is a folder.

    Raises:
        NotRegularError: If anything is neither a regular file nor a folder.
        OSError: If a folder cannot be read.
    """
    found: list[tuple[Path, bool]] = []
    descriptor = open_to_sync(folder)
    try:
        walk = os.fwalk(".", onerror=_raise, dir_fd=descriptor)
        for place, folders, names, inside in walk:
            for name in (*folders, *names):
                path = folder / place / name
                try:
                    mode = os.stat(name, dir_fd=inside, follow_symlinks=False).st_mode
                except FileNotFoundError:  # somebody has removed it meanwhile
                    continue
                if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                    raise NotRegularError(_kind(mode), path)
                found.append((path, stat.S_ISDIR(mode)))
    finally:
        os.close(descriptor)
    return sorted(found)


def _split(path: Path) -> tuple[Path | None, tuple[str, ...]]:
    """Returns the outermost folder handed over above a path, and the names below it."""
    path = path.absolute()
    for place in reversed(path.parents):
        if place in _handed_over:
            names = path.relative_to(place).parts
            if ".." in names:
                raise NotRegularError(f"a path that leads out of {place}", path)
            return place, names
    return None, (path.name or ".",)


def _open(name: str, flags: int, folder: int, path: Path) -> int:
    try:
        return os.open(name, flags, 0o666, dir_fd=folder)
    except OSError as error:
        # Systems differ in what they answer for a link, and for a pipe that nobody reads.
        mode = _mode(name, folder)
        is_refused_link = flags & os.O_NOFOLLOW and stat.S_ISLNK(mode)
        if is_refused_link or stat.S_IFMT(mode) in _WITHOUT_END:
            raise NotRegularError(_kind(mode), path) from error
        raise


def _mode(name: str, folder: int) -> int:
    """Returns the mode of what has a name, a link's own; 0 where nothing can be seen."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return 0


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a link"
    return "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"


def _raise(error: OSError) -> None:
    raise error
