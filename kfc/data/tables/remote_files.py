"""Files at addresses such as `s3://bucket/folder`, by the file systems of pyarrow."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kfc.data.tables.part_files import refusing
from kfc.errors import DataError, Finding

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_KINDS = ("s3", "gs", "gcs", "hdfs", "abfs", "abfss")


@dataclass(frozen=True)
class RemoteFile:
    """A file that another machine keeps.

    Args:
        address: Address without its query, for messages.
        path: Path within the file system.
        system: File system, a `pyarrow.fs.FileSystem`.
        size: Bytes of the file.
        mtime_ns: Time of its last change, in nanoseconds.
    """

    address: str
    path: str
    system: Any
    size: int
    mtime_ns: int

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        """Last part of the address."""
        return posixpath.basename(self.path)

    def open(self) -> Any:
        """Opens the file for reading at any position.

        Raises:
            OSError: If it cannot be opened.
        """
        return self.system.open_input_file(self.path)


def is_remote(argument: str) -> bool:
    """Returns whether the argument of a source is an address, such as `s3://bucket/folder`."""
    return bool(_ADDRESS.match(argument))


def remote_files(address: str, suffix: str) -> tuple[RemoteFile, ...]:
    """Returns the file at an address, or the files of the folder there, sorted by name.

    Args:
        address: Address such as `s3://bucket/folder?endpoint_override=127.0.0.1:5000`, of
            S3, Google Cloud Storage, Azure or HDFS. Its query has the options of
            `pyarrow.fs.FileSystem.from_uri`; keys come from the environment.
        suffix: End of the names of files that belong to a folder. Hidden files do not.

    Raises:
        DataError: If there are none, if the place cannot be reached, or if the address names
            a key.
    """
    import pyarrow.fs

    parts = urlsplit(address)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.username or parts.password:
        remedy = "Remove it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in."
        raise DataError(Finding(shown, "an address without a key", "one with a key", remedy))
    if parts.scheme.lower() not in _KINDS:
        expected, got = f"an address of {', '.join(_KINDS)}", f"one of {parts.scheme}"
        raise DataError(Finding(shown, expected, got, "Copy the files to this machine."))
    expected = f"a {suffix} file or a folder of them"
    with refusing(shown, expected, "Check the address, the keys and the network."):
        system, path = pyarrow.fs.FileSystem.from_uri(address)
        selected = system.get_file_info(path)
        if selected.type == pyarrow.fs.FileType.NotFound:
            raise FileNotFoundError(shown)
        found = [selected]
        if selected.type == pyarrow.fs.FileType.Directory:
            found = [
                each
                for each in system.get_file_info(pyarrow.fs.FileSelector(path))
                if each.type == pyarrow.fs.FileType.File
                and each.base_name.lower().endswith(suffix)
                and not each.base_name.startswith(".")
            ]
    if not found:
        expected = f"a folder with at least one {suffix} file"
        raise DataError(Finding(shown, expected, "none", "Check the address."))
    root = shown.removesuffix("/")
    return tuple(
        RemoteFile(
            shown if each.path == path else f"{root}/{each.base_name}",
            *(each.path, system, each.size, each.mtime_ns or 0),
        )
        for each in sorted(found, key=lambda each: each.path)
    )
