"""Arrays and facts -> a folder that a killed process cannot spoil, and back.

Each checkpoint is a folder `checkpoints/000001/` with `state.npz` (arrays), `facts.json` (the
rest) and `manifest.json`, which holds its number and the sha256 of both. It appears by one
rename, and the last two are kept, so there is always a whole one to go back to.
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


class _Progress(BaseModel, strict=True, extra="forbid"):
    epoch: NonNegativeInt
    step: NonNegativeInt = 0
    stopped: bool = False
    history: dict[str, list[Any]] = {}
    logs: dict[str, float] = {}
    seconds: NonNegativeFloat = 0.0


class _Facts(BaseModel, strict=True, extra="allow"):
    """What `facts.json` must be, whoever wrote it: a sha256 only says that it is whole."""

    progress: _Progress
    callbacks: list[str]
    states: list[dict[str, Any]]
    about: dict[str, str] = {}


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training.

    Args:
        arrays: By name.
        facts: What JSON can hold.
        passed_over: Name and finding of each newer checkpoint that is damaged.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]
    passed_over: tuple[tuple[str, str], ...] = ()


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint to the disk and drops all but the last two.

    Raises:
        DiskError: If it cannot be written; the earlier ones stay.
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
    """Reads the newest checkpoint whose bytes are those that were written.

    Raises:
        CheckpointError: If there is none.
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
            "a whole checkpoint",
            "; ".join(f"{name}: {finding}" for name, finding in reasons) or "none",
            f"Train again with `kfc fit {shlex.quote(str(folder.parent / 'spec.yaml'))}`.",
        )
    )


def begun(folder: Path) -> bool:
    """Says whether there has been a checkpoint, damaged or not."""
    return bool(_checkpoint_folders(folder))


def drop_damaged(folder: Path, checkpoint: Checkpoint) -> None:
    """Removes the checkpoints that `newest` passed over, of which the next would keep one."""
    for name, _ in checkpoint.passed_over:
        atomic.remove_folder(folder / name)


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the arrays and the facts of a checkpoint.

    Raises:
        ValueError: If they are not what was written, under this name, or another of
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
    if len(_Facts.model_validate(facts).states) != len(facts["callbacks"]):
        raise ValueError("facts.json has a state for some of the callbacks alone")
    return arrays_in(contents["state.npz"]), facts


def _checkpoint_folders(folder: Path) -> list[Path]:
    """Returns the folders of checkpoints, the oldest first.

    Raises:
        CheckpointError: If `folder` is a link or anything else that is no folder.
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
