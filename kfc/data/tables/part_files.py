"""Finds the files of a table, and refuses what its readers cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from kfc.errors import DataError, Finding
from kfc.system import user_paths


def part_files(path: Path, suffix: str) -> tuple[Path, ...]:
    """Returns the file at `path`, or the files of the folder there, sorted by name.

    Args:
        path: Path of a file or a folder, as the user typed it.
        suffix: End of the names of files that belong to a folder, such as `.csv`, in any
            case. Hidden files do not belong to it.

    Raises:
        DataError: If there is no such file, or the folder has no such files.
    """
    path = user_paths.expanded(path)
    with refusing(path, f"a {suffix} file or a folder of them"):
        if not path.is_dir():
            path.stat()
            return (path,)
        parts = sorted(
            part
            for part in path.iterdir()
            if part.name.lower().endswith(suffix)
            and not part.name.startswith(".")
            and not part.is_dir()
        )
    if parts:
        return tuple(parts)
    expected = f"a folder with at least one {suffix} file"
    raise DataError(Finding(str(path), expected, "none", "Check the path."))


@contextmanager
def refusing(path: Path, expected: str, remedy: str = "Check the path.") -> Iterator[None]:
    """Turns every error of reading a file into a `DataError`.

    Args:
        path: File or folder that is read.
        expected: Description of a right one.
        remedy: Next step for the user.
    """
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(Finding(str(path), expected, "no such file", remedy)) from error
    # ValueError: a path with a NUL, and pyarrow's errors of damaged content.
    except (OSError, ValueError, pa.ArrowException) as error:
        got = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(Finding(str(path), expected, got, remedy)) from error


def no_rows(path: Path | str) -> DataError:
    """Returns the refusal of a table without rows."""
    return DataError(Finding(str(path), "at least one row", "none", "Check the source."))
