"""Writes and reads `average.json`, which makes an ensemble a finished one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from kfc.errors import CheckpointError, Finding, reason
from kfc.runs import result_file
from kfc.system import atomic

if TYPE_CHECKING:
    from kfc.runs import Run

FILE = "average.json"


class _AverageRecord(BaseModel, strict=True, extra="forbid"):
    members: list[str]
    metrics: dict[str, float]
    baseline: dict[str, float]
    uncertainty: dict[str, float | list[float]] = {}
    sha256: str


def write_average(
    folder: Path,
    runs: Sequence[Run],
    metrics: dict[str, float],
    baseline: dict[str, float],
    uncertainty: dict[str, Any],
) -> None:
    """Writes the scores of the average.

    Args:
        folder: Folder of the ensemble.
        runs: All runs; the SHA-256 of their weights is kept.
        metrics: Scores of the average.
        baseline: Scores of a constant prediction.
        uncertainty: Temperature or intervals of the average; empty where the spec asks for
            none.

    Raises:
        DiskError: If the file cannot be written.
    """
    members = [each.weights_sha256 for each in runs]
    facts = {"members": members, "metrics": metrics, "baseline": baseline}
    facts |= {"uncertainty": uncertainty} if uncertainty else {}
    atomic.write_file(folder / FILE, result_file.as_json(result_file.with_sha256(facts)))


def read_average(folder: Path) -> dict[str, Any]:
    """Reads the scores of the average, and the SHA-256 of each run's weights.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    try:
        facts: dict[str, Any] = json.loads(atomic.read_text(folder / FILE))
        result_file.check_sha256(facts)
        _AverageRecord.model_validate(facts)
        return facts
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        got = f"a damaged {FILE} ({reason(error)})"
        remedy = f"Remove {folder / FILE}, and run `kfc resume` on the folder."
        raise CheckpointError(Finding(str(folder), "an ensemble", got, remedy)) from error
