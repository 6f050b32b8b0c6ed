"""Finds the files of a table, and refuses what its readers cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from kfc.errors import DataError, Finding
from kfc.system import user_paths


def part_files(path: Path, *suffixes: str) -> tuple[Path, ...]:
    """Returns the file at `path`, or the files of the folder there, sorted by name.

    Args:
        path: Path of a file or a folder, as the user typed it.
        *suffixes: Ends of the names of files that belong to a folder, such as `.csv` and
            `.csv.gz`, in any case. Hidden files do not belong to it.

    Raises:
        DataError: If there is no such file, or if the folder has no such files or one of
            them twice, compressed and not.
    """
    suffix = suffixes[0]
    path = user_paths.expanded(path)
    with refusing(path, f"a {suffix} file or a folder of them"):
        if not path.is_dir():
            path.stat()
            return (path,)
        parts = sorted(
            part
            for part in path.iterdir()
            if part.name.lower().endswith(suffixes)
            and not part.name.startswith(".")
            and not part.is_dir()
        )
    stems: dict[str, Path] = {}
    for part in parts:
        plain = part.suffix.lower() == suffix
        first = stems.setdefault((part.name if plain else part.stem).lower(), part)
        if first.suffix.lower() != part.suffix.lower():
            expected, got = "each part once", f"{first.name} and {part.name}"
            raise DataError(Finding(str(path), expected, got, "Keep one of the two files."))
    if parts:
        return tuple(parts)
    expected = f"a folder with at least one {suffix} file"
    raise DataError(Finding(str(path), expected, "none", "Check the path."))


@contextmanager
def refusing(
    path: Path | str, expected: str, remedy: str = "Check the path."
) -> Iterator[None]:
    """Turns every error of reading a file into a `DataError`.

    Args:
        path: File or folder that is read.
        expected: Description of a right one.
        remedy: Next step for the user.
    """
    try:
        yield
    except (DataError, MemoryError):  # pyarrow's is an ArrowException, too
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
