"""Opens files and folders, and follows no link below an untrusted folder.

A run, a search or an export may come from another person. `distrust` marks its folder as
untrusted. From then on, every path below it is opened name by name, relative to the descriptor
of the parent folder, and without following links. The folder itself may be a link, because the
user has typed its name. All other paths belong to the user: their links are followed, except
for the last name of a file that is written. Only regular files are opened as files.
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

_untrusted: set[Path] = set()


class NotRegularError(OSError):
    """A path is a link, a pipe, a socket, a device, or a file with several names."""

    def __init__(self, kind: str, path: Path) -> None:
        super().__init__(errno.ELOOP, kind, str(path))

    def __str__(self) -> str:
        return str(self.strerror)


def distrust(folder: Path) -> None:
    """Marks a folder as untrusted: this process follows no link below it from now on."""
    _untrusted.add(folder.absolute())


@contextmanager
def parent_of(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Opens the parent folder of a path.

    Yields:
        The descriptor of the folder, the last name of the path, and whether the path is below
        an untrusted folder.

    Raises:
        NotRegularError: If a folder of the path is a link and is below an untrusted folder.
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
    """Opens a regular file without waiting.

    Args:
        path: Path of the file.
        flags: Flags of `os.open`.

    Returns:
        The descriptor, which the caller closes.

    Raises:
        NotRegularError: If the path is not a regular file, if a link would have to be
            followed, or if the file is opened for writing and has a second name, which may
            belong to another person.
        OSError: If the file cannot be opened.
    """
    with parent_of(path) as (folder, name, below):
        no_link = os.O_NOFOLLOW if below or flags & _WRITES else 0
        # With O_NONBLOCK, opening a pipe returns at once. The type is read from the open file,
        # because the path may have become another file.
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
    """Creates a file that must not exist yet; returns its descriptor for writing."""
    return open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def open_to_sync(path: Path) -> int:
    """Opens a regular file or a folder to flush it; returns its descriptor."""
    with parent_of(path) as (folder, name, below):
        no_link = os.O_NOFOLLOW if below else 0
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | no_link
        return _open(name, flags, folder, path)


def make_folders(path: Path) -> list[Path]:
    """Creates a folder and its parents, unless they exist.

    Returns:
        The folders that this call, rather than another process, has created, outermost first.
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
    """Calls `Path.mkdir(parents=True, exist_ok=True)`; returns the folders it created."""
    try:
        return _make_folder(path)
    except FileNotFoundError:
        if path.parent == path:
            raise
    # Where nobody can make a folder, as in /proc, the second answer is the first one.
    return [*_make_folders(path.parent), *_make_folder(path)]


def _make_folder(path: Path) -> list[Path]:
    try:
        path.mkdir()
    except OSError:  # a read-only disk raises this before FileExistsError
        if not path.is_dir():
            raise
        return []
    return [path]


def names_in(folder: Path) -> list[str]:
    """Returns the sorted names in a folder; a folder that does not exist has none.

    Raises:
        NotRegularError: If the folder is a link and is below an untrusted folder.
        OSError: If the folder cannot be read.
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
    """Returns the sorted paths below a folder, each with whether it is a folder.

    Raises:
        NotRegularError: If a path is neither a regular file nor a folder.
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
                except FileNotFoundError:  # another process has removed it
                    continue
                if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                    raise NotRegularError(_kind(mode), path)
                found.append((path, stat.S_ISDIR(mode)))
    finally:
        os.close(descriptor)
    return sorted(found)


def _split(path: Path) -> tuple[Path | None, tuple[str, ...]]:
    """Returns the outermost untrusted folder above a path, and the names below that folder."""
    path = path.absolute()
    for place in reversed(path.parents):
        if place in _untrusted:
            names = path.relative_to(place).parts
            if ".." in names:
                raise NotRegularError(f"a path that leads out of {place}", path)
            return place, names
    return None, (path.name or ".",)


def _open(name: str, flags: int, folder: int, path: Path) -> int:
    try:
        return os.open(name, flags, 0o666, dir_fd=folder)
    except OSError as error:
        # The error for a link, and for a pipe without a reader, differs between systems.
        mode = _mode(name, folder)
        is_refused_link = flags & os.O_NOFOLLOW and stat.S_ISLNK(mode)
        if is_refused_link or stat.S_IFMT(mode) in _WITHOUT_END:
            raise NotRegularError(_kind(mode), path) from error
        raise


def _mode(name: str, folder: int) -> int:
    """Returns the mode of a name, of a link itself; 0 if the mode cannot be read."""
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
