"""Checkpoints on the disk, which a process that is killed while writing cannot damage.

Each checkpoint is a folder `checkpoints/000001/` with `state.npz` (arrays), `facts.json` (the
rest) and `manifest.json` (its number and the sha256 of both). It appears by one rename, and
the last two are kept, so there is always a complete checkpoint to resume from.
"""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, NonNegativeFloat, NonNegativeInt

from kfc.data.sources import arrays_in
from kfc.errors import CheckpointError, Finding, reason
from kfc.system import atomic, safe_open

_KEPT = 2
_FILES = ("state.npz", "facts.json")
_BROKEN = (OSError, ValueError, KeyError, TypeError, RecursionError)


class _ProgressSchema(BaseModel, strict=True, extra="forbid"):
    epoch: NonNegativeInt
    step: NonNegativeInt = 0
    stopped: bool = False
    history: dict[str, list[Any]] = {}
    logs: dict[str, float] = {}
    seconds: NonNegativeFloat = 0.0


class _FactsSchema(BaseModel, strict=True, extra="allow"):
    """Schema of `facts.json`: a matching sha256 only shows that the file is complete."""

    progress: _ProgressSchema
    callbacks: list[str]
    states: list[dict[str, Any]]
    about: dict[str, str] = {}


@dataclass(frozen=True)
class Checkpoint:
    """The complete state of a training.

    Args:
        arrays: Name -> array: variables of the model, and arrays of callbacks.
        facts: Values for JSON: progress, classes and states of the callbacks.
        passed_over: Name and damage of each newer checkpoint that could not be read.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]
    passed_over: tuple[tuple[str, str], ...] = ()


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint to the disk and drops all but the last two.

    Raises:
        DiskError: If the checkpoint cannot be written; the earlier ones stay.
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **checkpoint.arrays)
    facts = json.dumps(dict(checkpoint.facts)).encode()
    contents = {"state.npz": buffer.getvalue(), "facts.json": facts}
    earlier = _checkpoint_folders(folder)
    number = int(earlier[-1].name) + 1 if earlier else 1
    manifest = {name: atomic.sha256(data) for name, data in contents.items()}
    contents["manifest.json"] = json.dumps({"number": number, **manifest}).encode()
    atomic.write_folder(folder / f"{number:06d}", contents)
    for old in earlier[: 1 - _KEPT]:
        atomic.remove_folder(old)


def newest(folder: Path) -> Checkpoint:
    """Reads the newest complete checkpoint.

    Raises:
        CheckpointError: If there is no complete checkpoint.
    """
    reasons: list[tuple[str, str]] = []
    for path in reversed(_checkpoint_folders(folder)):
        try:
            arrays, facts = _read(path)
        except _BROKEN as error:
            reasons.append((path.name, reason(error)))
        else:
            return Checkpoint(arrays, facts, tuple(reasons))
    raise CheckpointError(
        Finding(
            str(folder),
            "a complete checkpoint",
            "; ".join(f"{name}: {finding}" for name, finding in reasons) or "none",
            f"Train again with `kfc fit {shlex.quote(str(folder.parent / 'spec.yaml'))}`.",
        )
    )


def has_checkpoints(folder: Path) -> bool:
    """Returns whether there is a checkpoint, damaged or not."""
    return bool(_checkpoint_folders(folder))


def drop_damaged(folder: Path, checkpoint: Checkpoint) -> None:
    """Removes the damaged checkpoints, one of which the next `save` would keep."""
    for name, _ in checkpoint.passed_over:
        atomic.remove_folder(folder / name)


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the arrays and the facts of a checkpoint.

    Raises:
        ValueError: If a file was changed or the folder renamed, or another error of
            `_BROKEN`.
    """
    manifest = json.loads(atomic.read_bytes(path / "manifest.json"))
    if manifest["number"] != int(path.name):
        raise ValueError(f"it is number {manifest['number']}, renamed")
    contents = {name: atomic.read_bytes(path / name) for name in _FILES}
    for name, data in contents.items():
        if atomic.sha256(data) != manifest[name]:
            raise ValueError(f"the sha256 of {name} differs")
    facts = json.loads(contents["facts.json"])
    if len(_FactsSchema.model_validate(facts).states) != len(facts["callbacks"]):
        raise ValueError("facts.json has a state for some of the callbacks alone")
    return arrays_in(contents["state.npz"]), facts


def _checkpoint_folders(folder: Path) -> list[Path]:
    """Returns the folders of checkpoints, the oldest first.

    Raises:
        CheckpointError: If `folder` is a link, or is not a folder.
    """
    try:
        names = safe_open.names_in(folder)
    except OSError as error:
        raise CheckpointError(
            Finding(
                str(folder),
                "the folder of a run's checkpoints",
                error.strerror or str(error),
                f"Train again with `kfc fit {shlex.quote(str(folder.parent / 'spec.yaml'))}`.",
            )
        ) from error
    found = (name for name in names if name.isascii() and name.isdigit())
    return [folder / name for name in sorted(found, key=int)]
