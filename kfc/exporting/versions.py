"""Versions of an exported model: numbered folders, each with a certificate."""

from __future__ import annotations

import json
import re
from pathlib import Path

from kfc.errors import CheckpointError, Finding
from kfc.system import atomic, safe_open

CERTIFICATE = "certificate.json"
HIGHEST = ".highest-version"
"""Name of the file that stores the highest number; TensorFlow Serving reads numbers only."""
LARGEST = 2**63 - 1  # TensorFlow Serving counts versions in 64 bits


def versions(folder: Path) -> dict[int, Path]:
    """Returns version number -> its folder, for every subfolder that is named by a number."""
    try:
        names = [name for name in safe_open.names_in(folder) if (folder / name).is_dir()]
    except OSError:
        return {}
    numbers = {int(name): folder / name for name in names if re.fullmatch("[0-9]+", name)}
    return {number: path for number, path in numbers.items() if number <= LARGEST}


def next_version(folder: Path) -> int:
    """Returns one more than the highest number so far, counting versions that were deleted.

    Raises:
        CheckpointError: If the file with the highest number is damaged.
    """
    try:
        highest = int(atomic.read_bytes(folder / HIGHEST).decode("ascii"))
    except FileNotFoundError:  # the folder is new, or older than this file
        highest = 0
    except (OSError, ValueError) as error:
        raise CheckpointError(
            Finding(
                str(folder / HIGHEST),
                "the highest number that a version here has had",
                str(error),
                f"Write that number into it: `echo NUMBER > {HIGHEST}` there.",
            )
        ) from error
    return max(highest, *versions(folder), 0) + 1


def record_version(folder: Path, number: int) -> None:
    """Records the number of a version, so that no later version gets it automatically."""
    highest = max(number, next_version(folder) - 1)
    atomic.write_file(folder / HIGHEST, f"{highest}\n")


def format_of(folder: Path) -> str:
    """Returns the format of the version in a folder, or "" if kfc has not exported it."""
    try:
        return str(json.loads(atomic.read_text(folder / CERTIFICATE))["format"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def is_export(folder: Path) -> bool:
    """Returns whether a folder holds an exported model, or versions of one."""
    places = (folder, *versions(folder).values())
    try:
        return any((place / CERTIFICATE).is_file() for place in places)
    except OSError:  # the folder may not be read
        return False


def file_sha256s(folder: Path) -> dict[str, str]:
    """Returns relative path -> sha256 for each file but the certificate."""
    return {
        path.relative_to(folder).as_posix(): atomic.sha256(atomic.read_bytes(path))
        for path, is_folder in safe_open.tree(folder)
        if not is_folder and path != folder / CERTIFICATE
    }
