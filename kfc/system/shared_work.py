"""Shares work out among processes: each piece is made once, by the process that takes it.

    folder/NAME          the result of a piece, which appears complete
    folder/NAME.error    the refusal of the data that the piece has met, in place of a result
    folder/NAME.lock     locked by the process that makes the piece

All processes run the same code, on one machine or on several that share the disk. Each takes
the pieces that nobody has, waits for the others, and then reads the results of all. The
system unlocks the pieces of a process that ends, killed or not, and another process takes
them. So one process does all of it, N processes need about one N-th of the time, and
interrupted work continues where it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kfc.errors import DataError, Finding, KfcError, SpecError
from kfc.system import atomic, locks
from kfc.system.two_threads import in_threads

Write = Callable[[Path], None]
"""Function that writes the result of a piece into an empty file."""

_REFUSALS: dict[str, type[KfcError]] = {"DataError": DataError, "SpecError": SpecError}
"""Errors that every process would meet, and so are results. Others, as of a full disk, are
those of one process: it ends, and another one tries the piece."""


class SharedWork:
    """Pieces of work whose results are files of a folder.

    Args:
        folder: Folder of the results, in which the caller works by `locks.together`. It
            belongs to one content: a result that it has is taken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def inner(self, name: str) -> SharedWork:
        """Returns the pieces of a folder within this one."""
        atomic.make_folder(self.folder / name)
        return SharedWork(self.folder / name)

    def made(self, pieces: Mapping[str, Write], *, threads: bool = False) -> dict[str, Path]:
        """Makes pieces that nobody has made, and waits for those that others are making.

        Args:
            pieces: Function that writes a piece, by the name of its file.
            threads: Whether this process makes two pieces at a time.

        Returns:
            The file of each piece.

        Raises:
            DataError: The refusal that the first such piece has met, in every process.
            SpecError: In the same way.
            DiskError: If the folder cannot be written.
        """
        if threads:
            in_threads(lambda name: self._make(name, pieces[name], wait=False), pieces)
        else:
            for name, write in pieces.items():
                self._make(name, write, wait=False)
                if self._error(name).exists():
                    break  # what follows is not needed
        for name, write in pieces.items():
            self._make(name, write, wait=True)
            if self._error(name).exists():
                raise _refusal(atomic.read_text(self._error(name)))
        return {name: self.folder / name for name in pieces}

    def values(
        self, pieces: Mapping[str, Callable[[], Any]], *, threads: bool = False
    ) -> list[Any]:
        """Returns the results of functions, each called by one process.

        Args:
            pieces: Functions that return plain values, which JSON can hold, by their names.
            threads: Whether this process makes two pieces at a time.

        Raises:
            DataError: As for `made`.
            SpecError: As for `made`.
            DiskError: If the folder cannot be written.
        """

        def writer(make: Callable[[], Any]) -> Write:
            return lambda path: _write(path, json.dumps(make(), default=_plain))

        written = {name: writer(make) for name, make in pieces.items()}
        files = self.made(written, threads=threads)
        return [json.loads(atomic.read_text(path)) for path in files.values()]

    def _make(self, name: str, write: Write, *, wait: bool) -> None:
        path, error_path = self.folder / name, self._error(name)
        if path.exists() or error_path.exists():
            return
        with locks.claimed(self.folder / f"{name}.lock", wait=wait) as ours:
            # Another process may have made it before this one got the lock.
            if not ours or path.exists() or error_path.exists():
                return
            try:
                atomic.write_file_with(path, write)
            except tuple(_REFUSALS.values()) as error:
                atomic.write_file(error_path, _text_of(error))

    def _error(self, name: str) -> Path:
        return self.folder / f"{name}.error"


def piece_name(kind: str, *about: object) -> str:
    """Returns the name of a piece, which is one of a file whatever it is about.

    Args:
        kind: First word of the name, without special characters.
        *about: Texts and plain values that tell the piece from others of its kind.

    Example:
        >>> piece_name("type", "age / years")
        'type-c2ffa67bd172e9e4'
    """
    return f"{kind}-{hashlib.sha256(repr(about).encode()).hexdigest()[:16]}"


def _text_of(error: KfcError) -> str:
    findings = [dataclasses.asdict(finding) for finding in error.findings]
    name = next(name for name, kind in _REFUSALS.items() if isinstance(error, kind))
    return json.dumps({"error": name, "findings": findings}, default=_plain)


def _refusal(text: str) -> KfcError:
    content = json.loads(text)
    findings = [Finding(**finding) for finding in content["findings"]]
    return _REFUSALS[content["error"]](*findings)


def _plain(value: Any) -> Any:
    """Returns a number of NumPy as Python's, and anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)


def _write(path: Path, text: str) -> None:
    with path.open("r+b") as file:
        file.write(text.encode())
