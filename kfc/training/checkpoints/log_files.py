"""Log files: store their length in a checkpoint, truncate to it on resume."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfc.errors import CheckpointError, Finding
from kfc.system import atomic, safe_open

_CHUNK = 1 << 20


class LogFiles:
    """A log file, or a folder of log files, that a training only appends to.

    A resumed training repeats the steps after its checkpoint, so the lines of these steps
    are cut off first.

    Args:
        path: File or folder, which may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[Path, tuple[Any, int]] = {}  # hash and size of the bytes read so far

    def state(self) -> dict[str, Any]:
        """Returns the size and the sha256 of each file, and writes it through to the disk."""
        found = self._files()
        if found:
            atomic.flush_to_disk(self.path)
        return {"files": {self._name(path): self._measure(path) for path in found}}

    def truncate_to(self, state: Mapping[str, Any]) -> None:
        """Truncates the files to their sizes in a state, and removes newer files.

        Raises:
            CheckpointError: If a file is missing, shorter, or begins with other bytes.
            DiskError: If a file cannot be truncated.
        """
        self._read.clear()
        found = {self._name(path): path for path in self._files()}
        # Every file is checked before one is changed.
        for name, (size, sha256) in state["files"].items():
            if name not in found or self._measure(found[name], size) != [size, sha256]:
                raise CheckpointError(
                    Finding(
                        str(self.path.parent / name),
                        f"a log that begins with the {size:,} bytes of the last checkpoint",
                        "other bytes" if name in found else "none",
                        "Put the file back, or train again from the spec of this run.",
                    )
                )
        for name, path in found.items():
            if name in state["files"]:
                atomic.truncate_file(path, state["files"][name][0])
            else:
                atomic.remove_file(path)

    def remove_in(self, folder: Path) -> None:
        """Removes the files if they are in `folder`."""
        if self.path.is_relative_to(folder):
            self.truncate_to({"files": {}})

    def _measure(self, path: Path, size: int | None = None) -> list[Any]:
        """Returns the size of a file and the sha256 of its content, or of its first bytes."""
        digest, done = self._read.get(path, (hashlib.sha256(), 0))
        with atomic.open_to_read(path) as file:
            file.seek(done)
            while chunk := file.read(_CHUNK if size is None else min(_CHUNK, size - done)):
                digest.update(chunk)
                done += len(chunk)
        self._read[path] = digest, done
        return [done, digest.hexdigest()]

    def _files(self) -> list[Path]:
        if self.path.is_dir():
            return [path for path, is_folder in safe_open.tree(self.path) if not is_folder]
        return [self.path] if self.path.is_file() else []

    def _name(self, path: Path) -> str:
        return path.relative_to(self.path.parent).as_posix()
