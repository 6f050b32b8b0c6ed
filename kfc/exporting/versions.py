"""A folder of a model's versions -> which there are, and what is in each."""

from __future__ import annotations

import json
import re
from pathlib import Path

from kfc import files

CERTIFICATE = "certificate.json"
LARGEST = 2**63 - 1  # TensorFlow Serving counts versions in 64 bits


def versions(folder: Path) -> dict[int, Path]:
    """Returns number -> folder of each version, those that somebody else wrote too."""
    try:
        names = [path.name for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return {}
    numbers = {int(name): folder / name for name in names if re.fullmatch("[0-9]+", name)}
    return {number: path for number, path in numbers.items() if number <= LARGEST}


def format_of(folder: Path) -> str:
    """Returns the format of the version in a folder; empty if kfc has not made it."""
    try:
        return str(json.loads((folder / CERTIFICATE).read_text("utf-8"))["format"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def is_export(folder: Path) -> bool:
    """Returns whether a folder holds an exported model, or versions of one."""
    places = (folder, *versions(folder).values())
    try:
        return any((place / CERTIFICATE).is_file() for place in places)
    except OSError:  # a folder that nobody may look into
        return False


def sha256s(folder: Path) -> dict[str, str]:
    """Returns the sha256 of each file but the certificate, by its path in the folder."""
    return {
        path.relative_to(folder).as_posix(): files.sha256(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / CERTIFICATE
    }
